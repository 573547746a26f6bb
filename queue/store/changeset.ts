/**
 * A logical write: everything that one change needs, to be committed as a whole or not at all. The committer puts
 * many of them into one KV atomic.
 *
 * @module
 */

import { encode } from "./codec.ts";
import { type Bucket, keys, placementKey, sameKey } from "./keys.ts";
import { isTerminal, statusOf, type TaskRecord, type TaskState } from "../task/record.ts";
import { MAX_IN_READY, packTask } from "./task_codec.ts";
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
  /** When something else than these tasks becomes due. Milliseconds since the epoch. */
  due?: number;
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
  if (from.due !== undefined) into.due = Math.min(from.due, into.due ?? Infinity);
}

function bucketOf(state: TaskState): Bucket {
  const status = statusOf(state);
  return isTerminal(status) ? status : "OPEN";
}

/** Puts a cold record, and returns it as it is stored. */
function putTask(changeset: Changeset, task: TaskRecord): Uint8Array<ArrayBuffer> {
  const { value, result } = packTask(task);
  if (result) changeset.puts.push({ key: keys.result(task.id), value: result });
  changeset.puts.push({ key: keys.task(task.id), value });
  return value;
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

  const stored = task === before?.task ? null : putTask(changeset, task);
  if (run) changeset.puts.push({ key: keys.run(id), value: encode(run) });
  else if (before?.run) changeset.deletes.push(keys.run(id));

  // A running task has no placement entry; its cold record still names one, since a claim does not rewrite it. A
  // change to a waiting task's record rewrites its placement too, so that a claim of the old one fails its check.
  const place = run ? null : task.placement;
  const placeBefore = before && !before.run ? before.task.placement : null;
  const key = place && placementKey(place, task);
  const keyBefore = placeBefore && placementKey(placeBefore, task);
  if (keyBefore && !(key && sameKey(key, keyBefore))) changeset.deletes.push(keyBefore);
  if (key && place !== placeBefore) {
    const isSmall = place.kind === "ready" && stored !== null && stored.length <= MAX_IN_READY;
    changeset.puts.push({ key, value: isSmall ? stored : encode(readySince(task)) });
  }
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

/** Since when a task is ready, which its score alone does not tell; 0: it is not. */
export function readySince({ placement, priority }: TaskRecord): number {
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
