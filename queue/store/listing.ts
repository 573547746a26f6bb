/**
 * Lists of tasks: by status, type, time, tag and text, page by page, and what a bulk action has matched. Lists are read
 * from the index; they never write and never wait for a worker.
 *
 * @module
 */

import { type ContentFilter, looksInside, matchesContent } from "../task/content_filter.ts";
import { SEARCH_LIMIT } from "../task/limits.ts";
import type { ChangeRecord } from "./commit/lane.ts";
import { getAll } from "./kv.ts";
import { InvalidInputError } from "../task/errors.ts";
import { type Counts, readCounts } from "./counts.ts";
import { decode } from "./codec.ts";
import { firstIdAt } from "../task/ids.ts";
import { type Bucket, keys, placementKey } from "./keys.ts";
import { readTasks } from "./reads.ts";
import { isTerminal, type RunRecord, type Status, STATUSES, statusOf, type TaskState } from "../task/record.ts";

/** Which tasks a list shows. Fields that are left out do not filter. */
export interface Filter extends ContentFilter {
  /** Only these statuses. */
  statuses?: Status[];
  /** Only these types. */
  task_types?: string[];
  /** Created at this time or later, milliseconds since the epoch. */
  created_from?: number;
  /** Created before this time, milliseconds since the epoch. */
  created_to?: number;
}

/** Which end of a list comes first. */
export type Order = "newest" | "oldest";

/** A page of a list. */
export interface Page {
  /** The tasks of the page. */
  states: TaskState[];
  /** Pass it as `cursor` for the next page; null on the last. */
  next_cursor: string | null;
  /** Pass it as `cursor` for the page before, the empty string for the first one; null on the first. */
  prev_cursor: string | null;
  /** How many tasks the filter matches. */
  total: number;
  /** Whether `total` stopped at {@linkcode SEARCH_LIMIT}, or where a search reached its read limit. */
  total_capped: boolean;
  /** How many tasks were searched, where the filter looks inside tasks; null otherwise. */
  searched: number | null;
}

/** … or at this many bytes of their records, if these are larger than most. */
const SEARCH_BYTES = 32_000_000;

/** Tasks that are read at once. */
export const CHUNK = 200;

/** Reads tasks by filter. `cursor` is the id after which the page begins. */
export async function listTasks(
  kv: Deno.Kv,
  filter: Filter,
  limit: number,
  cursor?: string,
  order: Order = "newest",
): Promise<Page> {
  const counts = await readCounts(kv);
  const searching = looksInside(filter);
  const states: TaskState[] = [];
  let found = 0;
  let searched = 0;
  const before: string[] = [];
  let more = false;
  let bytes = 0;
  let cut = false;
  const passed = (id: string) => cursor !== undefined && (order === "newest" ? id >= cursor : id <= cursor);
  const onBytes = (read: number) => bytes += read;
  for await (const state of walk(kv, filter, counts, order, searching ? undefined : cursor, limit + 1, onBytes)) {
    cut = searching && (searched === SEARCH_LIMIT || bytes > SEARCH_BYTES);
    if (cut) break;
    searched++;
    if (!hasContent(state, filter)) continue;
    found++;
    if (passed(state.task.id)) {
      if (before.push(state.task.id) > limit + 1) before.shift();
      continue;
    }
    if (states.length < limit) states.push(state);
    else {
      more = true;
      if (!searching) break;
    }
  }
  const ranged = filter.created_from !== undefined || filter.created_to !== undefined;
  const total = searching
    ? { total: found, capped: cut }
    : ranged
    ? await countRange(kv, filter, counts)
    : { total: totalOf(counts, filter), capped: false };
  return {
    states,
    next_cursor: more ? states[states.length - 1].task.id : null,
    prev_cursor: cursor === undefined ? null : searching
      // The previous page ends with the cursor; its own cursor is one page earlier.
      ? before[before.length - 1 - limit] ?? ""
      : await pageBefore(kv, filter, limit, cursor, order, counts),
    // Tasks may have come since they were counted.
    total: Math.max(total.total, states.length),
    total_capped: total.capped,
    searched: searching ? searched : null,
  };
}

/** The cursor of the page that ends with `cursor`: the id one page earlier, or "" for the beginning. */
async function pageBefore(
  kv: Deno.Kv,
  filter: Filter,
  limit: number,
  cursor: string,
  order: Order,
  counts: Counts,
): Promise<string> {
  let left = limit;
  for await (const state of walk(kv, filter, counts, order === "newest" ? "oldest" : "newest", cursor, limit)) {
    if (--left === 0) return state.task.id;
  }
  return "";
}

/** Counts the tasks of a filter by status, type and time, up to {@linkcode SEARCH_LIMIT}. */
async function countRange(
  kv: Deno.Kv,
  filter: Filter,
  counts: Counts,
): Promise<{ total: number; capped: boolean }> {
  const open = filter.statuses?.filter((status) => !isTerminal(status)) ?? [];
  let total = 0;
  if (open.length === 1) {
    // PENDING and RUNNING share an index bucket: only the tasks themselves tell them apart.
    for await (const _ of walk(kv, filter, counts, "newest", undefined, CHUNK)) {
      if (++total === SEARCH_LIMIT) break;
    }
  } else total = (await walkIds(kv, filter, counts, "newest", undefined, SEARCH_LIMIT)).length;
  return { total, capped: total === SEARCH_LIMIT };
}

/** One chunk of the scanned tasks, and the ids of those that the filter matches. */
export interface Matched {
  /** How many were scanned. */
  looked: number;
  /** The last one that was scanned. */
  last: string;
  ids: string[];
}

/**
 * Scans the tasks of a filter, oldest first, and yields those that already matched at the commit `asOf`: what someone
 * saw in a list, however much has changed since. Where the list looks inside tasks, this scans no more than the
 * list does.
 *
 * @param after Begin after this id.
 * @throws {InvalidInputError} If `asOf` is too old to know what was running then.
 */
export async function* matching(kv: Deno.Kv, filter: Filter, asOf: string, after?: string): AsyncGenerator<Matched> {
  const counts = await readCounts(kv);
  let from = after;
  if (looksInside(filter)) {
    const before = await lookThrough(kv, filter, counts);
    if (before !== null && (from === undefined || before > from)) from = before;
  }
  const open = filter.statuses?.filter((status) => !isTerminal(status)) ?? [];
  const since = open.length === 1 && open[0] === "RUNNING" ? await timeOf(kv, asOf) : null;
  for await (const states of walkChunks(kv, filter, counts, "oldest", from, CHUNK)) {
    const fitting = states.filter((state) => hasContent(state, filter));
    const marks = await getAll(kv, fitting.map((state) => markOf(state, open.length === 1)));
    const ids = fitting.flatMap((state, i) => {
      const { versionstamp } = marks[i];
      const stood = state.run && since !== null
        ? state.run.started_at <= since
        : versionstamp !== null && versionstamp <= asOf;
      return stood ? [state.task.id] : [];
    });
    yield { looked: states.length, last: states[states.length - 1].task.id, ids };
  }
}

/** Looks at all tasks that a searching list scans, newest first. Returns the first that it no longer scans, or null. */
export async function lookThrough(
  kv: Deno.Kv,
  filter: Filter,
  counts: Counts,
  look: (state: TaskState) => void = () => {},
): Promise<string | null> {
  let bytes = 0;
  let looked = 0;
  for await (const state of walk(kv, filter, counts, "newest", undefined, CHUNK, (read) => bytes += read)) {
    if (looked === SEARCH_LIMIT || bytes > SEARCH_BYTES) return state.task.id;
    looked++;
    look(state);
  }
  return null;
}

/** The entry last written when a task got its status; PENDING and RUNNING are distinguished on request. */
function markOf({ task, run }: TaskState, tellOpen: boolean): Deno.KvKey {
  const status = statusOf({ task, run });
  if (isTerminal(status)) return keys.index(status, task.task_type, task.id);
  return tellOpen && !run && task.placement
    ? placementKey(task.placement, task)
    : keys.index("OPEN", task.task_type, task.id);
}

/** When a commit was made. */
async function timeOf(kv: Deno.Kv, versionstamp: string): Promise<number> {
  const entry = await kv.get(keys.change(versionstamp));
  if (entry.value) return decode<ChangeRecord>(entry.value).at;
  const detail = "This as_of is too old. Reload the list and pass the new as_of.";
  throw new InvalidInputError([{ pointer: "/as_of", detail }]);
}

/** How many tasks the counters say a filter by status and type has. */
export function totalOf(counts: Counts, filter: Filter): number {
  let total = 0;
  for (const [type, byStatus] of Object.entries(counts)) {
    if (filter.task_types && !filter.task_types.includes(type)) continue;
    for (const status of filter.statuses ?? STATUSES) total += byStatus[status] ?? 0;
  }
  return total;
}

/** Whether a state contains what a filter asks for; a running task has its message in the run record. */
export function hasContent({ task, run }: TaskState, filter: Filter): boolean {
  return matchesContent(run ? { ...task, message: run.message, error: null, completed_at: null } : task, filter);
}

/** Tasks that match status, type and time, in order, after `cursor`. */
export async function* walk(...from: Parameters<typeof walkChunks>): AsyncGenerator<TaskState> {
  for await (const states of walkChunks(...from)) yield* states;
}

async function* walkChunks(
  kv: Deno.Kv,
  filter: Filter,
  counts: Counts,
  order: Order,
  cursor: string | undefined,
  firstChunk: number,
  onBytes?: (bytes: number) => void,
): AsyncGenerator<TaskState[]> {
  const statuses = new Set(filter.statuses ?? STATUSES);
  let from = cursor;
  let size = Math.min(CHUNK, firstChunk);
  while (true) {
    const ids = await walkIds(kv, filter, counts, order, from, size);
    // A task may have changed or been deleted since its index entry was read.
    const states = (await readTasks(kv, ids, onBytes)).filter((state) =>
      state !== null && statuses.has(statusOf(state))
    );
    if (states.length > 0) yield states as TaskState[];
    if (ids.length < size) return;
    from = ids[ids.length - 1];
    size = CHUNK;
  }
}

async function walkIds(
  kv: Deno.Kv,
  { statuses, task_types, created_from, created_to }: Filter,
  counts: Counts,
  order: Order,
  cursor: string | undefined,
  size: number,
): Promise<string[]> {
  const wanted = statuses ?? STATUSES;
  // Ids sort by the time at which they were made.
  let start = created_from === undefined ? undefined : firstIdAt(created_from);
  let end = created_to === undefined ? undefined : firstIdAt(created_to);
  if (cursor !== undefined) {
    if (order === "newest") end = end === undefined || cursor < end ? cursor : end;
    // The id after the cursor: no id is longer.
    else start = start === undefined || cursor >= start ? `${cursor}0` : start;
  }
  if (start !== undefined && end !== undefined && start >= end) return [];
  const idsOf = (prefix: Deno.KvKey, limit: number, accept?: (value: unknown) => boolean) =>
    readIds(kv, { prefix, start, end, order, limit, accept });
  // Running tasks are few, about one per slot, and have their own prefix.
  if (wanted.length === 1 && wanted[0] === "RUNNING") {
    const ids = await idsOf(keys.runs(), Number.MAX_SAFE_INTEGER, (value) => {
      return !task_types || task_types.includes(decode<RunRecord>(value).task_type);
    });
    return ids.slice(0, size);
  }
  const ids = new Set<string>();
  const read = new Set<string>();
  // Read only what the counters list: a filter may name anything, and most types have no task in most statuses.
  // Parts counted as empty are checked again, and OPEN goes first, so that a task that ends meanwhile is not missed.
  for (let known = counts;; known = await readCounts(kv)) {
    const prefixes = prefixesOf(known, wanted, task_types).filter((prefix) => !read.has(prefix.join(" ")));
    if (prefixes.length === 0) break;
    const open = prefixes.filter(([, bucket]) => bucket === "OPEN");
    for (const group of [open, prefixes.filter((prefix) => !open.includes(prefix))]) {
      for (const found of await Promise.all(group.map((prefix) => idsOf(prefix, size)))) {
        for (const id of found) ids.add(id);
      }
    }
    for (const prefix of prefixes) read.add(prefix.join(" "));
  }
  const sorted = [...ids].sort();
  return (order === "newest" ? sorted.reverse() : sorted).slice(0, size);
}

/** The parts of the index that have tasks of these statuses and types, as far as the counters know. */
function prefixesOf(counts: Counts, wanted: readonly Status[], task_types: string[] | undefined): Deno.KvKey[] {
  const buckets = new Set<Bucket>(wanted.map((status) => isTerminal(status) ? status : "OPEN"));
  return Object.entries(counts).filter(([type]) => !task_types || task_types.includes(type)).flatMap(([type, of]) =>
    [...buckets].filter((bucket) => bucket === "OPEN" ? of.PENDING || of.RUNNING : of[bucket])
      .map((bucket) => keys.indexOf(bucket, type))
  );
}

interface IdRange {
  prefix: Deno.KvKey;
  start: string | undefined;
  end: string | undefined;
  order: Order;
  limit: number;
  accept?: (value: unknown) => boolean;
}

async function readIds(
  kv: Deno.Kv,
  { prefix, start, end, order, limit, accept = () => true }: IdRange,
): Promise<string[]> {
  // A selector takes a prefix with one of its bounds, or both bounds without it.
  const from = start === undefined ? undefined : [...prefix, start];
  const to = end === undefined ? undefined : [...prefix, end];
  const selector: Deno.KvListSelector = from && to
    ? { start: from, end: to }
    : from
    ? { prefix, start: from }
    : to
    ? { prefix, end: to }
    : { prefix };
  const options = { reverse: order === "newest", limit, batchSize: Math.min(limit, 500) };
  const ids: string[] = [];
  for await (const entry of kv.list(selector, options)) {
    if (accept(entry.value)) ids.push(entry.key[entry.key.length - 1] as string);
  }
  return ids;
}
