/**
 * `/api/alerts`: rules of alerts.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import { CALM, type Rule, ruleSchema, type RuleState } from "../../queue/alerts/rule.ts";
import { mayActAs, requireAllTypes, requireRole } from "../access/auth.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { readJson } from "../http/body.ts";

/** A rule as it is answered. The path and query of a URL may be a secret: only admins see them. */
function shownRule(c: Context<AppEnv>, { to, ...rule }: Rule, { firing, since, detail, told_at }: RuleState) {
  const time = (ms: number | null) => ms === null || ms === 0 ? null : new Date(ms).toISOString();
  const isAdmin = mayActAs(c.get("principal"), "admin");
  return {
    ...rule,
    to: isAdmin
      ? to
      : to.map((channel) => "url" in channel ? { ...channel, url: new URL(channel.url).origin } : channel),
    firing,
    since: time(since),
    detail: firing ? detail : "",
    told_at: time(told_at),
  };
}

/** The routes of alerts. */
export function alertRoutes({ queue }: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  const { alerts } = queue;

  app.get("/", requireRole("operator"), async (c) => {
    const [rules, states] = await Promise.all([alerts.list(), alerts.states()]);
    return c.json({ alerts: rules.map((rule) => shownRule(c, rule, states.get(rule.id) ?? CALM)) });
  });

  app.post("/", requireRole("admin"), requireAllTypes(), async (c) => {
    const rule = await alerts.create(await readJson(c, ruleSchema), c.get("principal").name);
    c.set("target", rule.id);
    return c.json(shownRule(c, rule, CALM), 201);
  });

  app.delete("/:id", requireRole("admin"), requireAllTypes(), async (c) => {
    await alerts.delete(c.req.param("id"));
    return c.body(null, 204);
  });

  app.post("/:id/test", requireRole("admin"), requireAllTypes(), async (c) => {
    const tasks = await alerts.test(c.req.param("id"));
    return c.json({ task_ids: tasks.map(({ task }) => task.id) }, 202);
  });

  return app;
}
