/**
 * The events of one task: its changes of status and the lines of its log, in one order, each told once.
 *
 * @module
 */

import type { Queue } from "../queue/queue.ts";
import type { LogPosition } from "../queue/task_log.ts";
import type { Status, TaskHistoryEvent, TaskState } from "../queue/task.ts";

/** Log lines that are told at once. */
const LINES = 1_000;

/** Status that an attempt's outcome led to; a failure leads to FAILED only where no other attempt followed by itself. */
function statusAfter({ task, run }: TaskState, i: number): Status {
  const { outcome } = task.attempts[i];
  if (outcome === "success") return "SUCCESS";
  if (outcome === "cancelled") return "CANCELLED";
  const isLast = i === task.attempts.length - 1 && !run;
  const ended = isLast && task.status === "FAILED" && task.completed_at === task.attempts[i].completed_at;
  return ended ? "FAILED" : "PENDING";
}

/** The changes of status that a state remembers, oldest first. */
export function statusEvents(state: TaskState): TaskHistoryEvent[] {
  const { task, run } = state;
  const events: TaskHistoryEvent[] = [];
  const add = (at: number, status: Status, attempt: number, detail: string) =>
    events.push({ kind: "status", at: new Date(at).toISOString(), status, attempt, detail });
  add(task.created_at, "PENDING", 0, "submitted");
  for (const [i, attempt] of task.attempts.entries()) {
    add(attempt.started_at, "RUNNING", attempt.attempt, `attempt ${attempt.attempt} started`);
    add(attempt.completed_at, statusAfter(state, i), attempt.attempt, attempt.error?.message ?? attempt.outcome);
  }
  if (run) add(run.started_at, "RUNNING", run.attempt, `attempt ${run.attempt} started`);
  const last = task.attempts.at(-1);
  // Cancelled while it waited: no attempt tells of it.
  const cancelledWaiting = task.status === "CANCELLED" && !run && task.completed_at !== last?.completed_at;
  if (cancelledWaiting) add(task.completed_at!, "CANCELLED", task.attempt, task.error?.message ?? "cancelled");
  return events;
}

/** Follows one task: each call of `next` gives what is new. Of a longer log the newest lines are told first. */
export class TaskFollower {
  readonly #told = new Set<string>();
  #position: LogPosition | null = null;

  constructor(private readonly queue: Queue, private readonly id: string) {}

  /** What happened since the last call, at most {@linkcode LINES} log lines of it; `more`: there are more of them. */
  async next(state: TaskState): Promise<{ events: TaskHistoryEvent[]; more: boolean }> {
    const all = statusEvents(state);
    const keyOf = (event: TaskHistoryEvent) => `${event.at} ${event.kind === "status" ? event.status : ""}`;
    const fresh = all.filter((event) => !this.#told.has(keyOf(event)));
    for (const event of fresh) this.#told.add(keyOf(event));
    const { lines, next } = this.#position
      ? await this.queue.readLog(this.id, this.#position, LINES)
      : await this.queue.readLogTail(this.id, LINES);
    this.#position = next;
    const logged = lines.map(({ at, ...line }): TaskHistoryEvent => ({
      kind: "log",
      at: new Date(at).toISOString(),
      ...line,
    }));
    const events = [...fresh, ...logged].sort((a, b) => a.at < b.at ? -1 : a.at > b.at ? 1 : 0);
    return { events, more: lines.length === LINES };
  }
}
