/**
 * How many tasks failed in the last hour and are still FAILED: the number that a filter by status and end finds. While
 * changes are heard it is kept current by them; otherwise it is counted anew.
 *
 * @module
 */

import type { Queue } from "../../queue/queue.ts";
import type { Clock } from "../../queue/task/clock.ts";
import { SEARCH_LIMIT } from "../../queue/task/limits.ts";
import { statusOf, type TaskState } from "../../queue/task/record.ts";
import type { Batch } from "../../queue/watch/change_stream.ts";

const HOUR_MS = 3_600_000;
/** What was counted is valid for this long while no changes are heard. */
const FRESH_MS = 5_000;

/** A failed task: its type, and when it ended. */
interface Failure {
  task_type: string;
  at: number;
}

/** Counts the failures of the last hour. */
export class RecentFailures {
  #found: { at: number; read: Promise<Map<string, Failure>> } | null = null;
  #isFollowing = false;
  /** Tasks that have changed while the others were read. */
  #changed: Map<string, Failure | null> | null = null;

  constructor(private readonly queue: Queue, private readonly clock: Clock) {}

  /** From now on every change is passed to {@linkcode RecentFailures.hear}. */
  follow(): void {
    this.#isFollowing = true;
    this.#found = null;
  }

  /** Changes are no longer passed. */
  forget(): void {
    this.#isFollowing = false;
    this.#found = null;
  }

  /** Takes changes of tasks. */
  hear({ changes }: Batch): void {
    for (const { id, state } of changes) {
      const failure = state && failureOf(state);
      this.#changed?.set(id, failure);
      const found = this.#found;
      if (found && !this.#changed) void found.read.then((all) => put(all, id, failure), () => {});
    }
  }

  /** The number of failures by type. */
  async count(): Promise<Map<string, number>> {
    const now = this.clock.monotonic();
    if (!this.#found || !this.#isFollowing && now - this.#found.at > FRESH_MS) {
      const read = this.#read();
      this.#found = { at: now, read };
      read.catch(() => this.#found = null);
    }
    const from = this.clock.now() - HOUR_MS;
    const counts = new Map<string, number>();
    const all = await this.#found.read;
    for (const [id, { task_type, at }] of all) {
      if (at < from) all.delete(id);
      else counts.set(task_type, (counts.get(task_type) ?? 0) + 1);
    }
    return counts;
  }

  async #read(): Promise<Map<string, Failure>> {
    const changed = this.#changed = new Map();
    try {
      const all = new Map<string, Failure>();
      const filter = { statuses: ["FAILED" as const], ended_from: this.clock.now() - HOUR_MS };
      let cursor: string | undefined;
      do {
        const { states, next_cursor } = await this.queue.list(filter, SEARCH_LIMIT, cursor);
        for (const state of states) put(all, state.task.id, failureOf(state));
        cursor = next_cursor ?? undefined;
      } while (cursor !== undefined);
      for (const [id, failure] of changed) put(all, id, failure);
      return all;
    } finally {
      if (this.#changed === changed) this.#changed = null;
    }
  }
}

function failureOf(state: TaskState): Failure | null {
  if (statusOf(state) !== "FAILED") return null;
  return { task_type: state.task.task_type, at: state.task.completed_at! };
}

function put(all: Map<string, Failure>, id: string, failure: Failure | null): void {
  if (failure) all.set(id, failure);
  else all.delete(id);
}
