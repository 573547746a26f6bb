/**
 * `/api/undelivered`: messages of KV's own queue that did not become tasks.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import { NotFoundError } from "../../queue/task/errors.ts";
import type { UndeliveredMessage } from "../../queue/submit/inbox.ts";
import { withBase } from "../http/address.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { requireAllTypes, requireRole } from "../access/auth.ts";
import { readQuery, undeliveredQuery } from "../http/query.ts";
import type { Quotas } from "../limits/quotas.ts";
import { taskResponse } from "./task_response.ts";

/** Messages on a page. */
export const MESSAGES_SHOWN = 50;

function shown({ id, at, submission, refusal }: UndeliveredMessage): Record<string, unknown> {
  return { id, sent_at: new Date(at).toISOString(), submission, refusal };
}

/** Where the list goes on, by the query; undefined: from its beginning. */
export function afterOf(c: Context<AppEnv>): string | undefined {
  return readQuery(new URL(c.req.url).searchParams, undeliveredQuery).after;
}

/** The routes of undelivered messages. */
export function undeliveredRoutes({ queue, publicUrl }: AppOptions, quotas: Quotas): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  const { inbox } = queue;

  // What a message submits may be anything: whoever may not submit has no need of it.
  app.get("/", requireRole("operator"), async (c) => {
    const { messages, next } = await inbox.list(MESSAGES_SHOWN, afterOf(c));
    return c.json({ undelivered: messages.map(shown), next });
  });

  app.post("/:id/retry", requireRole("operator"), requireAllTypes(), async (c) => {
    await quotas.takeTasks(c, [null]);
    const id = await inbox.retry(c.req.param("id"));
    const state = await queue.get(id).catch((error) => {
      if (error instanceof NotFoundError) return null;
      throw error;
    });
    // The task that the message had made before was deleted since.
    if (!state) return c.body(null, 204);
    c.header("Location", withBase(`/api/tasks/${id}`, publicUrl));
    return c.json(await taskResponse(queue, state, c.get("principal")), 201);
  });

  app.delete("/:id", requireRole("operator"), requireAllTypes(), async (c) => {
    await inbox.discard(c.req.param("id"));
    return c.body(null, 204);
  });

  return app;
}
