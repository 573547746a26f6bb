/**
 * `/api/tokens`: tokens that are made while the service runs.
 *
 * @module
 */

import { Hono } from "hono";
import * as z from "zod";
import type { StoredToken } from "../../queue/access/tokens.ts";
import { InvalidInputError } from "../../queue/task/errors.ts";
import { FILTER_TYPES, TYPE_CHARS } from "../../queue/task/limits.ts";
import { requireAllTypes, requireRole } from "./auth.ts";
import { hasAuth } from "./credentials.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { readJson } from "../http/body.ts";
import { Problem } from "../http/problem.ts";
import type { StreamLimits } from "../live/stream_limits.ts";
import { ROLES } from "../settings.ts";

/** A new token. */
export const tokenSchema = z.strictObject({
  name: z.string().regex(/^[\w.@ -]{1,64}$/, "1 to 64 letters, digits, spaces and any of . _ - @.")
    .meta({ description: "Who it stands for; no two tokens have the same." }),
  role: z.enum(ROLES),
  task_types: z.array(z.string().min(1).max(TYPE_CHARS)).min(1).max(FILTER_TYPES).optional()
    .meta({ description: "The only types that it may submit and change. Default: all." }),
  expires_at: z.iso.datetime({ offset: true }).optional().meta({ description: "Default: never." }),
  rate: z.int().min(1).max(1_000_000).optional()
    .meta({ description: "Requests per second, over ten seconds. Default: MAX_REQUESTS_PER_SECOND." }),
});

function shown({ id, name, role, task_types, expires_at, rate, created_at, created_by }: StoredToken) {
  const time = (ms: number | null) => ms === null ? null : new Date(ms).toISOString();
  return { id, name, role, task_types, expires_at: time(expires_at), rate, created_at: time(created_at), created_by };
}

/** The routes of tokens. */
export function tokenRoutes(options: AppOptions, streams: StreamLimits): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  const { queue, tokens } = options;

  app.use(requireRole("admin"), requireAllTypes());

  app.get("/", async (c) => c.json({ tokens: (await queue.tokens.list()).map(shown) }));

  app.post("/", async (c) => {
    const body = await readJson(c, tokenSchema);
    if (!hasAuth(options)) {
      const detail = "Anyone is an admin here: tokens have a meaning once API_TOKENS or OIDC_ISSUER is set.";
      throw new Problem(409, "no_authentication", detail);
    }
    const unknown = (body.task_types ?? []).flatMap((type, i) =>
      queue.registry.get(type) ? [] : [{ pointer: `/task_types/${i}`, detail: "Unknown task type." }]
    );
    if (unknown.length > 0) throw new InvalidInputError(unknown);
    const caller = c.get("principal");
    const expires_at = body.expires_at === undefined ? null : Date.parse(body.expires_at);
    // Otherwise a token could outlive itself.
    if (caller.token_id !== undefined && (expires_at ?? Infinity) > (caller.expires_at ?? Infinity)) {
      throw new InvalidInputError([{ pointer: "/expires_at", detail: "Not later than the token that makes it." }]);
    }
    const { token, secret } = await queue.tokens.create(
      {
        name: body.name,
        role: body.role,
        task_types: body.task_types ?? null,
        expires_at,
        rate: body.rate ?? null,
      },
      caller.name,
      tokens.map(({ name }) => name),
    );
    c.set("target", token.name);
    return c.json({ ...shown(token), secret }, 201);
  });

  app.delete("/:id", async (c) => {
    const { id, name } = await queue.tokens.revoke(c.req.param("id"));
    c.set("target", name);
    streams.endToken(id);
    return c.body(null, 204);
  });

  return app;
}
