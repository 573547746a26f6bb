/**
 * Information about the service: its task types, statistics and health.
 *
 * @module
 */

import { Hono } from "hono";
import { paramsSchema } from "../../queue/params.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Range } from "../../queue/task/limits.ts";
import type { TypeInfo } from "../../queue/task/api_types.ts";
import * as z from "zod";
import { assertType, callerOf, requireRole } from "../access/auth.ts";
import { readOptionalJson } from "../http/body.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { readQuery, seriesQuery } from "../http/query.ts";
import type { StatsFeed } from "../live/stats_feed.ts";

/** The catalogue. */
export async function typeInfos(queue: Queue): Promise<TypeInfo[]> {
  const pauses = await queue.pauses();
  return queue.registry.public().map((definition) => ({
    type: definition.type,
    title: definition.title,
    description: definition.description,
    params: paramsSchema(definition),
    max_attempts: definition.maxAttempts,
    timeout: definition.timeoutMs / 1000,
    slots: queue.slots(definition),
    concurrency_per_key: definition.concurrencyPerKey,
    rate_limit: queue.rateOf(definition),
    paused: pauses.get(definition.type) ?? null,
    side_effects: definition.sideEffects ?? null,
    example: definition.example ?? null,
  }));
}

/** Why a type is paused. */
export const pauseSchema = z.strictObject({ reason: z.string().max(500).default("") });

/** How long the answer of a series is reused, in milliseconds. */
const SERIES_FRESH_MS: Record<Range, number> = { "15m": 1_000, "1h": 2_000, "24h": 20_000, "30d": 60_000 };
/** The most answers kept. */
const MAX_RECENT = 50;

/** The routes of the service itself. */
export function systemRoutes({ queue, clock, faults }: AppOptions, stats: StatsFeed): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });

  // Clients that watch the same charts share one read: a day has many minutes.
  const recent = new Map<string, { until: number; answer: ReturnType<Queue["series"]["read"]> }>();
  const series = (range: Range, types: string[]) => {
    const key = JSON.stringify([range, types]);
    const now = clock.monotonic();
    for (const [key, { until }] of recent) if (until <= now) recent.delete(key);
    const known = recent.get(key);
    if (known) return known.answer;
    const answer = queue.series.read(range, types.length > 0 ? types : undefined);
    if (recent.size < MAX_RECENT) recent.set(key, { until: now + SERIES_FRESH_MS[range], answer });
    answer.catch(() => recent.delete(key));
    return answer;
  };

  app.get("/task-types", async (c) => c.json({ task_types: await typeInfos(queue) }));

  const infoOf = async (type: string) => (await typeInfos(queue)).find((info) => info.type === type);
  app.post("/task-types/:type/pause", requireRole("operator"), async (c) => {
    assertType(c, c.req.param("type"));
    const body = await readOptionalJson(c, pauseSchema);
    await queue.pause(c.req.param("type"), c.get("principal").name, body.reason);
    return c.json(await infoOf(c.req.param("type")));
  });

  app.post("/task-types/:type/resume", requireRole("operator"), async (c) => {
    assertType(c, c.req.param("type"));
    await queue.resume(c.req.param("type"));
    return c.json(await infoOf(c.req.param("type")));
  });

  app.get("/stats", async (c) => {
    const as_of = await queue.stream.head();
    return c.json({ ...await stats.read(), as_of, instance: queue.instance });
  });

  app.get("/series", async (c) => {
    const { range, task_type } = readQuery(new URL(c.req.url).searchParams, seriesQuery);
    return c.json(await series(range, task_type.toSorted()));
  });

  app.get("/me", (c) => c.json(callerOf(c.get("principal"))));

  app.get("/health", async (c) => {
    const { kv, runner, backlog_age_ms } = await queue.health();
    const healthy = kv && runner;
    const status = healthy ? "healthy" : "unhealthy";
    // Callers without a token learn only whether it works.
    const details = c.get("principal") &&
      { checks: { kv, runner }, backlog_age_ms, faults: faults?.() ?? 0, instance: queue.instance };
    return c.json({ status, ...details }, healthy ? 200 : 503);
  });

  return app;
}
