/**
 * What a queue with one task type is: tasks, what they wait for, what may run. No storage, no time of its own, no
 * instances; where the queue may choose (which of several ready tasks starts), the model takes what it sees and checks
 * that it was allowed.
 */

import { type Status, statusOf, type TaskState } from "../../queue/task/record.ts";
import { MAX_INTERRUPTIONS, SUSPECT_INTERRUPTIONS } from "../../queue/task/transitions.ts";

/** What a task is submitted with. */
export interface ModelSubmission {
  parents: number[];
  key: string | null;
  due: number;
  expires: number | null;
  maxAttempts: number;
}

interface ModelTask extends ModelSubmission {
  created: number;
  status: Status;
  blocked: boolean;
  attempt: number;
  failures: number;
  interruptions: number;
}

export class Model {
  readonly tasks: ModelTask[] = [];
  paused = false;

  constructor(readonly slots: number, public now: number) {}

  submit(submission: ModelSubmission): void {
    const counters = { created: this.now, attempt: 0, failures: 0, interruptions: 0 };
    this.tasks.push({ ...submission, status: "PENDING", blocked: submission.parents.length > 0, ...counters });
    this.#settle();
  }

  /** Tasks in one of these statuses, by their place. */
  those(...statuses: Status[]): number[] {
    return this.tasks.flatMap(({ status }, i) => statuses.includes(status) ? [i] : []);
  }

  /** Whether a retry is refused: what the task depends on would never let it start. */
  isStuck(i: number): boolean {
    const { parents, attempt } = this.tasks[i];
    return attempt === 0 && parents.some((parent) => ["FAILED", "CANCELLED"].includes(this.tasks[parent].status));
  }

  cancel(i: number): void {
    this.#end(i, "CANCELLED");
  }

  succeed(i: number): void {
    this.#end(i, "SUCCESS");
  }

  /** The attempt threw. If it is tried again, the queue says when: no sooner than now. */
  fail(i: number, retryable: boolean): void {
    const task = this.tasks[i];
    task.failures++;
    task.interruptions = 0;
    if (!retryable || task.failures >= task.maxAttempts) this.#end(i, "FAILED");
    else Object.assign(task, { status: "PENDING", due: NaN });
  }

  /** The instance ended in the middle of it; `crashed`: without handing it back. */
  interruptAll(crashed: boolean): void {
    for (const i of this.those("RUNNING")) {
      const task = this.tasks[i];
      if (++task.interruptions >= MAX_INTERRUPTIONS) this.#end(i, "FAILED");
      else {
        task.status = "PENDING";
        // The queue says for how long.
        if (crashed && task.interruptions >= SUSPECT_INTERRUPTIONS) task.due = NaN;
      }
    }
  }

  retry(i: number): void {
    const task = this.tasks[i];
    const unstarted = task.attempt === 0;
    const expires = unstarted && task.expires !== null ? this.now + task.expires - task.created : null;
    const fresh = { failures: 0, interruptions: 0, due: this.now, expires };
    Object.assign(task, { status: "PENDING", blocked: unstarted && task.parents.length > 0, ...fresh });
    this.#settle();
  }

  /** The next time at which something happens by itself, or Infinity. */
  next(): number {
    const times = this.those("PENDING").flatMap((i) => {
      const { due, expires, attempt } = this.tasks[i];
      return [due, attempt === 0 && expires !== null ? expires : Infinity];
    });
    return Math.min(...times.filter((time) => time > this.now), Infinity);
  }

  advance(to: number): void {
    this.now = to;
    this.#settle();
  }

  #end(i: number, status: Status): void {
    this.tasks[i].status = status;
    this.#settle();
  }

  #settle(): void {
    for (let moved = true; moved;) {
      moved = false;
      for (const task of this.tasks) {
        if (task.status !== "PENDING") continue;
        const parents = task.parents.map((parent) => this.tasks[parent].status);
        const failed = task.blocked && parents.some((status) => status === "FAILED" || status === "CANCELLED");
        if (failed || task.attempt === 0 && task.expires !== null && task.expires <= this.now) {
          task.status = "CANCELLED";
          moved = true;
        } else if (task.blocked && parents.every((status) => status === "SUCCESS")) task.blocked = false;
      }
    }
  }

  /** What is not as it must be, or null. What the queue was free to choose is taken over. */
  disagreement(states: TaskState[]): string | null {
    const occupants = new Map<string, number>();
    let ready = 0;
    for (const [i, state] of states.entries()) {
      const task = this.tasks[i];
      const status = statusOf(state);
      const placement = state.run ? null : state.task.placement;
      if (status === "RUNNING" && task.status === "PENDING" && !this.paused && !task.blocked && task.due <= this.now) {
        Object.assign(task, { status, attempt: task.attempt + 1 });
      }
      if (Number.isNaN(task.due) && status === "PENDING") task.due = state.task.run_at!;
      if (status !== task.status) return `task ${i} is ${status} instead of ${task.status}`;
      if ((state.run?.attempt ?? state.task.attempt) !== task.attempt) return `task ${i} counts its attempts wrongly`;
      if (state.task.failures !== task.failures) return `task ${i} counts its failures wrongly`;
      const waits = placement?.kind ?? null;
      const expected: (string | null)[] = status !== "PENDING"
        ? [null]
        : task.blocked
        ? ["blocked"]
        : task.due > this.now
        ? ["scheduled"]
        : task.key === null
        ? ["ready"]
        : ["ready", "limited"];
      if (!expected.includes(waits)) return `task ${i} waits as ${waits} instead of ${expected}`;
      if (waits === "ready") ready++;
      if (task.key !== null && (waits === "ready" || status === "RUNNING")) {
        occupants.set(task.key, (occupants.get(task.key) ?? 0) + 1);
      }
    }
    const running = this.those("RUNNING").length;
    if (running > this.slots) return `${running} run at once`;
    if (!this.paused && running < this.slots && ready > 0) return `${ready} are ready, and a slot is free`;
    for (const [i, { task, run }] of states.entries()) {
      const { key } = this.tasks[i];
      if (key !== null && (occupants.get(key) ?? 0) > 1) return `the key ${key} is taken twice`;
      if (!run && task.placement?.kind === "limited" && !occupants.get(key!)) return `task ${i} waits for a free key`;
    }
    return null;
  }
}
