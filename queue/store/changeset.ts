/**
 * A logical write: everything that one change needs, to be committed as a whole or not at all. The committer puts
 * many of them into one KV atomic.
 *
 * @module
 */

import { decode, encode, MAX_VALUE_BYTES } from "./codec.ts";
import { type Bucket, keys, placementKey, sameKey } from "./keys.ts";
import { type Attempt, isTerminal, statusOf, type TaskRecord, type TaskState } from "../task/record.ts";
import { mayExpire, occupies, PRIORITY_STEP_MS } from "../task/transitions.ts";

/** A task that a changeset moves. `before` is null when it is new, `after` when it is deleted. */
export interface Change {
  /** The task. */
  id: string;
  /** Its state before. */
  before: TaskState | null;
  /** Its state after. */
  after: TaskState | null;
}

/** A value to set; `value` is encoded already. */
export interface Put {
  key: Deno.KvKey;
  value: Uint8Array<ArrayBuffer>;
  /** Milliseconds after which KV may collect it. It can stay readable for a minute or more after that. */
  expireIn?: number;
}

/** One logical write. Build it with {@linkcode emptyChangeset} or {@linkcode transition}. */
export interface Changeset {
  /** Changesets that share a lock are committed in order of arrival, never in one atomic and never concurrently. */
  locks: string[];
  /** Keys that must not have changed since they were read. */
  checks: Deno.AtomicCheck[];
  puts: Put[];
  deletes: Deno.KvKey[];
  /** The tasks that it moves: counters, series and the change feed follow from these. */
  changes: Change[];
}

/** An empty changeset with these locks. */
export function emptyChangeset(...locks: string[]): Changeset {
  return { locks, checks: [], puts: [], deletes: [], changes: [] };
}

/** Merges one changeset into another: both are committed or neither. */
export function merge(into: Changeset, from: Changeset): void {
  into.locks.push(...from.locks);
  into.checks.push(...from.checks);
  into.puts.push(...from.puts);
  into.deletes.push(...from.deletes);
  into.changes.push(...from.changes);
}

/** A cold record as stored: a result that does not fit is stored separately. */
export type StoredTask = TaskRecord & { result_apart?: true };

/** The usual values of these fields: they are omitted when stored, which halves the size of a record. */
const COMMON = {
  placement: null,
  progress: 0,
  message: "",
  result: null,
  error: null,
  attempt: 0,
  failures: 0,
  interruptions: 0,
  priority: 0,
  tags: [],
  run_at: null,
  expires_at: null,
  started_at: null,
  completed_at: null,
  retention_ms: null,
  concurrency_key: null,
  unique_key: null,
  depends_on: [],
  has_dependents: false,
  generation: 0,
  schedule_id: null,
  callback_url: null,
  retried_from: null,
  submitted_by: null,
  params_bytes: 0,
  attempts: [],
  actions: [],
  uploads: [],
  record_only: false,
  shard: 0,
} satisfies Partial<TaskRecord>;

/** As stored: usual values are left out, and so is the one attempt of a task that succeeded at once. */
type Packed = Partial<StoredTask> & { ran_by?: string };

function encodeTask(task: StoredTask): Uint8Array<ArrayBuffer> {
  const packed: Record<string, unknown> = {};
  const common: Record<string, unknown> = COMMON;
  let field: keyof StoredTask;
  for (field in task) {
    const value = task[field];
    if (value === common[field] || Array.isArray(value) && value.length === 0) continue;
    packed[field] = value;
  }
  if (task.attempts.length === 1 && isOnly(task, task.attempts[0])) {
    packed.ran_by = task.attempts[0].instance;
    delete packed.attempts;
  }
  return encode(packed);
}

/** Whether an attempt says nothing but its instance that the record does not say. */
function isOnly({ status, attempt, started_at, completed_at }: TaskRecord, only: Attempt): boolean {
  return status === "SUCCESS" && only.outcome === "success" && only.error === null && only.attempt === attempt &&
    only.started_at === started_at && only.completed_at === completed_at;
}

/** Decodes a stored cold record. */
export function decodeTask(bytes: unknown): StoredTask {
  const { ran_by, ...stored } = decode<Packed>(bytes);
  // Fresh arrays: a reader's change to a task must not affect another reader.
  const task = {
    ...COMMON,
    tags: [],
    depends_on: [],
    attempts: [],
    actions: [],
    uploads: [],
    ...stored,
  } as StoredTask;
  if (ran_by !== undefined) {
    const { attempt, started_at, completed_at } = task;
    task.attempts = [{
      attempt,
      instance: ran_by,
      started_at: started_at!,
      completed_at: completed_at!,
      outcome: "success",
      error: null,
    }];
  }
  return task;
}

function bucketOf(state: TaskState): Bucket {
  const status = statusOf(state);
  return isTerminal(status) ? status : "OPEN";
}

/** The longest message of an error, in characters. */
export const MAX_MESSAGE = 1_000;
/** Characters of an earlier attempt's message in a record that would otherwise be too large. */
const SHORT_MESSAGE = 80;

function putTask(changeset: Changeset, task: TaskRecord): void {
  let stored: StoredTask = task;
  let value = encodeTask(stored);
  if (value.length > MAX_VALUE_BYTES && task.result !== null) {
    changeset.puts.push({ key: keys.result(task.id), value: encode(task.result) });
    stored = { ...stored, result: null, result_apart: true };
    value = encodeTask(stored);
  }
  // Drop the stacks of earlier attempts first, then most of their messages.
  for (const chars of [MAX_MESSAGE, SHORT_MESSAGE]) {
    if (value.length <= MAX_VALUE_BYTES) break;
    const attempts = task.attempts.map(({ error, ...attempt }) => ({
      ...attempt,
      error: error && { code: error.code, message: error.message.slice(0, chars) },
    }));
    value = encodeTask({ ...stored, attempts });
  }
  changeset.puts.push({ key: keys.task(task.id), value });
}

/**
 * The changeset that moves a task from one state to another: its records, its placement, its index entry and its
 * counter, and nothing that stays the same. `before` is null for a new task.
 *
 * A plain task costs nine mutations over its life: 3 to submit (record, ready, index), 2 to claim (ready, run) and
 * 4 to end (record, run, both index entries). One that starts in the commit of its submit costs seven: 3 to submit
 * (record, run, index) and 4 to end.
 */
export function transition(before: TaskState | null, after: TaskState): Changeset {
  const changeset = emptyChangeset();
  move(changeset, before, after);
  return changeset;
}

/** Adds a {@linkcode transition} to a changeset. */
export function move(changeset: Changeset, before: TaskState | null, after: TaskState): void {
  const { task, run } = after;
  const { id, task_type } = task;
  changeset.locks.push(id);

  if (task !== before?.task) putTask(changeset, task);
  if (run) changeset.puts.push({ key: keys.run(id), value: encode(run) });
  else if (before?.run) changeset.deletes.push(keys.run(id));

  // A running task has no placement entry; its cold record still names one, since a claim does not rewrite it. A
  // change to a waiting task's record rewrites its placement too, so that a claim of the old one fails its check.
  const place = run ? null : task.placement;
  const placeBefore = before && !before.run ? before.task.placement : null;
  const key = place && placementKey(place, task);
  const keyBefore = placeBefore && placementKey(placeBefore, task);
  if (keyBefore && !(key && sameKey(key, keyBefore))) changeset.deletes.push(keyBefore);
  if (key && place !== placeBefore) changeset.puts.push({ key, value: encode(placementValue(task)) });
  // A claim in flight has read the old entry. Claims themselves check and rewrite the fence once for all their tasks.
  if (placeBefore?.kind === "ready" && !run) putFence(changeset, task_type, task.shard);

  const bucket = bucketOf(after);
  const bucketBefore = before && bucketOf(before);
  if (bucketBefore !== bucket) {
    if (bucketBefore) changeset.deletes.push(keys.index(bucketBefore, task_type, id));
    changeset.puts.push({ key: keys.index(bucket, task_type, id), value: encode(indexValue(after)) });
  }
  moveEntries(changeset, entriesOf(before), entriesOf(after));
  for (const key of effectsOf(before, after)) changeset.puts.push({ key, value: encode(0) });
  changeset.changes.push({ id, before, after });
}

/** Rewrites the fence of a part of `ready`: every claim that has read an entry of it fails and reads again. */
export function putFence(changeset: Changeset, type: string, shard: number): void {
  changeset.puts.push({ key: keys.fence(type, shard), value: encode(0) });
}

/** The value of a placement entry: since when a task is ready, which its score alone does not tell. */
export function placementValue({ placement, priority }: TaskRecord): number {
  return placement?.kind === "ready" ? placement.score + priority * PRIORITY_STEP_MS : 0;
}

/** The value of an index entry: when the task ended, for the janitor; 0: not ended, or it has its own retention. */
export function indexValue(state: TaskState): number {
  const { retention_ms, completed_at } = state.task;
  return isTerminal(statusOf(state)) && retention_ms === null ? completed_at! : 0;
}

/** The entries that only some tasks have: dependencies, expiry, and a retention of its own. */
export function entriesOf(state: TaskState | null): Deno.KvKey[] {
  if (!state) return [];
  const { task } = state;
  const { id } = task;
  const entries: Deno.KvKey[] = [];
  const ended = isTerminal(statusOf(state));
  if (!ended) entries.push(...task.depends_on.map((parent) => keys.child(parent, id)));
  if (mayExpire(state)) entries.push(keys.expiry(task.expires_at!, id));
  if (task.retention_ms !== null && ended) {
    entries.push(keys.retentionDue(task.completed_at! + task.retention_ms, id));
  }
  return entries;
}

function moveEntries(changeset: Changeset, before: Deno.KvKey[], after: Deno.KvKey[]): void {
  if (before.length === 0 && after.length === 0) return;
  const texts = (entries: Deno.KvKey[]) => new Set(entries.map((key) => JSON.stringify(key)));
  const [had, has] = [texts(before), texts(after)];
  for (const key of before) if (!has.has(JSON.stringify(key))) changeset.deletes.push(key);
  for (const key of after) if (!had.has(JSON.stringify(key))) changeset.puts.push({ key, value: encode(0) });
}

/** The pending effects of a change: on its dependents, its callback, its concurrency key. */
export function effectsOf(before: TaskState | null, after: TaskState): Deno.KvKey[] {
  const { id, task_type, has_dependents, concurrency_key, callback_url } = after.task;
  const follows: Deno.KvKey[] = [];
  const ended = isTerminal(statusOf(after)) && !(before && isTerminal(statusOf(before)));
  if (has_dependents && ended) follows.push(keys.dependentsEffect(id));
  if (callback_url !== null && ended) follows.push(keys.callbackEffect(id));
  // A retried task waits for its parents again; for a new task, the submit adds the parents that already exist.
  if (before && isTerminal(statusOf(before)) && after.task.placement?.kind === "blocked") {
    follows.push(...after.task.depends_on.map(keys.dependentsEffect));
  }
  if (concurrency_key !== null) {
    const wants = after.task.placement?.kind === "limited" && !after.run;
    const frees = before !== null && occupies(before) && !occupies(after);
    if (wants || frees) follows.push(keys.concurrencyKeyEffect(task_type, concurrency_key));
  }
  return follows;
}

/** How much of an atomic's limits a changeset takes. */
export interface ChangesetSize {
  checks: number;
  mutations: number;
  keyBytes: number;
  /** Keys and values. */
  bytes: number;
}

function keySize(key: Deno.KvKey): number {
  let size = 0;
  for (const part of key) size += typeof part === "string" ? part.length + 2 : 10;
  return size;
}

/** Measures a changeset against the limits of an atomic. */
export function sizeOf(changeset: Changeset): ChangesetSize {
  let keyBytes = 0;
  let bytes = 0;
  for (const { key } of changeset.checks) keyBytes += keySize(key);
  for (const key of changeset.deletes) keyBytes += keySize(key);
  for (const { key, value } of changeset.puts) {
    keyBytes += keySize(key);
    bytes += value.length;
  }
  return {
    checks: changeset.checks.length,
    mutations: changeset.puts.length + changeset.deletes.length,
    keyBytes,
    bytes: bytes + keyBytes,
  };
}
