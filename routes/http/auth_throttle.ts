/**
 * Slows down whoever guesses tokens: after a few failures from an address, or with one and the same token, each further
 * one must wait longer. A token that was right lately from the same address is not held up by the guesses of others there.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { Clock } from "../../queue/task/clock.ts";
import type { Logger } from "../../queue/log.ts";
import { RecentMap } from "../../queue/recent_map.ts";
import { Problem } from "./problem.ts";

/** Failures that cost nothing. */
const FREE = 5;
/** The wait after the first failure beyond those; each further one doubles it. */
const FIRST_WAIT_MS = 1_000;
/** The longest wait. */
const LONGEST_WAIT_MS = 15 * 60_000;
/** Failures are forgotten after this time without another. */
const FORGOTTEN_MS = 60 * 60_000;
/** Addresses and tokens that are remembered. */
const REMEMBERED = 10_000;

interface Failures {
  count: number;
  last: number;
}

/** Counts wrong tokens. */
export class AuthThrottle {
  readonly #failures = new RecentMap<string, Failures>(REMEMBERED);
  readonly #right = new RecentMap<string, true>(REMEMBERED);

  constructor(private readonly clock: Clock, private readonly log: Logger) {}

  /**
   * Refuses to look at a token before its time.
   *
   * @throws {Problem} 429 with Retry-After.
   */
  assertMayTry(address: string, secret: string): void {
    const [byAddress, byToken] = keysOf(address, secret);
    if (this.#right.has(`${byAddress} ${byToken}`)) return;
    const now = this.clock.monotonic();
    const left = Math.max(this.#waitOf(byAddress, now), this.#waitOf(byToken, now));
    if (left <= 0) return;
    const detail = "Too many wrong tokens came from here. Wait before the next try.";
    throw new Problem(429, "too_many_guesses", detail, [], { "Retry-After": String(Math.ceil(left / 1000)) });
  }

  #waitOf(key: string, now: number): number {
    const failures = this.#failures.get(key);
    if (!failures || failures.count < FREE || now - failures.last > FORGOTTEN_MS) return 0;
    return failures.last + Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures.count - FREE)) - now;
  }

  /** A token was wrong. */
  wrong(address: string, secret: string): void {
    const now = this.clock.monotonic();
    const keys = keysOf(address, secret);
    for (const key of keys) {
      const known = this.#failures.get(key);
      const count = known && now - known.last <= FORGOTTEN_MS ? known.count + 1 : 1;
      this.#failures.set(key, { count, last: now });
      if (count === FREE && key === keys[0]) {
        this.log.warn("Wrong tokens: further tries must wait.", { address, failures: count });
      }
    }
  }

  /** A token was right. */
  right(address: string, secret: string): void {
    const [byAddress, byToken] = keysOf(address, secret);
    if (!this.#right.has(`${byAddress} ${byToken}`)) this.#right.set(`${byAddress} ${byToken}`, true);
    // What others guess from the same address goes on to count.
    this.#failures.delete(byToken);
  }
}

function keysOf(address: string, secret: string): [byAddress: string, byToken: string] {
  return [`address ${address}`, `token ${createHash("sha256").update(secret).digest("hex")}`];
}
