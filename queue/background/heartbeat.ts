/**
 * The heartbeat tells the other instances that this one is alive, three times per lease. They only compare whether it
 * has changed, each by its own monotonic clock. An instance that holds no task has none: it says once that it is idle,
 * and before its next claim that it is not. The sole owner of a store needs none at all.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { repeat, type Repeating } from "../task/clock.ts";
import { FencedError } from "../task/errors.ts";

/** An idle instance that has not been heard of for this long may be removed, so it beats twice in that time. Milliseconds. */
export const IDLE_LEASE_MS = 3_600_000;

/** Renews the heartbeat of this instance. */
export class Heartbeat {
  #job: Repeating | null = null;
  #lastBeat: number;
  /** What the store says of which instance; `unknown` while a beat is on its way, or if it failed. */
  #told: { instance: string; state: "idle" | "awake" | "unknown" } = { instance: "", state: "idle" };
  #beating: Promise<void> = Promise.resolve();

  /** @param isHolding Whether this instance holds a task or is about to claim one. */
  constructor(
    private readonly core: Core,
    private readonly leaseMs: number,
    private readonly isHolding: () => boolean,
  ) {
    this.#lastBeat = core.clock.monotonic();
  }

  /** Milliseconds since the last committed beat was sent: within a lease, no instance considers this one dead. */
  get age(): number {
    return this.core.clock.monotonic() - this.#lastBeat;
  }

  /** Whether the beats that were due have been committed. */
  get isRegular(): boolean {
    if (!this.core.distributed) return true;
    return this.age < (this.#state === "idle" ? IDLE_LEASE_MS : this.leaseMs);
  }

  /** Starts beating. */
  start(): void {
    this.#lastBeat = this.core.clock.monotonic();
    if (!this.core.distributed) return;
    this.#job = repeat(this.core.clock, this.leaseMs / 3, async () => {
      await this.#beating.catch(() => {});
      if (this.isHolding() || this.#state !== "idle" || this.age >= IDLE_LEASE_MS / 2) await this.#beat();
    }, (error) => {
      if (!(error instanceof FencedError)) this.core.log.warn("A heartbeat failed; will retry.", { error });
    });
  }

  /** Resolves once the other instances can know that this one may hold tasks. Before that it must claim none. */
  async wake(): Promise<void> {
    await this.#beating.catch(() => {});
    while (this.#state !== "awake") await this.#beat();
  }

  /** An instance that has just registered is idle. */
  get #state(): "idle" | "awake" | "unknown" {
    return this.#told.instance === this.core.committer.instance ? this.#told.state : "idle";
  }

  #beat(): Promise<void> {
    const { clock, committer } = this.core;
    const { instance } = committer;
    const sent = clock.monotonic();
    const idle = !this.isHolding();
    this.#told = { instance, state: "unknown" };
    this.#beating = committer.heartbeat(idle).then(() => {
      this.#lastBeat = sent;
      this.#told = { instance, state: idle ? "idle" : "awake" };
    });
    return this.#beating;
  }

  /** Stops. The instance will be considered dead unless its lanes are folded. */
  async stop(): Promise<void> {
    await this.#job?.stop();
  }
}
