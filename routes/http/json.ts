/**
 * The headers of every response, and JSON responses that are made with all of them: to add headers to a response
 * afterwards, and to copy all of them to the server's, costs as much as the rest of a small request.
 *
 * @module
 */

import type { Context } from "hono";
import type { AppEnv } from "../env.ts";

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "frame-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Headers of every response that does not have its own. */
export const COMMON_HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy": CONTENT_SECURITY_POLICY,
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
};

/** A JSON response with these and the common headers alone, sent at once where the server can. */
export function json(
  c: Context<AppEnv>,
  value: unknown,
  status: number,
  headers: Record<string, string> = {},
): Response {
  const all = { "Content-Type": "application/json", ...COMMON_HEADERS, ...headers };
  const body = JSON.stringify(value);
  const response = c.env?.answer?.(status, all, body) ?? new Response(body, { status, headers: all });
  c.set("hasCommonHeaders", true);
  c.set("sentStatus", status);
  return response;
}
