/**
 * Content that is kept in memory, and sent again only when it has changed.
 *
 * @module
 */

import type { Context } from "hono";
import { createHash } from "node:crypto";

/** Content with its tag. */
export interface Kept {
  body: Uint8Array<ArrayBuffer>;
  /** Its media type. */
  type: string;
  etag: string;
}

/** Tags content by its hash. */
export function keep(body: Uint8Array<ArrayBuffer>, type: string): Kept {
  return { body, type, etag: `"${createHash("sha256").update(body).digest("hex").slice(0, 24)}"` };
}

/** Answers with content; with 304 if the client has it already. */
export function sendKept(c: Context, { body, type, etag }: Kept, cacheControl = "no-cache"): Response {
  const headers = { "Content-Type": type, ETag: etag, "Cache-Control": cacheControl };
  return c.req.header("If-None-Match") === etag ? c.body(null, 304, headers) : c.body(body, 200, headers);
}
