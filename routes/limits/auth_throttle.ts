/**
 * Throttles failed sign-ins: after a few failures from one address, or with the same token, each further attempt must
 * wait longer. A token that recently succeeded from an address is not delayed by others' failures there.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { Clock } from "../../queue/task/clock.ts";
import type { Logger } from "../../queue/log.ts";
import { RecentMap } from "../../queue/recent_map.ts";
import { Problem } from "../http/problem.ts";

/** Failures allowed without a wait, by default. */
export const FREE_FAILURES = 5;
/** The wait after the first failure beyond those; each further failure doubles it. */
const FIRST_WAIT_MS = 1_000;
/** The longest wait. */
const LONGEST_WAIT_MS = 15 * 60_000;
/** Failures are forgotten after this time without another. */
const FORGOTTEN_MS = 60 * 60_000;
/** The most addresses and tokens remembered. */
const REMEMBERED = 10_000;

interface Failures {
  count: number;
  last: number;
}

/** Counts failed sign-ins. */
export class AuthThrottle {
  readonly #failures = new RecentMap<string, Failures>(REMEMBERED);
  readonly #right = new RecentMap<string, true>(REMEMBERED);

  /** @param free Failures allowed without a wait. */
  constructor(private readonly clock: Clock, private readonly log: Logger, private readonly free = FREE_FAILURES) {}

  /**
   * Rejects an attempt that comes before its wait is over.
   *
   * @throws {Problem} 429 with Retry-After.
   */
  assertMayTry(address: string, secret: string): void {
    const [byAddress, byToken] = keysOf(address, secret);
    if (this.#right.has(`${byAddress} ${byToken}`)) return;
    const now = this.clock.monotonic();
    const left = Math.max(this.#waitOf(byAddress, now), this.#waitOf(byToken, now));
    if (left <= 0) return;
    const detail = "Too many invalid tokens from here. Wait before trying again.";
    throw new Problem(429, "too_many_guesses", detail, [], { "Retry-After": String(Math.ceil(left / 1000)) });
  }

  #waitOf(key: string, now: number): number {
    const failures = this.#failures.get(key);
    if (!failures || failures.count < this.free || now - failures.last > FORGOTTEN_MS) return 0;
    return failures.last + Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures.count - this.free)) - now;
  }

  /** Records that a token was invalid. */
  wrong(address: string, secret: string): void {
    const now = this.clock.monotonic();
    const keys = keysOf(address, secret);
    for (const key of keys) {
      const known = this.#failures.get(key);
      const count = known && now - known.last <= FORGOTTEN_MS ? known.count + 1 : 1;
      this.#failures.set(key, { count, last: now });
      if (count === this.free && key === keys[0]) {
        this.log.warn("Invalid tokens: further attempts must wait.", { address, failures: count });
      }
    }
  }

  /** Takes back that a token was invalid: it was counted before that could be known. */
  forgive(address: string): void {
    const byAddress = addressKey(address);
    const known = this.#failures.get(byAddress);
    if (known && known.count > 1) this.#failures.set(byAddress, { ...known, count: known.count - 1 });
    else this.#failures.delete(byAddress);
  }

  /** Whether a token was valid from an address before. */
  isKnown(address: string, secret: string): boolean {
    return this.#right.has(keysOf(address, secret).join(" "));
  }

  /** Records that a token was valid. */
  right(address: string, secret: string): void {
    const [byAddress, byToken] = keysOf(address, secret);
    if (!this.#right.has(`${byAddress} ${byToken}`)) this.#right.set(`${byAddress} ${byToken}`, true);
    // Failures of others from the same address still count.
    this.#failures.delete(byToken);
  }
}

function addressKey(address: string): string {
  return `address ${address}`;
}

function keysOf(address: string, secret: string): [byAddress: string, byToken: string] {
  return [addressKey(address), `token ${createHash("sha256").update(secret).digest("hex")}`];
}
