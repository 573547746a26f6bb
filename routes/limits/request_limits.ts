/**
 * Limits on requests: of each address before it is known who calls, and of each token after that.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";
import type { AppEnv, AppOptions } from "../env.ts";
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

  constructor(options: AppOptions) {
    const { requestsPerSecond } = { ...DEFAULT_QUOTAS, ...options.quotas };
    this.#options = options;
    this.#addresses = new Allowances(options.clock, requestsPerSecond, BURST_S * requestsPerSecond);
    this.#tokens = new Allowances(options.clock, requestsPerSecond, BURST_S * requestsPerSecond);
  }

  /** Refuses an address that asks too much. */
  ofAddress(): MiddlewareHandler<AppEnv> {
    return (c, next) => this.#take(this.#addresses, addressOf(c, this.#options), "An address", next);
  }

  /** Refuses a token that is used too much, whatever the addresses. Without tokens everyone has the same name. */
  ofToken(): MiddlewareHandler<AppEnv> {
    return (c, next) => {
      const principal = c.get("principal");
      if (!principal || this.#options.tokens.length === 0) return next();
      return this.#take(this.#tokens, principal.name, "A token", next);
    };
  }

  #take(allowances: Allowances, key: string, whose: string, next: () => Promise<void>): Promise<void> {
    if (allowances.take(key)) return next();
    const detail = `${whose} may make at most ${allowances.perSecond.toLocaleString("en")} requests per second.`;
    throw allowances.refusal(key, 1, "too_many_requests", detail);
  }
}
