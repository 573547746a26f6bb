/**
 * The heartbeat tells the other instances that this one lives, three times within a lease. They compare nothing but
 * whether it has moved, each by its own monotonic clock.
 *
 * @module
 */

import { type Clock, repeat, type Repeating } from "../task/clock.ts";
import type { Committer } from "../store/commit/committer.ts";
import { FencedError } from "../task/errors.ts";
import type { Logger } from "../log.ts";

/** Renews the heartbeat of this instance. */
export class Heartbeat {
  #job: Repeating | null = null;
  #lastBeat: number;

  constructor(
    private readonly committer: Committer,
    private readonly clock: Clock,
    private readonly leaseMs: number,
    private readonly log: Logger,
  ) {
    this.#lastBeat = clock.monotonic();
  }

  /** Milliseconds since the last beat that was committed was sent: nobody takes this instance for dead before a lease. */
  get age(): number {
    return this.clock.monotonic() - this.#lastBeat;
  }

  /** Starts beating. */
  start(): void {
    this.#lastBeat = this.clock.monotonic();
    this.#job = repeat(this.clock, this.leaseMs / 3, async () => {
      const sent = this.clock.monotonic();
      await this.committer.heartbeat();
      this.#lastBeat = sent;
    }, (error) => {
      if (!(error instanceof FencedError)) this.log.warn("A heartbeat failed; tried again.", { error });
    });
  }

  /** Stops; the instance will be taken for dead unless its lanes are folded. */
  async stop(): Promise<void> {
    await this.#job?.stop();
  }
}
