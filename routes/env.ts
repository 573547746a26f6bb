/**
 * What every route is given, and who is calling.
 *
 * @module
 */

import type { Clock } from "../queue/task/clock.ts";
import type { Logger } from "../queue/log.ts";
import type { Queue } from "../queue/queue.ts";
import type { Network } from "./http/network.ts";
import type { QuotaLimits } from "./limits.ts";
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
  /** Proxies whose word on the client's address and on TLS is believed. Default: none. */
  trustedProxies?: Network[];
  /** WebSockets and event streams of all callers together. Default 1,000. */
  maxStreams?: number;
  /** WebSockets and event streams of one token, and of one address. Default 250. */
  maxStreamsPerCaller?: number;
  /** Bounds on what callers may put into the store. */
  quotas?: Partial<QuotaLimits>;
  /** The file of the store, to know how full its disk is; undefined: it is no file. */
  storePath?: string;
  /** Faults that nobody has handled since the start. */
  faults?: () => number;
}

/** Whoever calls. */
export interface Principal {
  name: string;
  role: Role;
  /** The sign-in, if it is one by cookie. */
  session?: string;
  /** When a sign-in by cookie ends, milliseconds since the epoch; a token has no end. */
  expires_at?: number;
}

/** What both kinds of WebSocket have in common. */
export type ServerSocket = Pick<
  WebSocket,
  "bufferedAmount" | "readyState" | "send" | "close" | "onmessage" | "onclose" | "onerror"
>;

/** What the server knows of a request beside what the request says. */
export interface Bindings {
  /** The address of the peer: the client, or a proxy before it. */
  address: string;
  /** Whether the client has gone away in the middle of the request. */
  isGone(): boolean;
  /**
   * Answers a WebSocket handshake and hands over the socket once it is open, or says that it has come to nothing; null:
   * this is no handshake.
   *
   * @throws {TypeError} If the handshake is wrong.
   */
  upgrade: ((take: (socket: ServerSocket) => void, drop: () => void) => Response) | null;
}

/** The types of Hono's context here. */
export interface AppEnv {
  Bindings: Bindings;
  Variables: { principal: Principal };
}
