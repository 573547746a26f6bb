/**
 * A logical write: everything that one change needs, to be committed as a whole or not at all. The committer puts
 * many of them into one KV atomic.
 *
 * @module
 */

import { encode, MAX_VALUE_BYTES } from "./codec.ts";
import { type Bucket, keys, placementKey } from "./keys.ts";
import { isTerminal, PRIORITY_STEP_MS, type Status, statusOf, type TaskRecord, type TaskState } from "./task.ts";

/** A change to how many tasks of a type are in a status. */
export interface Count {
  task_type: string;
  status: Status;
  delta: 1 | -1;
}

/** A task that a write moves. `before` is null when it is new, `after` when it is deleted. */
export interface Change {
  id: string;
  before: TaskState | null;
  after: TaskState | null;
}

/** A value to set; `value` is encoded already. */
export interface Put {
  key: Deno.KvKey;
  value: Uint8Array<ArrayBuffer>;
  /** Milliseconds after which KV may collect it. It can stay readable for a minute or more after that. */
  expireIn?: number;
}

/** One logical write. Build it with {@linkcode emptyWrite} or {@linkcode transition}. */
export interface Write {
  /** Writes that share a lock are committed in the order in which they came, never in one atomic and never at once. */
  locks: string[];
  /** Keys that must be as they were read. */
  checks: Deno.AtomicCheck[];
  puts: Put[];
  deletes: Deno.KvKey[];
  counts: Count[];
  changes: Change[];
}

/** A write of nothing, under these locks. */
export function emptyWrite(...locks: string[]): Write {
  return { locks, checks: [], puts: [], deletes: [], counts: [], changes: [] };
}

/** A cold record as it is stored: a result that does not fit stands beside it. */
export type StoredTask = TaskRecord & { result_apart?: true };

function bucketOf(state: TaskState): Bucket {
  const status = statusOf(state);
  return isTerminal(status) ? status : "OPEN";
}

/** Characters of an earlier attempt's message in a record that would be too large otherwise. */
const SHORT_MESSAGE = 80;

function putTask(write: Write, task: TaskRecord): void {
  let stored: StoredTask = task;
  let value = encode(stored);
  if (value.length > MAX_VALUE_BYTES && task.result !== null) {
    write.puts.push({ key: keys.result(task.id), value: encode(task.result) });
    stored = { ...stored, result: null, result_apart: true };
    value = encode(stored);
  }
  if (value.length > MAX_VALUE_BYTES) {
    const attempts = task.attempts.map(({ error, ...attempt }) => ({
      ...attempt,
      error: error && { code: error.code, message: error.message.slice(0, SHORT_MESSAGE) },
    }));
    value = encode({ ...stored, attempts } satisfies StoredTask);
  }
  write.puts.push({ key: keys.task(task.id), value });
}

/**
 * The write that takes a task from one state to another: its records, its placement, its index entry and its
 * counter, and nothing that stays the same. `before` is null for a new task.
 *
 * A plain task costs nine mutations over its life: 3 to submit (record, ready, index), 2 to claim (ready, run) and
 * 4 to end (record, run, both index entries).
 */
export function transition(before: TaskState | null, after: TaskState): Write {
  const { task, run } = after;
  const { id, task_type } = task;
  const write = emptyWrite(id);

  if (task !== before?.task) putTask(write, task);
  if (run) write.puts.push({ key: keys.run(id), value: encode(run) });
  else if (before?.run) write.deletes.push(keys.run(id));

  // A running task has left its place; its cold record still names it, since a claim does not rewrite it.
  const place = run ? null : task.placement;
  const placeBefore = before && !before.run ? before.task.placement : null;
  if (placeBefore && placeBefore !== place) write.deletes.push(placementKey(placeBefore, task_type, id));
  if (place && place !== placeBefore) {
    // The time since which it is ready: the score alone does not tell it from the priority.
    const since = place.kind === "ready" ? place.score + task.priority * PRIORITY_STEP_MS : place.due;
    write.puts.push({ key: placementKey(place, task_type, id), value: encode(since) });
  }

  const bucket = bucketOf(after);
  const bucketBefore = before && bucketOf(before);
  if (bucketBefore !== bucket) {
    if (bucketBefore) write.deletes.push(keys.index(bucketBefore, task_type, id));
    write.puts.push({ key: keys.index(bucket, task_type, id), value: encode(task.completed_at ?? 0) });
  }

  const status = statusOf(after);
  const statusBefore = before && statusOf(before);
  if (statusBefore !== status) {
    if (statusBefore) write.counts.push({ task_type, status: statusBefore, delta: -1 });
    write.counts.push({ task_type, status, delta: 1 });
  }

  write.changes.push({ id, before, after });
  return write;
}

/** How much of the limits of an atomic a write takes. */
export interface WriteSize {
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

/** Measures a write against the limits of an atomic. */
export function sizeOf(write: Write): WriteSize {
  let keyBytes = 0;
  let bytes = 0;
  for (const { key } of write.checks) keyBytes += keySize(key);
  for (const key of write.deletes) keyBytes += keySize(key);
  for (const { key, value } of write.puts) {
    keyBytes += keySize(key);
    bytes += value.length;
  }
  return {
    checks: write.checks.length,
    mutations: write.puts.length + write.deletes.length,
    keyBytes,
    bytes: bytes + keyBytes,
  };
}
