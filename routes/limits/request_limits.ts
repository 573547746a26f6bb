/**
 * Limits on requests: of each address before it is known who calls, and of each token after that.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";
import type { AppEnv, AppOptions } from "../env.ts";
import { addressOf } from "../http/address.ts";
import { hasAuth } from "../access/credentials.ts";
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

  /** Refuses an address that asks too much. */
  ofAddress(): MiddlewareHandler<AppEnv> {
    return (c, next) => this.#take(this.#addresses, addressOf(c, this.#options), "This address", next);
  }

  /** Refuses a token that is used too much, whatever the addresses. Without tokens everyone has the same name. */
  ofToken(): MiddlewareHandler<AppEnv> {
    return (c, next) => {
      const principal = c.get("principal");
      if (!principal || !hasAuth(this.#options)) return next();
      return this.#take(this.#ofRate(principal.rate), principal.name, "This token", next);
    };
  }

  #ofRate(rate: number | undefined): Allowances {
    if (rate === undefined) return this.#tokens;
    const known = this.#rates.get(rate) ?? new Allowances(this.#options.clock, rate, BURST_S * rate);
    this.#rates.set(rate, known);
    return known;
  }

  #take(allowances: Allowances, key: string, whose: string, next: () => Promise<void>): Promise<void> {
    if (allowances.take(key)) return next();
    const detail = `${whose} may make at most ${allowances.perSecond.toLocaleString("en")} requests per second.`;
    throw allowances.refusal(key, 1, "too_many_requests", detail);
  }
}
