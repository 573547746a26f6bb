/**
 * The tasks of one type that an instance holds: those that run in its slots, those that wait for one because they were
 * claimed ahead, and those that have returned and commit their end.
 *
 * @module
 */

import { CLAIM_BATCH } from "./claims.ts";
import type { Execution } from "./execution.ts";

/** Handlers that must have returned before their time is trusted. */
const TRUSTED = 64;
/** A handler counts as taking at least this time, in milliseconds. */
const LEAST_MS = 0.01;
/** The most tasks that an instance holds for each slot and each task that may wait for one, with those that end. */
const MOST_HELD = 4;
/** The weight of the newest handler in the average time. */
const WEIGHT = 1 / 32;

/** Counts the held tasks of a type, and how fast its handlers are. */
export class HeldTasks {
  /** All of them; a task may appear twice while a cancelled attempt has not stopped yet. */
  readonly executions = new Set<Execution>();
  /** Those that wait for a slot, in the order in which they were claimed. */
  readonly waiting: Execution[] = [];
  /** How many occupy a slot. */
  running = 0;
  /** Cancels the timer that limits how long tasks wait for a slot. */
  cancelWait: () => void = () => {};
  #measured = 0;
  #averageMs = 0;

  /** @param aheadMs Tasks are claimed ahead that are expected to start within so many milliseconds; 0: none. */
  constructor(readonly slots: number, private readonly aheadMs: number) {}

  /** How many slots are free. */
  get free(): number {
    return this.slots - this.running;
  }

  /** How many tasks may wait for a slot. */
  get ahead(): number {
    if (this.#measured < TRUSTED) return 0;
    return Math.min(CLAIM_BATCH, Math.floor(this.slots * this.aheadMs / Math.max(this.#averageMs, LEAST_MS)));
  }

  /** How many tasks to claim now. While all slots are busy, that is none until half of those that may wait are gone. */
  get wanted(): number {
    const { ahead, free, waiting: { length } } = this;
    if (free <= 0 && length > ahead / 2) return 0;
    // Returned tasks must not pile up while the store is slow to commit their ends.
    const most = MOST_HELD * (this.slots + ahead) - this.executions.size;
    return Math.max(0, Math.min(free + ahead - length, most));
  }

  /** A handler has returned, after so many milliseconds. */
  returned(ms: number): void {
    this.running--;
    this.#measured++;
    this.#averageMs += (ms - this.#averageMs) * Math.max(WEIGHT, 1 / this.#measured);
  }

  /** The handlers have become slow: their time is measured anew. */
  slowDown(): void {
    this.#measured = 0;
  }
}
