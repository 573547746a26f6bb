/**
 * What every route is given, and who is calling.
 *
 * @module
 */

import type { Clock } from "../queue/clock.ts";
import type { Logger } from "../queue/log.ts";
import type { Queue } from "../queue/queue.ts";
import type { Role, Token } from "./settings.ts";

/** What the routes work with. */
export interface AppOptions {
  queue: Queue;
  clock: Clock;
  log: Logger;
  /** Without tokens everyone is an admin. */
  tokens: Token[];
  /** The largest upload in bytes. */
  maxUploadBytes: number;
  /** Bytes of all files of a request. */
  maxUploadTotalBytes: number;
  /** The address that is served: a loopback one without tokens answers only to loopback names. */
  host: string;
}

/** Whoever calls. */
export interface Principal {
  name: string;
  role: Role;
  /** When a sign-in by cookie ends, milliseconds since the epoch; a token has no end. */
  expires_at?: number;
}

/** The types of Hono's context here. */
export interface AppEnv {
  Variables: { principal: Principal };
}
