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
const FRESH_MS = 10_000;
/** The numbers by type are summed up this often at most. */
const SUM_MS = 1_000;

/** A failed task: its type, and when it ended. */
interface Failure {
  task_type: string;
  at: number;
}

/** The failures of the last hour, by id, from the earliest heard to the latest. */
interface Found {
  all: Map<string, Failure>;
  capped: boolean;
}

/** How many tasks of each type have failed. */
export interface FailureCounts {
  by_type: Map<string, number>;
  /** Whether there may be more: a list that finds these stops as well. */
  capped: boolean;
}

/** Counts the failures of the last hour. */
export class RecentFailures {
  #found: { at: number; read: Promise<Found> } | null = null;
  #counts: { at: number; counts: FailureCounts } | null = null;
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
      if (found && !this.#changed) void found.read.then((found) => put(found, id, failure), () => {});
    }
  }

  /** The number of failures by type. */
  async count(): Promise<FailureCounts> {
    const now = this.clock.monotonic();
    if (!this.#found || !this.#isFollowing && now - this.#found.at > FRESH_MS) {
      const read = this.#read();
      this.#found = { at: now, read };
      this.#counts = null;
      read.catch(() => this.#found = null);
    }
    const found = await this.#found.read;
    if (this.#counts && now - this.#counts.at < SUM_MS) return this.#counts.counts;
    const from = this.clock.now() - HOUR_MS;
    const counts: FailureCounts = { by_type: new Map(), capped: found.capped };
    for (const [id, { task_type, at }] of found.all) {
      if (at < from) found.all.delete(id);
      else counts.by_type.set(task_type, (counts.by_type.get(task_type) ?? 0) + 1);
    }
    this.#counts = { at: now, counts };
    return counts;
  }

  async #read(): Promise<Found> {
    const changed = this.#changed = new Map();
    try {
      const { tasks, capped } = await this.queue.failuresSince(this.clock.now() - HOUR_MS);
      const found: Found = { all: new Map(), capped };
      for (const { id, task_type, at } of tasks.reverse()) found.all.set(id, { task_type, at });
      for (const [id, failure] of changed) put(found, id, failure);
      return found;
    } finally {
      if (this.#changed === changed) this.#changed = null;
    }
  }
}

function failureOf(state: TaskState): Failure | null {
  if (statusOf(state) !== "FAILED") return null;
  return { task_type: state.task.task_type, at: state.task.completed_at! };
}

function put(found: Found, id: string, failure: Failure | null): void {
  const { all } = found;
  all.delete(id);
  if (failure) all.set(id, failure);
  if (all.size <= SEARCH_LIMIT) return;
  all.delete(all.keys().next().value!);
  found.capped = true;
}
