/**
 * What every route gets, and who the caller is.
 *
 * @module
 */

import type { Context } from "hono";
import type { Clock } from "../queue/task/clock.ts";
import type { Logger } from "../queue/log.ts";
import type { Queue } from "../queue/queue.ts";
import type { Metrics } from "./monitoring/metrics.ts";
import type { Network } from "./network.ts";
import type { QuotaLimits } from "./limits/defaults.ts";
import type { Role, Token } from "./settings.ts";

/** What the routes work with. */
export interface AppOptions {
  queue: Queue;
  clock: Clock;
  log: Logger;
  /** Without tokens everyone is an admin. */
  tokens: Token[];
  /** Sign-in of people by an identity provider. Default: by tokens alone. */
  oidc?: PeopleSignIn;
  /** The largest upload in bytes. */
  maxUploadBytes: number;
  /** Bytes of all files of a request. */
  maxUploadTotalBytes: number;
  /** The address to listen on: a loopback address without tokens answers only to loopback names. */
  host: string;
  /** Proxies that are trusted to report the client's address and TLS. Default: none. */
  trustedProxies?: Network[];
  /** The address under which clients reach the service. Default: the one that they ask for. */
  publicUrl?: URL;
  /** WebSockets and event streams of all callers together. Default 1,000. */
  maxStreams?: number;
  /** WebSockets and event streams of one token, and of one address. Default 250. */
  maxStreamsPerCaller?: number;
  /** Limits on what callers may put into the store. */
  quotas?: Partial<QuotaLimits>;
  /** The store's file, to check how full its disk is; undefined if the store is not a file. */
  storePath?: string;
  /** What `/metrics` tells; it observes the queue. Default: requests alone are counted. */
  metrics?: Metrics;
  /** Whether requests are spans of OpenTelemetry. Default false. */
  tracing?: boolean;
  /** Unhandled errors since the start. */
  faults?: () => number;
}

/** The caller. */
export interface Principal {
  name: string;
  role: Role;
  /** The sign-in, if it is one by cookie. */
  session?: string;
  /** The token, if it was made at run time. */
  token_id?: string;
  /** The only types that they may submit and change. Default: all. */
  task_types?: string[];
  /** Requests per second. Default: as the settings say. */
  rate?: number;
  /** When a sign-in by cookie, or a token, ends: milliseconds since the epoch. Default: never. */
  expires_at?: number;
}

/** Someone who may sign in, and what their cookie is signed with: it ends with what it was made from. */
export interface Credential {
  /** What the cookie calls them. */
  name: string;
  principal: Principal;
  key: string;
}

/** An identity provider that people sign in with. */
export interface PeopleSignIn {
  /** What the button calls it. */
  readonly name: string;
  /** Signs the cookies of people. */
  readonly sessionKey: string;
  /** The address at the provider where a person signs in; `back` is where they come back to. */
  begin(c: Context<AppEnv>, back: string): Promise<URL>;
  /**
   * Finishes a sign-in.
   *
   * @throws {Problem} 401 if it cannot be trusted, 403 if the person has no role here.
   */
  finish(c: Context<AppEnv>): Promise<{ credential: Credential; back: string }>;
}

/** What both kinds of WebSocket have in common. */
export type ServerSocket = Pick<
  WebSocket,
  "bufferedAmount" | "readyState" | "send" | "close" | "onmessage" | "onclose" | "onerror"
>;

/** What the server knows about a request in addition to the request itself. */
export interface Bindings {
  /** The address of the peer: the client, or a proxy in front of it. */
  address: string;
  /** Whether the client disconnected in the middle of the request. */
  isGone(): boolean;
  /** Sends a small response at once, without the detour of a Response; missing where the server cannot. */
  answer?(status: number, headers: Record<string, string>, body: string): Response;
  /**
   * Answers a WebSocket handshake. Calls `take` with the socket once it is open, or `drop` if that fails. Null if
   * this is not a handshake.
   *
   * @throws {TypeError} If the handshake is invalid.
   */
  upgrade: ((take: (socket: ServerSocket) => void, drop: () => void) => Response) | null;
}

/** The types of Hono's context here. */
export interface AppEnv {
  Bindings: Bindings;
  Variables: {
    principal: Principal;
    /** Whether the response was made with the common headers. */
    hasCommonHeaders?: true;
    /** The status of a response that was sent at once. */
    sentStatus?: number;
    /** The code of the problem that was answered. */
    problem?: string;
    /** What the request was about, for the audit log, where its path does not say. */
    target?: string | string[];
    /** What it did, where its path does not say. */
    action?: string;
  };
}
