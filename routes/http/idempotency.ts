/**
 * The header Idempotency-Key (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/): whatever
 * makes something takes one, so that a request whose answer was lost can be sent again.
 *
 * @module
 */

import type { Context } from "hono";
import { fingerprint, type IdempotencyKey } from "../../queue/submit/deduplication.ts";
import type { AppEnv } from "../env.ts";
import { Problem } from "./problem.ts";

/**
 * What the header asks for.
 *
 * @param sent What the request asks for: what was sent is compared, not what became of it, since a delay is another
 * time at each try.
 * @throws {Problem} 400 if it is no key.
 */
export function idempotencyOf(c: Context<AppEnv>, sent: unknown): IdempotencyKey & { body: string } | undefined {
  const key = c.req.header("Idempotency-Key");
  if (key === undefined) return undefined;
  if (!/^[\x21-\x7e]{1,200}$/.test(key)) {
    const detail = "An Idempotency-Key has 1 to 200 visible ASCII characters.";
    throw new Problem(400, "bad_idempotency_key", detail, [{ parameter: "Idempotency-Key", detail }]);
  }
  return { scope: c.get("principal").name, key, body: fingerprint(sent) };
}
