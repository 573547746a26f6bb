/**
 * `/api/suppressions`: addresses to which no mailing sends.
 *
 * @module
 */

import { Hono } from "hono";
import * as z from "zod";
import type { Suppression } from "../../queue/actions/mail_ledger.ts";
import { bareAddress, MAX_ADDRESS, parseAddress } from "../../queue/handlers/email/address.ts";
import { NotFoundError } from "../../queue/task/errors.ts";
import { readQuery, suppressionsQuery } from "../http/query.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { requireAllTypes, requireRole } from "../access/auth.ts";
import { readJson } from "../http/body.ts";

/** Addresses that are added at once, and listed on a page. */
export const MAX_SUPPRESSIONS = 200;

/** Characters of a reason. */
export const REASON_CHARS = 200;

/** Addresses to suppress. */
export const suppressionsSchema = z.strictObject({
  addresses: z.array(
    z.string().max(MAX_ADDRESS).refine((text) => parseAddress(text) !== null, "This is not an address."),
  ).min(1).max(MAX_SUPPRESSIONS),
  reason: z.string().max(REASON_CHARS).default(""),
});

function shown({ added_at, ...suppression }: Suppression): Record<string, unknown> {
  return { ...suppression, added_at: new Date(added_at).toISOString() };
}

/** The routes of the suppression list. */
export function suppressionRoutes({ queue }: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });

  // Addresses are personal: whoever may not send has no need of them.
  app.get("/", requireRole("operator"), async (c) => {
    const { suppressions, next } = await queue.mail.suppressions(
      MAX_SUPPRESSIONS,
      readQuery(new URL(c.req.url).searchParams, suppressionsQuery).after,
    );
    return c.json({ suppressions: suppressions.map(shown), next });
  });

  app.post("/", requireRole("operator"), requireAllTypes(), async (c) => {
    const { addresses, reason } = await readJson(c, suppressionsSchema);
    c.set("target", addresses);
    const added = await queue.mail.suppress(addresses.map(bareAddress), reason, c.get("principal").name);
    return c.json({ added }, added > 0 ? 201 : 200);
  });

  app.delete("/:address", requireRole("operator"), requireAllTypes(), async (c) => {
    const address = c.req.param("address");
    if (!await queue.mail.unsuppress(bareAddress(address))) {
      throw new NotFoundError(`Suppression of ${address.slice(0, 64)}`);
    }
    return c.body(null, 204);
  });

  return app;
}
