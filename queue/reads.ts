/**
 * Reading tasks: one, many, filtered lists, counts. Reads never write and never wait for a worker.
 *
 * @module
 */

import { getAll } from "./commit.ts";
import { type Counts, readCounts } from "./counts.ts";
import { decode } from "./codec.ts";
import { type Bucket, keys } from "./keys.ts";
import { type ArtifactInfo, isTerminal, type Json, type Status, STATUSES, statusOf, type TaskState } from "./task.ts";
import type { RunRecord } from "./task.ts";
import type { StoredTask } from "./write.ts";

/** Which tasks a list shows. Fields that are left out do not filter. */
export interface Filter {
  statuses?: Status[];
  task_types?: string[];
  tag?: string;
  /** Text to find in id, title, type, message or tags, ignoring case. */
  q?: string;
}

/** A page of a list, newest first. */
export interface Page {
  states: TaskState[];
  /** Pass it as `cursor` for the next page; null on the last. */
  next_cursor: string | null;
  total: number;
  /** Whether `total` stopped at {@linkcode SEARCH_LIMIT}. */
  total_capped: boolean;
  /** How many tasks were searched, where `q` or `tag` was given; null otherwise. */
  searched: number | null;
}

/** `q` and `tag` look at this many of the newest tasks. */
export const SEARCH_LIMIT = 10_000;

const CHUNK = 200;

/** A stored artifact: what it is and where its bytes are. */
export interface StoredFile extends Omit<ArtifactInfo, "created_at"> {
  created_at: number;
  blob: string;
  chunks: number;
}

/** A log line: milliseconds since the epoch, level, text. */
export type LogLine = [at: number, level: string, text: string];

/** A page of log lines; `first` is the number of its first line within the attempt. */
export interface LogPage {
  first: number;
  lines: LogLine[];
}

/** Reads one task with its result, or null. */
export async function readTask(kv: Deno.Kv, id: string): Promise<TaskState | null> {
  const [state] = await readTasks(kv, [id]);
  if (state && (state.task as StoredTask).result_apart) {
    const entry = await kv.get(keys.result(id));
    const { result_apart: _, ...task } = state.task as StoredTask;
    return { run: state.run, task: { ...task, result: entry.value ? decode<Json>(entry.value) : null } };
  }
  return state;
}

/** Reads many tasks; null where there is none. Each is of one snapshot. */
export async function readTasks(kv: Deno.Kv, ids: readonly string[]): Promise<(TaskState | null)[]> {
  const entries = await getAll(kv, ids.flatMap((id) => [keys.task(id), keys.run(id)]));
  return ids.map((_, i) => {
    const task = entries[2 * i].value;
    const run = entries[2 * i + 1].value;
    return task ? { task: decode<StoredTask>(task), run: run ? decode<RunRecord>(run) : null } : null;
  });
}

/** Reads the cold records of tasks that stand in `ready`, and so do not run; null where there is none. */
export async function readReady(kv: Deno.Kv, ids: readonly string[]): Promise<(TaskState | null)[]> {
  const entries = await getAll(kv, ids.map((id) => keys.task(id)));
  return entries.map(({ value }) => value ? { task: decode<StoredTask>(value), run: null } : null);
}

/** Reads tasks by filter, newest first. `cursor` is the id after which the page begins. */
export async function listTasks(
  kv: Deno.Kv,
  filter: Filter,
  limit: number,
  cursor?: string,
): Promise<Page> {
  const counts = await readCounts(kv);
  const searching = filter.q !== undefined || filter.tag !== undefined;
  const states: TaskState[] = [];
  let found = 0;
  let searched = 0;
  let more = false;
  for await (const state of newest(kv, filter, counts, searching ? undefined : cursor, limit + 1)) {
    if (searching && searched === SEARCH_LIMIT) break;
    searched++;
    if (!matchesText(state, filter)) continue;
    found++;
    if (cursor !== undefined && state.task.id >= cursor) continue;
    if (states.length < limit) states.push(state);
    else {
      more = true;
      if (!searching) break;
    }
  }
  return {
    states,
    next_cursor: more ? states[states.length - 1].task.id : null,
    total: searching ? found : totalOf(counts, filter),
    total_capped: searching && searched === SEARCH_LIMIT,
    searched: searching ? searched : null,
  };
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

function matchesText({ task, run }: TaskState, { q, tag }: Filter): boolean {
  if (tag !== undefined && !task.tags.includes(tag)) return false;
  if (q === undefined) return true;
  const wanted = q.toLowerCase();
  const message = run?.message ?? task.message;
  return [task.id, task.title, task.task_type, message, ...task.tags].some((text) =>
    text.toLowerCase().includes(wanted)
  );
}

/** Tasks that fit status and type, newest first, from before `cursor`. */
async function* newest(
  kv: Deno.Kv,
  filter: Filter,
  counts: Counts,
  cursor: string | undefined,
  firstChunk: number,
): AsyncGenerator<TaskState> {
  const statuses = new Set(filter.statuses ?? STATUSES);
  let before = cursor;
  let size = Math.min(CHUNK, firstChunk);
  while (true) {
    const ids = await newestIds(kv, filter, counts, before, size);
    for (const state of await readTasks(kv, ids)) {
      // It may have moved or gone since its index entry was read.
      if (state && statuses.has(statusOf(state))) yield state;
    }
    if (ids.length < size) return;
    before = ids[ids.length - 1];
    size = CHUNK;
  }
}

async function newestIds(
  kv: Deno.Kv,
  { statuses, task_types }: Filter,
  counts: Counts,
  before: string | undefined,
  size: number,
): Promise<string[]> {
  const wanted = statuses ?? STATUSES;
  // Running tasks are as few as there are slots, and have a list of their own.
  if (wanted.length === 1 && wanted[0] === "RUNNING") {
    const ids = await reverseIds(kv, keys.runs(), before, Number.MAX_SAFE_INTEGER, (value) => {
      return !task_types || task_types.includes(decode<RunRecord>(value).task_type);
    });
    return ids.slice(0, size);
  }
  const buckets = new Set<Bucket>(wanted.map((status) => isTerminal(status) ? status : "OPEN"));
  // Only types that have tasks have an index; a filter may name anything.
  const types = Object.keys(counts).filter((type) => !task_types || task_types.includes(type));
  const lists = [...buckets].flatMap((bucket) =>
    types.map((type) => reverseIds(kv, keys.indexOf(bucket, type), before, size))
  );
  return [...new Set((await Promise.all(lists)).flat())].sort().reverse().slice(0, size);
}

async function reverseIds(
  kv: Deno.Kv,
  prefix: Deno.KvKey,
  before: string | undefined,
  limit: number,
  accept: (value: unknown) => boolean = () => true,
): Promise<string[]> {
  const selector = before === undefined ? { prefix } : { prefix, end: [...prefix, before] };
  const ids: string[] = [];
  for await (const entry of kv.list(selector, { reverse: true, limit, batchSize: Math.min(limit, 500) })) {
    if (accept(entry.value)) ids.push(entry.key[entry.key.length - 1] as string);
  }
  return ids;
}

/** Reads the artifacts of a task, by name. */
export async function readArtifacts(kv: Deno.Kv, id: string): Promise<StoredFile[]> {
  const found: StoredFile[] = [];
  for await (const entry of kv.list({ prefix: keys.artifactsOf(id) }, { batchSize: 500 })) {
    found.push(decode<StoredFile>(entry.value));
  }
  return found;
}

/** Where a reader of a log stands: it has seen this attempt up to, not including, this line. */
export interface LogPosition {
  attempt: number;
  line: number;
}

/** Reads up to `limit` log lines of a task from a position on, over all its attempts. */
export async function readLog(
  kv: Deno.Kv,
  id: string,
  from: LogPosition = { attempt: 0, line: 0 },
  limit = 1_000,
): Promise<{ lines: (LogPosition & { at: number; level: string; text: string })[]; next: LogPosition }> {
  const lines: (LogPosition & { at: number; level: string; text: string })[] = [];
  let next = from;
  const prefix = keys.logOf(id);
  const start = [...prefix, from.attempt];
  for await (const entry of kv.list({ prefix, start }, { batchSize: 20 })) {
    const attempt = entry.key[2] as number;
    const page = decode<LogPage>(entry.value);
    const skip = attempt === from.attempt ? Math.max(0, from.line - page.first) : 0;
    for (let i = skip; i < page.lines.length; i++) {
      if (lines.length === limit) return { lines, next };
      const [at, level, text] = page.lines[i];
      lines.push({ attempt, line: page.first + i, at, level, text });
      next = { attempt, line: page.first + i + 1 };
    }
  }
  return { lines, next };
}

/** Reads the newest `limit` lines of a task's log, oldest first. */
export async function readLogTail(kv: Deno.Kv, id: string, limit: number): ReturnType<typeof readLog> {
  let from: LogPosition = { attempt: 0, line: 0 };
  let found = 0;
  for await (const entry of kv.list({ prefix: keys.logOf(id) }, { reverse: true, batchSize: 10 })) {
    const page = decode<LogPage>(entry.value);
    found += page.lines.length;
    from = { attempt: entry.key[2] as number, line: page.first + Math.max(0, found - limit) };
    if (found >= limit) break;
  }
  return await readLog(kv, id, from, limit);
}
