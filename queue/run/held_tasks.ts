/**
 * The tasks of one type that an instance holds: those that run in its slots, those that wait for one because they were
 * claimed ahead, and those that have returned and commit their end.
 *
 * @module
 */

import { CLAIM_BATCH } from "./claims.ts";
import type { Execution } from "./execution.ts";

/** Tasks are claimed ahead if they are expected to start within this time. Milliseconds. */
const AHEAD_MS = 20;
/** Handlers that must have returned before their time is trusted. */
const TRUSTED = 64;
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

  /** @param mayWait Whether tasks may be claimed ahead. */
  constructor(readonly slots: number, private readonly mayWait: boolean) {}

  /** How many are held. */
  get size(): number {
    return this.executions.size;
  }

  /** How many slots are free. */
  get free(): number {
    return this.slots - this.running;
  }

  /** How many tasks may be claimed while all slots are busy: as many as would start within {@linkcode AHEAD_MS}. */
  get ahead(): number {
    if (!this.mayWait || this.#measured < TRUSTED || this.#averageMs > AHEAD_MS) return 0;
    return Math.min(CLAIM_BATCH, Math.floor(this.slots * AHEAD_MS / this.#averageMs));
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
