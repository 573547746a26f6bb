/**
 * What a client sends and gets.
 *
 * @module
 */

import type { SubmissionBody } from "../../queue/submit/submission.ts";
import type { Clock } from "../../queue/task/clock.ts";
import type { Status } from "../../queue/task/record.ts";

/** A submission of one of the types of `Types`. */
export type TypedSubmission<Types> = {
  [Type in keyof Types & string]:
    & Omit<SubmissionBody, "task_type" | "input_params">
    & { task_type: Type; input_params?: Types[Type] };
}[keyof Types & string];

/** A file that was stored. */
export interface StoredUpload {
  /** What parameters of tasks name. */
  upload_id: string;
  /** Its name. */
  name: string;
  /** Bytes. */
  size: number;
  /** Found out from its content. */
  media_type: string;
  /** Hexadecimal. */
  sha256: string;
}

/** Which tasks are listed. Times are RFC 3339, or dates. */
export interface ListFilter {
  status?: Status | Status[];
  task_type?: string | string[];
  /** A tag. */
  tag?: string;
  /** Text in id, title, type, tags, message or error. */
  q?: string;
  /** Text in the error. */
  error?: string;
  /** The id of a schedule. */
  schedule?: string;
  created_from?: string;
  created_to?: string;
  ended_from?: string;
  ended_to?: string;
  /** Default newest. */
  order?: "newest" | "oldest";
}

/** How a client reaches the service. */
export interface ClientOptions {
  /** The address of the service, with its base path if it has one. */
  baseUrl: string | URL;
  /** A token; in a browser the cookie of the sign-in serves as well. */
  token?: string;
  /** How often a request is tried again after a failure that may pass. Default 5. */
  retries?: number;
  /** How requests are sent. Default: the global `fetch`. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /**
   * How the WebSocket is opened; null: `wait` asks again every second. Default: the global `WebSocket`, if there is one.
   * Only Deno and Node 22 or later send the token with it.
   */
  openSocket?: ((url: string, headers: Record<string, string>) => WebSocket) | null;
  /** How time passes. Default: that of the system. */
  clock?: Clock;
}

/** What every call takes. */
export interface CallOptions {
  /** Ends the call. */
  signal?: AbortSignal;
}

/** What calls take that make something. */
export interface MakeOptions extends CallOptions {
  /** Makes a repeated call do its work once. Default: a new one for each call, for its own retries. */
  idempotencyKey?: string;
}
