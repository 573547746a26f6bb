/**
 * The events of one task: its changes of status and the lines of its log, in one order, each told once.
 *
 * @module
 */

import type { Queue } from "../queue/queue.ts";
import type { LogPosition } from "../queue/reads.ts";
import type { Status, TaskHistoryEvent, TaskState } from "../queue/task.ts";

/** Log lines that are told at once. */
const LINES = 1_000;

/** The changes of status that a state remembers, oldest first. */
export function statusEvents({ task, run }: TaskState): TaskHistoryEvent[] {
  const events: TaskHistoryEvent[] = [];
  const add = (at: number, status: Status, attempt: number, detail: string) =>
    events.push({ kind: "status", at: new Date(at).toISOString(), status, attempt, detail });
  add(task.created_at, "PENDING", 0, "submitted");
  for (const [i, attempt] of task.attempts.entries()) {
    add(attempt.started_at, "RUNNING", attempt.attempt, `attempt ${attempt.attempt} started`);
    const last = i === task.attempts.length - 1 && !run;
    const status = last ? task.status : "PENDING";
    add(attempt.completed_at, status, attempt.attempt, attempt.error?.message ?? attempt.outcome);
  }
  if (run) add(run.started_at, "RUNNING", run.attempt, `attempt ${run.attempt} started`);
  const ended = task.status === "CANCELLED" && task.attempts.at(-1)?.outcome !== "cancelled" && !run;
  if (ended) add(task.completed_at!, "CANCELLED", task.attempt, task.error?.message ?? "cancelled");
  return events;
}

/** Follows one task: each call of `next` gives what is new. */
export class TaskFollower {
  #told = 0;
  #position: LogPosition = { attempt: 0, line: 0 };

  constructor(private readonly queue: Queue, private readonly id: string) {}

  /** What happened since the last call, the log's lines before the end that followed them. */
  async next(state: TaskState): Promise<TaskHistoryEvent[]> {
    const all = statusEvents(state);
    // A retry shortens the list by the end that it takes back.
    const fresh = all.slice(Math.min(this.#told, all.length));
    this.#told = all.length;
    const lines: TaskHistoryEvent[] = [];
    while (true) {
      const read = await this.queue.readLog(this.id, this.#position, LINES);
      this.#position = read.next;
      for (const { at, ...line } of read.lines) lines.push({ kind: "log", at: new Date(at).toISOString(), ...line });
      if (read.lines.length < LINES) break;
    }
    return [...fresh, ...lines].sort((a, b) => a.at < b.at ? -1 : a.at > b.at ? 1 : 0);
  }
}
