/** A clock that stands still until a test advances it. */

import type { Clock } from "../../queue/task/clock.ts";

export class FakeClock implements Clock {
  #elapsed = 0;
  #timers = new Set<{ at: number; callback: () => void }>();

  constructor(private wall = Date.UTC(2030, 0, 1)) {}

  now(): number {
    return this.wall + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#elapsed + Math.max(0, ms), callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Moves the wall clock without any time passing. */
  set(now: number): void {
    this.wall = now - this.#elapsed;
  }

  /** Lets `ms` pass without firing any timer, as for a process that was stopped. */
  sleep(ms: number): void {
    this.#elapsed += ms;
  }

  /** Lets `ms` pass, firing timers in their order, with a turn of the event loop after each. */
  async advance(ms: number): Promise<void> {
    const until = this.#elapsed + ms;
    while (true) {
      const [next] = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.#timers.delete(next);
      this.#elapsed = Math.max(this.#elapsed, next.at);
      next.callback();
      await turn();
    }
    this.#elapsed = until;
    await turn();
  }
}

/** Lets time pass until a promise settles: for work that waits on the clock between its tries. `step` in milliseconds. */
export async function driven<T>(clock: FakeClock, promise: Promise<T>, step = 50): Promise<T> {
  let settled = false;
  const done = promise.finally(() => settled = true);
  done.catch(() => {});
  while (!settled) await clock.advance(step);
  return await done;
}

/** One turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
