/**
 * Limits on requests: of each address before it is known who calls, and of each token after that.
 *
 * @module
 */

import type { Context } from "hono";
import type { AppEnv, AppOptions, Principal } from "../env.ts";
import { addressOf } from "../http/address.ts";
import { Allowances } from "./allowances.ts";
import { DEFAULT_QUOTAS } from "./defaults.ts";

/** A caller may use this many seconds' worth of its rate in one burst. */
const BURST_S = 10;

/** Enforces the limits. */
export class RequestLimits {
  readonly #options: AppOptions;
  readonly #addresses: Allowances;
  readonly #tokens: Allowances;
  /** Of tokens with a rate of their own, by rate. */
  readonly #rates = new Map<number, Allowances>();

  constructor(options: AppOptions) {
    const { requestsPerSecond } = { ...DEFAULT_QUOTAS, ...options.quotas };
    this.#options = options;
    this.#addresses = new Allowances(options.clock, requestsPerSecond, BURST_S * requestsPerSecond);
    this.#tokens = new Allowances(options.clock, requestsPerSecond, BURST_S * requestsPerSecond);
  }

  /**
   * Takes one request from the allowance of the address.
   *
   * @throws {Problem} 429 if there is none left.
   */
  assertAddress(c: Context<AppEnv>): void {
    this.#take(this.#addresses, addressOf(c, this.#options), "This address");
  }

  /**
   * Takes one request from the allowance of a token, whatever the addresses.
   *
   * @throws {Problem} 429 if there is none left.
   */
  assertToken({ name, rate }: Principal): void {
    this.#take(this.#ofRate(rate), name, "This token");
  }

  #ofRate(rate: number | undefined): Allowances {
    if (rate === undefined) return this.#tokens;
    const known = this.#rates.get(rate) ?? new Allowances(this.#options.clock, rate, BURST_S * rate);
    this.#rates.set(rate, known);
    return known;
  }

  #take(allowances: Allowances, key: string, whose: string): void {
    if (allowances.take(key)) return;
    const detail = `${whose} may make at most ${allowances.perSecond.toLocaleString("en")} requests per second.`;
    throw allowances.refusal(key, 1, "too_many_requests", detail);
  }
}
