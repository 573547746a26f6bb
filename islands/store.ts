/**
 * What the page knows, as signals. The server makes one from what it renders; the browser makes one from the same
 * and keeps it current from the stream. Tasks are merged by id and version: what is older than known is dropped.
 *
 * @module
 */

import { type Signal, signal } from "@preact/signals";
import type { Stats, Status, Task, TaskHistoryEvent, TaskSummary, TypeInfo } from "../queue/task.ts";

/** What is wrong with a form, by field name; the empty name is for the whole. */
export type FormErrors = Record<string, string>;

/** Everything that the page is rendered from. */
export interface PageData {
  types: TypeInfo[];
  stats: Stats;
  /** What the URL asks for. */
  view: {
    statuses: Status[];
    task_types: string[];
    cursor: string | null;
    task: string | null;
    form: string | null;
  };
  tasks: TaskSummary[];
  next_cursor: string | null;
  total: number;
  /** Token of the stream: everything up to here is in `tasks`. */
  since: string;
  /** Time of the server, RFC 3339. */
  server_time: string;
  open: { task: Task; log: LogEvent[] } | { missing: string } | null;
  form: { values: Record<string, string>; errors: FormErrors; idempotency_key: string };
  principal: { name: string; may_operate: boolean };
  signed_in: boolean;
}

/** A line of a task's log. */
export type LogEvent = Extract<TaskHistoryEvent, { kind: "log" }>;

/** State of the connection to the server. */
export type Connection = "connecting" | "live" | "reconnecting" | "signed_out";

/** The page's knowledge. */
export interface Store {
  data: PageData;
  /** One signal a row, so that a change draws its own row and nothing else. */
  rows: Map<string, Signal<TaskSummary>>;
  /** Ids of the rows, in the order in which they are shown. */
  order: Signal<string[]>;
  /** New tasks that wait for the reader. */
  waiting: Signal<TaskSummary[]>;
  stats: Signal<Stats>;
  open: Signal<Task | null>;
  log: Signal<LogEvent[]>;
  connection: Signal<Connection>;
  /** Milliseconds since the epoch; moves once a second while live. */
  now: Signal<number>;
}

/** Rows that the page holds; older ones are on the next page after a reload. */
const MAX_ROWS = 500;

function newestFirst(a: TaskSummary, b: TaskSummary): number {
  return a.id < b.id ? 1 : -1;
}

/** Log lines that are kept in the page. */
const LOG_LINES = 1_000;

/** Makes a store from what the server knows. */
export function createStore(data: PageData): Store {
  const opened = data.open && "task" in data.open ? data.open : null;
  return {
    data,
    rows: new Map(data.tasks.map((task) => [task.id, signal(task)])),
    order: signal(data.tasks.map(({ id }) => id)),
    waiting: signal([]),
    stats: signal(data.stats),
    open: signal(opened?.task ?? null),
    log: signal(opened?.log ?? []),
    connection: signal("connecting"),
    now: signal(Date.parse(data.server_time)),
  };
}

/** Takes a changed task into its row; a task without one waits, if it belongs into the list. */
export function mergeTask(store: Store, task: TaskSummary & { matches?: boolean }): void {
  const row = store.rows.get(task.id);
  if (row) {
    if (task.version > row.value.version) row.value = task;
    return;
  }
  const others = store.waiting.value.filter(({ id }) => id !== task.id);
  const oldest = store.order.value.at(-1);
  // Older pages do not grow, what belongs to an older page stays there, and so does what does not fit the filter.
  const belongs = !store.data.view.cursor && task.matches !== false &&
    !(store.data.next_cursor && oldest !== undefined && task.id < oldest);
  if (belongs) others.push(task);
  else if (others.length === store.waiting.value.length) return;
  store.waiting.value = others.sort(newestFirst).slice(0, MAX_ROWS);
}

/** Shows the tasks that waited. */
export function showWaiting(store: Store): void {
  const tasks = store.waiting.value;
  if (tasks.length === 0) return;
  for (const task of tasks) store.rows.set(task.id, signal(task));
  const order = [...tasks.map(({ id }) => id), ...store.order.value].sort().reverse();
  for (const id of order.splice(MAX_ROWS)) store.rows.delete(id);
  store.order.value = order;
  store.waiting.value = [];
}

/** Takes a task that was deleted out of the page. */
export function removeTask(store: Store, id: string): void {
  store.waiting.value = store.waiting.value.filter((other) => other.id !== id);
  if (!store.rows.delete(id)) return;
  store.order.value = store.order.value.filter((other) => other !== id);
}

/** Adds log lines that are not there yet. */
export function mergeLog(store: Store, events: TaskHistoryEvent[]): void {
  const last = store.log.value.at(-1);
  const isNew = (event: LogEvent) =>
    !last || event.attempt > last.attempt || (event.attempt === last.attempt && event.line > last.line);
  const lines = events.filter((event) => event.kind === "log").filter(isNew);
  if (lines.length > 0) store.log.value = [...store.log.value, ...lines].slice(-LOG_LINES);
}
