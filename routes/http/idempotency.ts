/**
 * The header Idempotency-Key (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/): every
 * request that creates something accepts one, so that it can be sent again if its response was lost.
 *
 * @module
 */

import { KEY_CHARS } from "../../queue/task/limits.ts";
import type { Context } from "hono";
import { fingerprint, type IdempotencyKey } from "../../queue/submit/deduplication.ts";
import type { AppEnv } from "../env.ts";
import { Problem } from "./problem.ts";

/**
 * What the header asks for.
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
