/**
 * The format of a store: a number under `meta, format`, which grows when the table of keys changes. A store of an older
 * format is migrated when a queue starts on it; one of a newer format is refused.
 *
 * | format | since |
 * |---|---|
 * | 1 | the beginning; it is not written down |
 * | 2 | `ready` has shards and their fences; kinds of entries have the names of what they are |
 *
 * @module
 */

import { type Clock, delay } from "../../task/clock.ts";
import { StoreFormatError } from "../../task/errors.ts";
import type { Logger } from "../../log.ts";
import { decode, encode } from "../codec.ts";
import { retire } from "./instances.ts";
import { keys } from "../keys.ts";
import { persist } from "../kv.ts";

/** The format that this version reads and writes. */
export const FORMAT = 2;

/** @throws {StoreFormatError} If a store of this format is not one that this version reads and writes. */
export function assertFormat(format: number): void {
  if (format !== FORMAT) throw new StoreFormatError(format, FORMAT);
}

/** What is moved in one atomic at most: entries, of two mutations each, and bytes of their keys and values. */
const BATCH = { entries: 400, keyBytes: 60_000, bytes: 400_000 };
/** How often a migration by another instance is looked at, in milliseconds. */
const POLL_MS = 1_000;

/** What {@linkcode migrate} needs. */
export interface MigrationOptions {
  kv: Deno.Kv;
  clock: Clock;
  log: Logger;
  /** Whether other instances share the store. */
  distributed: boolean;
  /** After this time without a heartbeat, or a step of a migration, an instance is dead. Milliseconds. */
  leaseMs: number;
}

/** The format of a store; null: there is nothing of a queue in it yet. */
export async function readFormat(kv: Deno.Kv): Promise<number | null> {
  // The first instance on a store writes its lanes and the format at once: whoever sees the lanes sees the format after.
  const isUsed = (await kv.list({ prefix: keys.lanes() }, { limit: 1 }).next()).value !== undefined;
  const entry = await kv.get(keys.format());
  if (entry.value) return decode<number>(entry.value);
  // Whatever else is in the store: a queue that was opened once has left counters.
  return isUsed ? 1 : null;
}

/**
 * Brings a store to the format of this version. It may be interrupted: the next call goes on.
 *
 * @returns The format that it had before; null: it was empty.
 * @throws {StoreFormatError} If it is of a newer format, or instances of an older version still use it.
 */
export async function migrate(options: MigrationOptions): Promise<number | null> {
  const { kv, clock, log } = options;
  const format = await persist(clock, () => readFormat(kv));
  if (format === null) return null;
  if (format >= FORMAT) {
    assertFormat(format);
    return format;
  }
  log.warn("The store is of an older format and is migrated.", { format, to: FORMAT });
  const migration = await Migration.begin(options);
  if (!migration) return format;
  let moved = 0;
  for (const { from, to } of RENAMED) moved += await migration.move(from, to);
  // The wake-up of format 1 is written anew, under its new name, by every commit.
  await migration.step((atomic) => atomic.delete(["bell"]).set(keys.format(), encode(FORMAT)));
  log.info("The store was migrated.", { format: FORMAT, entries: moved });
  return format;
}

/** The keys of format 1 that have changed: what each key becomes, or null if it stays. */
const RENAMED: { from: Deno.KvKey; to: (key: Deno.KvKey) => Deno.KvKey | null }[] = [
  {
    from: ["ready"],
    // Entries that were moved already have one part more.
    to: (key) => key.length === 4 ? keys.ready(key[1] as string, 0, key[2] as number, key[3] as string) : null,
  },
  { from: ["follow", "task"], to: ([, , ...rest]) => ["effect", "dependents", ...rest] },
  { from: ["follow", "slot"], to: ([, , ...rest]) => ["effect", "key", ...rest] },
  { from: ["follow", "callback"], to: ([, , ...rest]) => ["effect", "callback", ...rest] },
  { from: ["limited"], to: ([, ...rest]) => ["key_waiting", ...rest] },
  { from: ["slot"], to: ([, ...rest]) => ["key_holders", ...rest] },
  { from: ["drop"], to: ([, ...rest]) => ["retention", ...rest] },
  { from: ["removed"], to: ([, ...rest]) => ["tombstone", ...rest] },
  { from: ["command"], to: ([, ...rest]) => ["cancel_request", ...rest] },
  { from: ["mark"], to: ([, ...rest]) => ["annotation", ...rest] },
];

/** The most bytes that a key takes: up to three for each UTF-16 unit of its text. */
function keySize(key: Deno.KvKey): number {
  return key.reduce((sum: number, part) => sum + (typeof part === "string" ? 3 * part.length + 2 : 10), 0);
}

/**
 * A migration: every step checks and rewrites one entry, so that there is one migration at a time, and a step that is
 * sent twice is done once.
 */
class Migration {
  readonly #options: MigrationOptions;
  readonly #id = crypto.randomUUID();
  #step = 0;
  #versionstamp: string | null;
  #lost = false;

  private constructor(options: MigrationOptions, versionstamp: string | null) {
    this.#options = options;
    this.#versionstamp = versionstamp;
  }

  /** Waits until no instance is alive and no other migration moves; null: another has done it meanwhile. */
  static async begin(options: MigrationOptions): Promise<Migration | null> {
    const { kv, clock, distributed, leaseMs } = options;
    const instances = () => persist(clock, () => Array.fromAsync(kv.list({ prefix: keys.instances() })));
    const before = await instances();
    if (distributed && before.length > 0) {
      await delay(clock, leaseMs);
      const stamps = (entries: Deno.KvEntry<unknown>[]) => entries.map(({ versionstamp }) => versionstamp).join();
      if (stamps(await instances()) !== stamps(before)) {
        throw new StoreFormatError(1, FORMAT, "Instances of an older version use it: stop all of them first.");
      }
    }
    let seen: string | null | undefined;
    let since = clock.monotonic();
    while (await persist(clock, () => readFormat(kv)) !== FORMAT) {
      const { versionstamp } = await persist(clock, () => kv.get(keys.migration()));
      if (versionstamp !== seen) since = clock.monotonic();
      seen = versionstamp;
      if (versionstamp === null || !distributed || clock.monotonic() - since >= leaseMs) {
        const migration = new Migration(options, versionstamp);
        await migration.step((atomic) => atomic);
        // None of the older instances can write any more. The owner of a file is the only one.
        if (distributed) { for (const { key } of before) await retire(kv, clock, key[1] as string); }
        return migration;
      }
      await delay(clock, POLL_MS);
    }
    return null;
  }

  /**
   * Commits one step.
   *
   * @throws {StoreFormatError} If another migration has taken over.
   */
  async step(add: (atomic: Deno.AtomicOperation) => Deno.AtomicOperation): Promise<void> {
    const { kv, clock } = this.#options;
    const key = keys.migration();
    const mark = `${this.#id}:${++this.#step}`;
    await persist(clock, async () => {
      const result = await add(kv.atomic().check({ key, versionstamp: this.#versionstamp }).set(key, encode(mark)))
        .commit();
      // An answer may have been lost: then the entry says that this step was committed.
      const entry = result.ok ? null : await kv.get(key);
      if (entry && !(entry.value && decode<string>(entry.value) === mark)) this.#lost = true;
      else this.#versionstamp = result.ok ? result.versionstamp : entry!.versionstamp;
    });
    if (this.#lost) throw new StoreFormatError(1, FORMAT, "Another instance migrates it.");
  }

  /** Moves the entries of a prefix, each with its value; returns how many. */
  async move(prefix: Deno.KvKey, to: (key: Deno.KvKey) => Deno.KvKey | null): Promise<number> {
    let moved = 0;
    let batch: [from: Deno.KvKey, to: Deno.KvKey, value: unknown][] = [];
    let keyBytes = 0;
    let bytes = 0;
    const commit = async () => {
      await this.step((atomic) => {
        for (const [from, to, value] of batch) atomic.set(to, value).delete(from);
        return atomic;
      });
      moved += batch.length;
      batch = [];
      keyBytes = bytes = 0;
    };
    for await (const { key, value } of this.#options.kv.list({ prefix }, { batchSize: 500 })) {
      const target = to(key);
      if (!target) continue;
      const size = { keyBytes: keySize(key) + keySize(target), bytes: (value as Uint8Array).length };
      const isFull = batch.length === BATCH.entries || keyBytes + size.keyBytes > BATCH.keyBytes ||
        bytes + size.bytes > BATCH.bytes;
      if (batch.length > 0 && isFull) await commit();
      batch.push([key, target, value]);
      keyBytes += size.keyBytes;
      bytes += size.bytes;
    }
    if (batch.length > 0) await commit();
    return moved;
  }
}
