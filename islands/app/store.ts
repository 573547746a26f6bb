/**
 * The page's state, as signals. The server creates a store from what it renders; the browser creates one from the same
 * data and keeps it current from the stream. Tasks are merged by id and version: older versions are dropped.
 *
 * @module
 */

import { isTerminal } from "../../queue/task/record.ts";
import { batch, computed, signal } from "@preact/signals";
import type { Permission, TaskHistoryEvent } from "../../queue/task/api_types.ts";
import type { Task, TaskSummary } from "../../queue/task/summary.ts";
import { absolute } from "./format.ts";
import { fitsText, hrefOf, type View } from "./url.ts";
import {
  type ListState,
  type LogEvent,
  type LogGap,
  type Open,
  type PageData,
  type Store,
  type Toast,
} from "./state.ts";

/** Log lines that the page keeps. */
export const LOG_LINES = 5_000;

/** Maximum new tasks that wait; the next read of the list counts any others. */
export const MAX_WAITING = 1_000;

/** Makes a store from what the server knows. */
export function createStore(data: PageData): Store {
  const opened = data.open && "task" in data.open ? data.open : null;
  const at = Date.parse(data.server_time);
  const view = signal(data.view);
  const open = signal<Open | null>(opened ? { task: opened.task } : data.open as Open | null);
  return {
    types: data.types,
    caller: data.caller,
    signedIn: data.signed_in,
    limits: data.limits,
    view,
    base: computed(() => hrefOf(view.value, { task: null, form: null, from: null })),
    ignored: signal(data.ignored),
    rows: new Map(data.tasks.map((task) => [task.id, signal({ task, matches: true })])),
    order: signal(data.tasks.map(({ id }) => id)),
    list: signal({ ...data.list, at, loading: false, error: null }),
    waiting: signal([]),
    stats: signal(data.stats),
    open,
    task: computed(() => open.value && "task" in open.value ? open.value.task : null),
    log: signal(opened?.log ?? []),
    logLimit: signal(LOG_LINES),
    gaps: signal([]),
    connection: signal("connecting"),
    outage: signal(null),
    paused: signal(null),
    held: signal(0),
    now: signal(at),
    clock: signal(at),
    freshAt: signal(at),
    selected: signal(new Map()),
    everything: signal(false),
    requested: signal(new Map()),
    toasts: signal([]),
    question: signal(null),
    help: signal(false),
    preferences: signal(data.preferences),
    polite: signal(""),
    alert: signal(""),
    form: data.form,
  };
}

/** Whether the caller may do something. */
export function can(store: Store, permission: Permission): boolean {
  return store.caller.permissions.includes(permission);
}

/** What a type is called. */
export function titleOf(store: Store, type: string): string {
  return store.types.find((one) => one.type === type)?.title ?? (type === "bulk" ? "Bulk action" : type);
}

/** How times of a filter are written: in the reader's zone. */
export function timeWords(store: Store): (iso: string) => string {
  const style = store.preferences.value.time;
  return (iso) => absolute(Date.parse(iso), style);
}

/** Whether tasks that are new belong on the page that is shown. */
function showsNew({ view }: Store): boolean {
  return view.value.cursor === null && view.value.order === "newest";
}

function inOrder(view: View): (a: string, b: string) => number {
  return view.order === "newest" ? (a, b) => a < b ? 1 : -1 : (a, b) => a < b ? -1 : 1;
}

/** A task as the stream reports it. */
export type Changed = (TaskSummary & { matches?: boolean; deleted?: undefined }) | { id: string; deleted: true };

/** Merges changed tasks into their rows. A task without a row waits, if it belongs to the list. */
export function mergeTasks(store: Store, changes: Iterable<Changed>): void {
  const view = store.view.value;
  const last = store.order.value.at(-1);
  const { next_cursor } = store.list.value;
  const waiting = new Map(store.waiting.value.map((task) => [task.id, task]));
  const answered: string[] = [];
  let moved = false;
  for (const task of changes) {
    if (task.deleted) {
      moved = waiting.delete(task.id) || moved;
      removeTask(store, task.id);
      continue;
    }
    const matches = task.matches !== false && fitsText(view, task, store.now.value);
    if (store.requested.value.has(task.id)) answered.push(task.id);
    const row = store.rows.get(task.id);
    if (row) {
      if (task.version > row.value.task.version) row.value = { task, matches };
      continue;
    }
    // Later pages do not grow. Tasks of an older page, or that do not match the filter, are not added.
    const beyond = next_cursor !== null && last !== undefined && task.id < last;
    if (matches && showsNew(store) && !beyond) moved = !!waiting.set(task.id, task);
    else moved = waiting.delete(task.id) || moved;
  }
  if (answered.length > 0) settle(store, answered);
  if (!moved) return;
  // The tasks that have waited longest are on another page by now.
  store.waiting.value = [...waiting.values()].slice(-MAX_WAITING);
}

/** Forgets requested actions of tasks that have ended, or that have been restarted. */
function settle(store: Store, ids: string[]): void {
  const done = ids.filter((id) => {
    const status = (store.rows.get(id)?.value.task ?? store.task.value)?.status;
    const ended = status === undefined || isTerminal(status);
    return ended === (store.requested.value.get(id)!.verb === "Cancelling");
  });
  if (done.length > 0) clearRequested(store, ...done);
}

/**
 * Shows the tasks that waited; as many of the oldest leave for the next page.
 *
 * @param as_of The commit that the list reflects then.
 */
export function showWaiting(store: Store, as_of: string): void {
  const tasks = store.waiting.value;
  if (tasks.length === 0) return;
  const { limit } = store.view.value;
  for (const task of tasks) store.rows.set(task.id, signal({ task, matches: true }));
  const order = [...new Set([...tasks.map(({ id }) => id), ...store.order.value])].sort(inOrder(store.view.value));
  const gone = order.splice(limit);
  batch(() => {
    store.order.value = order;
    store.waiting.value = [];
    const list = store.list.value;
    store.list.value = {
      ...list,
      as_of,
      at: store.clock.value,
      total: list.total + tasks.length,
      next_cursor: gone.length > 0 ? order[order.length - 1] : list.next_cursor,
    };
  });
  for (const id of gone) store.rows.delete(id);
}

/** Replaces the list that is shown. Rows that stay keep the newer version. */
export function replaceList(store: Store, tasks: TaskSummary[], list: ListState): void {
  batch(() => {
    const ids = new Set(tasks.map(({ id }) => id));
    for (const task of tasks) {
      const row = store.rows.get(task.id);
      if (!row) store.rows.set(task.id, signal({ task, matches: true }));
      else row.value = { task: row.value.task.version > task.version ? row.value.task : task, matches: true };
    }
    store.order.value = tasks.map(({ id }) => id);
    store.waiting.value = [];
    store.list.value = list;
    for (const id of store.rows.keys()) if (!ids.has(id)) store.rows.delete(id);
  });
}

/** Removes a deleted task from the page. */
export function removeTask(store: Store, id: string): void {
  if (store.waiting.value.some((task) => task.id === id)) {
    store.waiting.value = store.waiting.value.filter((other) => other.id !== id);
  }
  if (store.task.value?.id === id) store.open.value = { missing: id };
  select(store, [id], false);
  if (!store.rows.delete(id)) return;
  store.order.value = store.order.value.filter((other) => other !== id);
  const list = store.list.value;
  store.list.value = { ...list, total: Math.max(0, list.total - 1) };
}

/** Whether the page shows fewer rows than there are for it. */
export function hasRoomForMore({ order, view, list }: Store): boolean {
  return list.value.next_cursor !== null && order.value.length < view.value.limit;
}

/** Merges a newer state of the open task; fields missing from a summary are kept. */
export function mergeOpen(store: Store, task: TaskSummary | Task): void {
  const known = store.task.value;
  if (!known || known.id !== task.id || task.version < known.version) return;
  if (task.version === known.version && !("input_params" in task)) return;
  store.open.value = { task: { ...known, ...task, error: task.error && { ...known.error, ...task.error } } };
}

/** Adds log lines that are not there yet, at the end. */
export function mergeLog(store: Store, events: TaskHistoryEvent[], gap: LogGap | null = null): void {
  let last = store.log.value.at(-1);
  const lines = events.filter((event): event is LogEvent => {
    if (event.kind !== "log") return false;
    const isNew = !last || event.attempt > last.attempt || event.attempt === last.attempt && event.line > last.line;
    if (isNew) last = event;
    return isNew;
  });
  if (lines.length === 0) return;
  if (gap) store.gaps.value = [...store.gaps.value, gap];
  store.log.value = [...store.log.value, ...lines].slice(-store.logLimit.value);
  dropGaps(store);
}

/** A gap before the first kept line is no longer a gap: nothing earlier is loaded. */
function dropGaps(store: Store): void {
  const [first] = store.log.value;
  if (store.gaps.value.length === 0 || !first) return;
  store.gaps.value = store.gaps.value.filter(({ before }) => {
    const [attempt, line] = before.split(":").map(Number);
    return attempt > first.attempt || attempt === first.attempt && line > first.line;
  });
}

/** Adds lines before the first one, or into a gap. `isWhole`: there are no more of them. */
export function addEarlier(store: Store, lines: LogEvent[], gap: LogGap | null, isWhole: boolean): void {
  const log = store.log.value;
  const positionOf = ({ attempt, line }: LogEvent) => `${attempt}:${line}`;
  const at = gap ? log.findIndex((line) => positionOf(line) === gap.before) : 0;
  if (at < 0) return;
  store.logLimit.value = Math.max(store.logLimit.value, log.length + lines.length + LOG_LINES);
  store.log.value = [...log.slice(0, at), ...lines, ...log.slice(at)];
  if (!gap) return;
  const left = isWhole || lines.length === 0 ? [] : [{ after: gap.after, before: positionOf(lines[0]) }];
  store.gaps.value = store.gaps.value.flatMap((each) => each === gap ? left : [each]);
}

/** Selects tasks or takes them out of the selection. */
export function select(store: Store, ids: Iterable<string>, on: boolean): void {
  const selected = new Map(store.selected.value);
  for (const id of ids) {
    const row = store.rows.get(id);
    if (!on) selected.delete(id);
    else if (row) selected.set(id, row.value.task);
  }
  store.selected.value = selected;
  store.everything.value = false;
}

/** Selects nothing any more. */
export function clearSelection(store: Store): void {
  store.selected.value = new Map();
  store.everything.value = false;
}

/** Remembers a requested action until it is confirmed. */
export function markRequested(store: Store, ids: string[], verb: string): void {
  const requested = new Map(store.requested.value);
  for (const id of ids) requested.set(id, { verb, since: store.now.value });
  store.requested.value = requested;
}

/** Forgets requested actions that were answered. */
export function clearRequested(store: Store, ...ids: string[]): void {
  const requested = new Map(store.requested.value);
  for (const id of ids) requested.delete(id);
  store.requested.value = requested;
}

let toasts = 0;

/** Maximum success messages shown at once. */
const MAX_DONE = 3;

/** Shows a message. Success messages disappear by themselves; errors stay until they are dismissed. */
export function toast(store: Store, message: Omit<Toast, "id">): void {
  const id = ++toasts;
  const all = [...store.toasts.value, { id, ...message }];
  // Only the latest success messages are kept; an error stays until it is dismissed.
  const done = all.filter(({ kind }) => kind === "done").slice(-MAX_DONE);
  store.toasts.value = all.filter((toast) => toast.kind === "error" || done.includes(toast));
  if (message.kind === "done") setTimeout(() => dismiss(store, id), 8_000);
}

/** Takes a message away. */
export function dismiss(store: Store, id: number): void {
  store.toasts.value = store.toasts.value.filter((toast) => toast.id !== id);
}
