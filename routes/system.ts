/**
 * What can be known of the service: its task types, its numbers, its health.
 *
 * @module
 */

import { Hono } from "hono";
import { paramsSchema } from "../queue/define.ts";
import type { Queue } from "../queue/queue.ts";
import { type Stats, type Status, STATUSES, type TypeInfo } from "../queue/task.ts";
import * as z from "zod";
import { requireRole } from "./auth.ts";
import { readOptionalJson } from "./body.ts";
import type { AppEnv, AppOptions } from "./env.ts";

/** The catalogue. */
export async function typeInfos(queue: Queue): Promise<TypeInfo[]> {
  const pauses = await queue.pauses();
  return queue.registry.public().map((definition) => ({
    type: definition.type,
    title: definition.title,
    description: definition.description,
    params: paramsSchema(definition),
    max_attempts: definition.maxAttempts ?? 3,
    timeout: (definition.timeoutMs ?? 600_000) / 1000,
    slots: queue.slots(definition),
    concurrency_per_key: definition.concurrencyPerKey ?? 1,
    rate_limit: queue.rateOf(definition),
    paused: pauses.get(definition.type) ?? null,
  }));
}

/** The exact counters. */
export async function readStats(queue: Queue): Promise<Stats> {
  const counts = await queue.counts();
  const zeros = () => Object.fromEntries(STATUSES.map((status) => [status, 0])) as Record<Status, number>;
  const stats: Stats = { total: 0, by_status: zeros(), by_type: {} };
  for (const type of new Set([...queue.registry.public().map(({ type }) => type), ...Object.keys(counts)])) {
    const of = stats.by_type[type] = zeros();
    for (const status of STATUSES) {
      of[status] = counts[type]?.[status] ?? 0;
      stats.by_status[status] += of[status];
      stats.total += of[status];
    }
  }
  return stats;
}

/** The routes of the service itself. */
export function systemRoutes({ queue }: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });

  app.get("/task-types", async (c) => c.json({ task_types: await typeInfos(queue) }));

  const infoOf = async (type: string) => (await typeInfos(queue)).find((info) => info.type === type);
  app.post("/task-types/:type/pause", requireRole("operator"), async (c) => {
    const body = await readOptionalJson(c, z.strictObject({ reason: z.string().max(500).default("") }));
    await queue.pause(c.req.param("type"), c.get("principal").name, body.reason);
    return c.json(await infoOf(c.req.param("type")));
  });

  app.post("/task-types/:type/resume", requireRole("operator"), async (c) => {
    await queue.resume(c.req.param("type"));
    return c.json(await infoOf(c.req.param("type")));
  });

  app.get("/stats", async (c) => c.json({ ...await readStats(queue), instance: queue.instance }));

  app.get("/health", async (c) => {
    const { kv, runner, backlog_age_ms } = await queue.health();
    const healthy = kv && runner;
    return c.json({
      status: healthy ? "healthy" : "unhealthy",
      checks: { kv, runner },
      backlog_age_ms,
      instance: queue.instance,
    }, healthy ? 200 : 503);
  });

  return app;
}
