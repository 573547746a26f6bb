/**
 * Sends the requests of a client, again while they meet failures that may pass.
 *
 * @module
 */

import { delay, systemClock } from "../../queue/task/clock.ts";
import type { CallOptions, ClientOptions } from "./types.ts";

/** An answer that is a problem (RFC 9457). */
export class ApiError extends Error {
  /** The HTTP status. */
  readonly status: number;
  /** Stable, machine-readable: see `/openapi.json`. */
  readonly code: string;
  /** Each wrong field, by JSON pointer, or parameter. */
  readonly errors: { pointer?: string; parameter?: string; detail: string }[];

  /** Takes the status of the answer and its body. */
  constructor(status: number, problem: Partial<Pick<ApiError, "code" | "errors">> & { detail?: string }) {
    super(problem.detail ?? `The service answered ${status}.`);
    this.name = "ApiError";
    this.status = status;
    this.code = problem.code ?? "unknown";
    this.errors = problem.errors ?? [];
  }
}

/** Codes of 503 and 429 that say that nothing was done. */
const UNDONE = [
  ...[
    "busy",
    "closed",
    "stopping",
    "too_many_streams",
    "too_many_tasks",
    "too_many_of_type",
    "too_many_uploads_at_once",
    "too_many_requests",
    "too_many_guesses",
  ],
];
/** The wait before the first retry, which doubles with each, and the longest one. Milliseconds. */
const [FIRST_WAIT_MS, LONGEST_WAIT_MS] = [250, 8_000];

/** The wait before another try: full jitter. Milliseconds. */
export function backoff(failures: number): number {
  return Math.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures);
}

/** A request. */
export interface ApiRequest extends CallOptions {
  method: string;
  /** Below the address of the service. */
  path: string;
  headers?: Record<string, string>;
  /** Sent as JSON. */
  json?: unknown;
  /** Makes another body for each try. */
  content?: () => Blob | ReadableStream<Uint8Array>;
  /** Whether it does its work once, however often it is sent. */
  isSafe: boolean;
  /** Tells the bytes of a Blob that were sent so far, in a browser. */
  onProgress?: (sent: number) => void;
}

/** Sends requests. */
export class Transport {
  /** The address of the service, with a slash at its end. */
  readonly base: string;
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.base = String(options.baseUrl).replace(/\/*$/, "/");
  }

  /** The headers that say who calls. */
  get credentials(): Record<string, string> {
    return this.#options.token === undefined ? {} : { Authorization: `Bearer ${this.#options.token}` };
  }

  /**
   * Sends a request and reads the JSON of its answer.
   *
   * @throws {ApiError} If it is refused.
   */
  async send<T>(request: ApiRequest): Promise<T> {
    const answer = await this.#tried(request);
    if (answer.ok) return await answer.json();
    throw new ApiError(answer.status, await answer.json().catch(() => ({})));
  }

  async #tried(request: ApiRequest): Promise<Response> {
    const { retries = 5, clock = systemClock } = this.#options;
    const { signal, isSafe } = request;
    for (let tries = 0;; tries++) {
      let wait = backoff(tries);
      try {
        const answer = await this.#once(request);
        if (tries >= retries || answer.status !== 503 && answer.status !== 429) return answer;
        const { code } = await answer.clone().json().catch(() => ({}));
        if (!UNDONE.includes(code) && !(isSafe && answer.status === 503)) return answer;
        await answer.body?.cancel();
        wait = Math.max(wait, 1_000 * Number(answer.headers.get("Retry-After") ?? 0) || 0);
      } catch (error) {
        if (signal?.aborted || !isSafe || tries >= retries) throw error;
      }
      await delay(clock, wait, signal);
    }
  }

  #once({ method, path, headers, json, content, signal, onProgress }: ApiRequest): Promise<Response> {
    const all = { ...this.credentials, ...headers };
    if (json !== undefined) all["Content-Type"] = "application/json";
    const body = json === undefined ? content?.() : JSON.stringify(json);
    if (onProgress && body instanceof Blob) return sendByXhr(this.base + path, body, all, onProgress, signal);
    const send = this.#options.fetch ?? fetch;
    // Node asks for the direction where a body is a stream.
    const init = { method, headers: all, body: body as BodyInit, signal, ...content && { duplex: "half" } };
    return send(this.base + path, init);
  }
}

/** Sends a body; browsers tell its progress only this way. */
function sendByXhr(
  url: string,
  body: Blob,
  headers: Record<string, string>,
  onProgress: (sent: number) => void,
  signal?: AbortSignal,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded }) => onProgress(loaded);
    request.onload = () => {
      const retryAfter = request.getResponseHeader("Retry-After");
      const { status } = request;
      resolve(new Response(request.response, { status, headers: retryAfter ? { "Retry-After": retryAfter } : {} }));
    };
    request.onerror = () => reject(new TypeError("The connection failed."));
    request.onabort = () => reject(signal!.reason);
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(body);
  });
}
