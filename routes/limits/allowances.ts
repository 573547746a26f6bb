/**
 * Allowances that refill (a token bucket for each key), and what a refusal says about them.
 *
 * @module
 */

import { RecentMap } from "../../queue/recent_map.ts";
import type { Clock } from "../../queue/task/clock.ts";
import { Problem } from "../http/problem.ts";

/** The most keys whose allowance is remembered: one that is forgotten is full again. */
const REMEMBERED = 10_000;

/** How much each key may take: a rate on average, and so much at once. */
export class Allowances {
  readonly #buckets = new RecentMap<string, { left: number; at: number }>(REMEMBERED);

  /**
   * @param perSecond What is refilled each second.
   * @param burst The most that may be taken at once.
   */
  constructor(private readonly clock: Clock, readonly perSecond: number, readonly burst: number) {}

  /** What is left for a key. */
  left(key: string, now: number = this.clock.monotonic()): number {
    const bucket = this.#buckets.get(key);
    if (!bucket) return this.burst;
    return Math.min(this.burst, bucket.left + (now - bucket.at) / 1000 * this.perSecond);
  }

  /** Takes from the allowance of a key; false if there is not enough: then nothing is taken. */
  take(key: string, count = 1): boolean {
    const now = this.clock.monotonic();
    const left = this.left(key, now);
    if (left < count) return false;
    this.#buckets.set(key, { left: left - count, at: now });
    return true;
  }

  /**
   * The refusal of a request that would take more than there is, with `Retry-After` and the headers of
   * https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/.
   */
  refusal(key: string, count: number, code: string, detail: string): Problem {
    const left = this.left(key);
    const wait = String(Math.max(1, Math.ceil((count - left) / this.perSecond)));
    const window = Math.max(1, Math.round(this.burst / this.perSecond));
    return new Problem(429, code, detail, [], {
      "Retry-After": wait,
      "RateLimit-Policy": `"${code}";q=${this.burst};w=${window}`,
      RateLimit: `"${code}";r=${Math.floor(left)};t=${wait}`,
    });
  }
}
