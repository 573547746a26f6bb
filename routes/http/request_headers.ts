/**
 * What a client says in headers about the answer that it wants and the body that it sends: `Accept`, `Prefer`,
 * `Content-Encoding`, and `Idempotency-Key` (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/).
 * Every request that creates something accepts the last one, so that it can be sent again if its response was lost.
 *
 * @module
 */

import { pipeline, Readable } from "node:stream";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import { createGunzip } from "node:zlib";
import type { Context, MiddlewareHandler } from "hono";
import { fingerprint, type IdempotencyKey } from "../../queue/submit/deduplication.ts";
import { KEY_CHARS } from "../../queue/task/limits.ts";
import type { AppEnv } from "../env.ts";
import { Problem } from "./problem.ts";

/** How much an `Accept` header wants a media type, 0 to 1: its most specific range decides (RFC 9110, 12.5.1). */
export function qualityOf(header: string | undefined, type: string): number {
  if (header === undefined || header === "*/*" || header.trim() === "") return 1;
  const [main] = type.split("/");
  const rank = [type, `${main}/*`, "*/*"];
  let [best, quality] = [rank.length, 0];
  for (const range of header.split(",")) {
    const [name, ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    const at = rank.indexOf(name);
    if (at < 0 || at > best) continue;
    const q = parameters.find((parameter) => parameter.startsWith("q="));
    [best, quality] = [at, Math.max(at < best ? 0 : quality, q ? Number(q.slice(2)) || 0 : 1)];
  }
  return quality;
}

/** Whether a request wants events as a stream rather than as JSON. */
export function wantsEventStream(c: Context): boolean {
  const header = c.req.header("Accept");
  const stream = qualityOf(header, "text/event-stream");
  const json = qualityOf(header, "application/json");
  return stream > json || stream > 0 && stream === json && /text\/event-stream/i.test(header ?? "");
}

const PAGES = ["/", "/login", "/schedules", "/suppressions", "/undelivered", "/docs", "/audit", "/alerts"];

/** The media types that an address answers with; null: it is not negotiated (files, probes, what is not there). */
function offered(path: string): string[] | null {
  if (PAGES.includes(path)) return ["text/html"];
  if (!path.startsWith("/api/") || path.startsWith("/api/health")) return null;
  if (/^\/api\/tasks\/[^/]+\/(artifacts(\/|\.zip$)|files\/|logs\.txt$)/.test(path)) return null;
  if (path === "/api/audit.csv") return null;
  const stream = /^\/api\/tasks\/[^/]+\/events\/?$/.test(path) ? ["text/event-stream"] : [];
  // Every problem is of the last one.
  return ["application/json", ...stream, "application/problem+json"];
}

/** Methods of pages; their forms are answered by a redirect. */
const SAFE = new Set(["GET", "HEAD"]);

/** Refuses with 406 what asks for another media type than there is. */
export function assertAcceptable(): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const header = c.req.header("Accept");
    if (header !== undefined && header !== "*/*") {
      const types = SAFE.has(c.req.method) || c.req.path.startsWith("/api/") ? offered(c.req.path) : null;
      if (types && types.every((type) => qualityOf(header, type) === 0)) {
        throw new Problem(406, "not_acceptable", `This address answers with ${types.join(", ")}.`);
      }
    }
    await next();
  };
}

/** What a request prefers (RFC 7240). */
export interface Preferences {
  /** Whether the answer may be without a body. */
  minimal: boolean;
  /** How long the answer may wait for the task's end, in seconds; null: not at all. */
  wait: number | null;
}

/** The longest time that an answer waits. Seconds. */
const MAX_WAIT_S = 60;

/** Reads `Prefer: return=minimal, wait=10`; what is unknown is ignored. */
export function preferencesOf(c: Context): Preferences {
  const parts = (c.req.header("Prefer") ?? "").toLowerCase().split(",").map((part) => part.split(";")[0].trim());
  const wait = parts.map((part) => /^wait\s*=\s*"?(\d{1,9})"?$/.exec(part)?.[1]).find((seconds) =>
    seconds !== undefined
  );
  return {
    minimal: parts.some((part) => /^return\s*=\s*"?minimal"?$/.test(part)),
    wait: wait === undefined ? null : Math.min(MAX_WAIT_S, Number(wait)),
  };
}

/** Bytes that are unpacked at once: a kilobyte may unpack to a megabyte. */
const UNPACKED_AT_ONCE = 64 * 1024;

/**
 * The body of a request, unpacked if it is packed with gzip; null if there is none.
 *
 * @throws {Problem} 415 for another `Content-Encoding`. The stream fails with 400 if it is not valid gzip.
 */
export function unpackedBody(c: Context): ReadableStream<Uint8Array<ArrayBuffer>> | null {
  const { body } = c.req.raw;
  if (!body || !isPacked(c)) return body;
  const packed = Readable.fromWeb(body as NodeReadableStream);
  const unpacked = createGunzip({ chunkSize: UNPACKED_AT_ONCE });
  // What goes wrong with the connection goes wrong with what is read from it.
  pipeline(packed, unpacked, () => {});
  const parts = unpacked[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await parts.next();
        if (done) controller.close();
        else controller.enqueue(new Uint8Array(value));
      } catch (error) {
        if (!String((error as { code?: string }).code).startsWith("Z_")) throw error;
        throw new Problem(400, "broken_encoding", "The body is not complete, valid gzip.");
      }
    },
    async cancel() {
      await parts.return?.();
      packed.destroy();
    },
  }, { highWaterMark: 0 });
}

/**
 * Whether the body is packed.
 *
 * @throws {Problem} 415 if in another way than by gzip.
 */
export function isPacked(c: Context): boolean {
  const encoding = (c.req.header("Content-Encoding") ?? "").trim().toLowerCase();
  if (encoding === "" || encoding === "identity") return false;
  if (encoding === "gzip" || encoding === "x-gzip") return true;
  const detail = `Content-Encoding ${encoding.slice(0, 40)} is not read; send the body as it is, or packed with gzip.`;
  throw new Problem(415, "unsupported_encoding", detail, [], { "Accept-Encoding": "gzip" });
}

/**
 * What `Idempotency-Key` asks for.
 *
 * @param sent The request as sent. It is compared instead of the result, because a delay means a different time at each
 * attempt.
 * @throws {Problem} 400 if the key is invalid.
 */
export function idempotencyOf(c: Context<AppEnv>, sent: unknown): IdempotencyKey & { body: string } | undefined {
  const key = c.req.header("Idempotency-Key");
  if (key === undefined) return undefined;
  if (!/^[\x21-\x7e]+$/.test(key) || key.length > KEY_CHARS) {
    const detail = `An Idempotency-Key must have 1 to ${KEY_CHARS} visible ASCII characters.`;
    throw new Problem(400, "bad_idempotency_key", detail, [{ parameter: "Idempotency-Key", detail }]);
  }
  return { scope: c.get("principal").name, key, body: fingerprint(sent) };
}
