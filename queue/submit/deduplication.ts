/**
 * Deduplication: keys that keep a repeated request from creating anything twice. Each function adds the claim of a
 * key, with its check, to a changeset, or returns what the key has already created.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { Clock } from "../task/clock.ts";
import { decode, encode } from "../store/codec.ts";
import { IdempotencyMismatchError } from "../task/errors.ts";
import { keys } from "../store/keys.ts";
import { readTasks } from "../store/reads.ts";
import { type Status, statusOf, type TaskRecord } from "../task/record.ts";
import { type Changeset, emptyChangeset } from "../store/changeset.ts";

/** How long an idempotency key is remembered: 24 hours. */
const IDEMPOTENCY_MS = 24 * 3_600_000;

/** An Idempotency-Key: within its scope (the sender), the same key creates one task. */
export interface IdempotencyKey {
  /** Who sends it. */
  scope: string;
  /** 1 to 200 visible ASCII characters. */
  key: string;
  /** What was sent, to be compared when the key is reused. Default: a hash of the submission. */
  body?: string;
}

interface IdempotencyRecord {
  /** What was created: one task, or those of a batch. */
  ids: string[];
  body: string;
  expires_at: number;
}

/** Allows only one task within a type. */
export interface Unique {
  /** The newest task of the type with this key counts. */
  key: string;
  /** … if it was submitted within this time. Milliseconds; default: however long ago. */
  period_ms?: number;
  /** … and is in one of these statuses. Default: PENDING, RUNNING and SUCCESS. */
  states?: Status[];
}

/** Statuses in which a task blocks others with its unique key, unless a submit says otherwise. */
export const UNIQUE_STATES: Status[] = ["PENDING", "RUNNING", "SUCCESS"];

/**
 * Claims an idempotency key.
 *
 * @param body A hash of what was sent.
 * @param ids What it makes.
 * @param keyOf The entry of what it created: a key is void without it. Default: of a task.
 * @returns The ids of what the key created before, or null if it is claimed now.
 * @throws {IdempotencyMismatchError} If it was used for something else.
 */
export async function claimIdempotencyKey(
  kv: Deno.Kv,
  clock: Clock,
  changeset: Changeset,
  { scope, key }: IdempotencyKey,
  body: string,
  ids: string[],
  keyOf: (id: string) => Deno.KvKey = keys.task,
): Promise<string[] | null> {
  const entry = await kv.get(keys.idempotency(scope, key));
  const known = entry.value ? decode<IdempotencyRecord>(entry.value) : null;
  // KV collects expired keys late: a record is void after its own `expires_at`.
  if (known && known.expires_at > clock.now()) {
    if (known.body !== body) throw new IdempotencyMismatchError();
    // Retention may be shorter than a day.
    if ((await kv.get(keyOf(known.ids[0]))).value) return known.ids;
  }
  const record: IdempotencyRecord = { ids, body, expires_at: clock.now() + IDEMPOTENCY_MS };
  changeset.locks.push(`idempotency:${scope}:${key}`);
  changeset.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
  changeset.puts.push({ key: entry.key, value: encode(record), expireIn: IDEMPOTENCY_MS });
  return null;
}

/**
 * What an idempotency key has created; null: nothing yet.
 *
 * @throws {IdempotencyMismatchError} If it was used for something else.
 */
export async function findByIdempotencyKey(
  kv: Deno.Kv,
  clock: Clock,
  key: IdempotencyKey & { body: string },
): Promise<string[] | null> {
  return await claimIdempotencyKey(kv, clock, emptyChangeset(), key, key.body, [""]);
}

/**
 * Claims a unique key for a task.
 *
 * @returns The id of the task that has it, or null if it is claimed now.
 */
export async function claimUniqueKey(
  kv: Deno.Kv,
  changeset: Changeset,
  { key, period_ms = Infinity, states = UNIQUE_STATES }: Unique,
  { id, task_type, created_at }: TaskRecord,
): Promise<string | null> {
  const entry = await kv.get(keys.unique(task_type, key));
  const holder = entry.value ? decode<string>(entry.value) : null;
  if (holder !== null && holder !== id) {
    const [known] = await readTasks(kv, [holder]);
    const recent = known && known.task.created_at > created_at - period_ms;
    if (recent && states.includes(statusOf(known))) return holder;
  }
  changeset.locks.push(`unique:${task_type}:${key}`);
  changeset.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
  changeset.puts.push({ key: entry.key, value: encode(id) });
  return null;
}

/**
 * A hash of what was sent, to detect a repeated request: SHA-256 of its JSON with the members of each object in the order
 * of their names, since their order means nothing.
 */
export function fingerprint(sent: unknown): string {
  const sorted = (_name: string, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
      : value;
  return createHash("sha256").update(JSON.stringify(sent, sorted)).digest("hex");
}
