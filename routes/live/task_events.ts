/**
 * The events of one task: its status changes and log lines, in one order, each sent once.
 *
 * @module
 */

import type { LogEvent } from "../../islands/app/state.ts";
import type { Queue } from "../../queue/queue.ts";
import type { LogLine, LogPosition } from "../../queue/run/task_log.ts";
import type { TaskHistoryEvent } from "../../queue/task/api_types.ts";
import { type Attempt, isTerminal, type Status, type TaskState } from "../../queue/task/record.ts";

/** Maximum log lines sent at once, and their characters. */
const [LINES, CHARACTERS] = [1_000, 200_000];

/** A line of a log as the queue reads it. */
export type StoredLine = LogLine;

/** Log lines that were skipped: those after one position (null: the beginning) and before another. */
export interface LogGap {
  /** `attempt:line` of the last line sent before the gap. */
  after: string | null;
  /** `attempt:line` of the first line sent after it. */
  before: string;
}

/** The status that an attempt led to. A failure is followed by another attempt, unless the task ended with it. */
function statusAfter({ task, run }: TaskState, { attempt, outcome }: Attempt, isLast: boolean): Status {
  if (outcome === "success") return "SUCCESS";
  if (outcome === "cancelled") return "CANCELLED";
  const after = task.actions.filter((action) => action.attempt === attempt);
  // A task that was retried by hand had ended: with this attempt, unless it was cancelled later.
  const ended = after.length > 0 ? after[0].action === "retry" : isLast && !run && task.status === "FAILED";
  return ended ? "FAILED" : "PENDING";
}

/** A change of status. */
export type StatusEvent = Extract<TaskHistoryEvent, { kind: "status" }>;

/** The changes of status that a state remembers, oldest first. */
export function statusEvents(state: TaskState): StatusEvent[] {
  const { task, run } = state;
  const events: StatusEvent[] = [];
  const add = (at: number, status: Status, attempt: number, detail: string) =>
    events.push({ kind: "status", at: new Date(at).toISOString(), status, attempt, detail });
  const addActions = (after: number) => {
    for (const { action, at, by, attempt, detail } of task.actions) {
      if (attempt !== after) continue;
      if (action === "retry") add(at, "PENDING", attempt, by === null ? "retried" : `retried by ${by}`);
      else add(at, "CANCELLED", attempt, by === null ? detail : `${detail} By ${by}.`);
    }
  };
  add(task.created_at, "PENDING", 0, task.submitted_by === null ? "submitted" : `submitted by ${task.submitted_by}`);
  addActions(0);
  task.attempts.forEach((each, i) => {
    const { attempt, started_at, completed_at, outcome, error } = each;
    add(started_at, "RUNNING", attempt, `attempt ${attempt} started`);
    const isLast = i === task.attempts.length - 1;
    // A cancel that ended an attempt is kept as an action too, which knows who asked for it; older records have none.
    const isAction = task.actions.some(({ action, attempt: after }) => action === "cancel" && after === attempt);
    if (outcome !== "cancelled" || !isAction) {
      add(completed_at, statusAfter(state, each, isLast), attempt, error?.message ?? outcome);
    }
    addActions(attempt);
  });
  if (run) add(run.started_at, "RUNNING", run.attempt, `attempt ${run.attempt} started`);
  const last = events[events.length - 1];
  if (task.status === "CANCELLED" && last.kind === "status" && last.status !== "CANCELLED") {
    add(task.completed_at!, "CANCELLED", task.attempt, task.error?.message ?? "cancelled");
  }
  return events;
}

/** What tells a change of status from all others of its task. */
export function statusKey({ at, attempt, status }: { at: string; attempt: number; status: Status }): string {
  // A task that was claimed ahead is RUNNING twice: since its claim, then since its handler was started.
  return status === "RUNNING" ? `${attempt}:${status}` : `${at}:${attempt}:${status}`;
}

/** Follows one task: each call of `next` returns what is new. If the log is long, the newest lines come first. */
export class TaskFollower {
  readonly #told = new Set<string>();
  readonly #after: LogPosition | null;
  #position: LogPosition | null = null;

  /**
   * @param after The client has the log up to here, and is sent what comes after it.
   * @param lastStatus The {@linkcode statusKey} of the last change of status that the client has.
   */
  constructor(
    private readonly queue: Queue,
    private readonly id: string,
    after: LogPosition | null = null,
    private readonly lastStatus = "",
  ) {
    this.#after = after;
  }

  /**
   * What happened since the last call, at most {@linkcode LINES} log lines; `more`: there are more; `gap`: the
   * lines that were skipped.
   */
  async next(state: TaskState): Promise<{ events: TaskHistoryEvent[]; more: boolean; gap: LogGap | null }> {
    const all = statusEvents(state);
    if (this.#position === null && this.lastStatus) {
      const at = all.findIndex((event) => statusKey(event) === this.lastStatus);
      // A task remembers its last changes only: if this one is forgotten, all but "submitted" came after it.
      for (const event of all.slice(0, Math.max(1, at + 1))) this.#told.add(statusKey(event));
    }
    const fresh = all.filter((event) => !this.#told.has(statusKey(event)));
    for (const event of fresh) this.#told.add(statusKey(event));
    const { lines, next, more, gap } = this.#position ? await this.#readOn(this.#position) : await this.#begin();
    this.#position = next;
    const last = (event: TaskHistoryEvent) => event.kind === "status" && isTerminal(event.status) ? 1 : 0;
    const events = [...fresh, ...lines.map(logEvent)].sort((a, b) =>
      a.at < b.at ? -1 : a.at > b.at ? 1 : last(a) - last(b)
    );
    return { events, more, gap };
  }

  async #readOn(from: LogPosition) {
    const read = await this.queue.logs.read(this.id, from, LINES);
    const lines = fitting(read.lines, CHARACTERS);
    if (lines.length === read.lines.length) return { ...read, more: lines.length === LINES, gap: null };
    const { attempt, line } = lines[lines.length - 1];
    return { lines, next: { attempt, line: line + 1 }, more: true, gap: null };
  }

  /** The newest lines. A returning client gets all it missed, if that is not more. */
  async #begin() {
    const tail = await this.queue.logs.readTail(this.id, LINES);
    const after = this.#after;
    if (after && (tail.lines.length === 0 || isAtOrAfter(after, tail.lines[0]))) return await this.#readOn(after);
    const lines = newestFitting(tail.lines, CHARACTERS);
    const [first] = lines;
    const last = first && (await this.queue.logs.readTail(this.id, 1, first)).lines.at(-1);
    const isWhole = !last || after && isAtOrAfter(after, { ...last, line: last.line + 1 });
    const gap: LogGap | null = isWhole ? null : {
      after: after && after.line > 0 ? `${after.attempt}:${after.line - 1}` : null,
      before: `${first.attempt}:${first.line}`,
    };
    return { lines, next: tail.next, more: false, gap };
  }
}

/** A line of a log as an event. */
export function logEvent({ at, ...line }: StoredLine): LogEvent {
  return { kind: "log", at: new Date(at).toISOString(), ...line };
}

/** As many of the last lines as fit into this many characters together; at least one. */
export function newestFitting(lines: StoredLine[], characters: number): StoredLine[] {
  return fitting(lines.toReversed(), characters).reverse();
}

/** As many of the first lines as fit into this many characters together; at least one. */
function fitting(lines: StoredLine[], characters: number): StoredLine[] {
  let left = characters;
  const end = lines.findIndex(({ text }, i) => (left -= text.length) < 0 && i > 0);
  return end < 0 ? lines : lines.slice(0, end);
}

function isAtOrAfter(a: LogPosition, b: LogPosition): boolean {
  return a.attempt > b.attempt || a.attempt === b.attempt && a.line >= b.line;
}
