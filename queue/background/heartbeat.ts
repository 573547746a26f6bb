/**
 * The heartbeat tells the other instances that this one is alive, three times per lease. They only compare whether it
 * has changed, each by its own monotonic clock.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { repeat, type Repeating } from "../task/clock.ts";
import { FencedError } from "../task/errors.ts";

/** Renews the heartbeat of this instance. */
export class Heartbeat {
  #job: Repeating | null = null;
  #lastBeat: number;

  constructor(private readonly core: Core, private readonly leaseMs: number) {
    this.#lastBeat = core.clock.monotonic();
  }

  /** Milliseconds since the last committed beat was sent: within a lease, no instance considers this one dead. */
  get age(): number {
    return this.core.clock.monotonic() - this.#lastBeat;
  }

  /** Starts beating. */
  start(): void {
    this.#lastBeat = this.core.clock.monotonic();
    this.#job = repeat(this.core.clock, this.leaseMs / 3, async () => {
      const sent = this.core.clock.monotonic();
      await this.core.committer.heartbeat();
      this.#lastBeat = sent;
    }, (error) => {
      if (!(error instanceof FencedError)) this.core.log.warn("A heartbeat failed; will retry.", { error });
    });
  }

  /** Stops. The instance will be considered dead unless its lanes are folded. */
  async stop(): Promise<void> {
    await this.#job?.stop();
  }
}
