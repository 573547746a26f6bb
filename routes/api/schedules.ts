/**
 * `/api/schedules`: tasks that are submitted repeatedly.
 *
 * @module
 */

import { SCHEDULE_CHARS } from "../../queue/task/limits.ts";
import { Hono } from "hono";
import * as z from "zod";
import { nextTimes } from "../../queue/actions/cron.ts";
import { MISSED_POLICIES, type Schedule, type ScheduleInput } from "../../queue/actions/schedules.ts";
import { issuesOf } from "../../queue/params.ts";
import { InvalidInputError } from "../../queue/task/errors.ts";
import { UNIQUE_STATES } from "../../queue/submit/deduplication.ts";
import { requireRole } from "../http/auth.ts";
import { readJson } from "../http/body.ts";
import { withBase } from "../http/address.ts";
import { nextTimesQuery, readQuery } from "../http/query.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { idempotencyOf } from "../http/request_headers.ts";
import type { Quotas } from "../limits/quotas.ts";
import { taskResponse } from "./task_response.ts";
import { nameSchema, submissionFields, toFields } from "../../queue/submit/submission.ts";

/** How many upcoming times a schedule shows. */
export const NEXT_TIMES = 5;

/** A new schedule. */
export const scheduleSchema = z.strictObject({
  name: nameSchema(SCHEDULE_CHARS.name).optional(),
  cron: z.string().min(1).max(SCHEDULE_CHARS.cron),
  timezone: z.string().min(1).max(SCHEDULE_CHARS.timezone).optional(),
  missed: z.enum(MISSED_POLICIES).optional(),
  ...submissionFields,
});

/** The fields that a change may leave as they are; null takes an optional one away. */
export const changeSchema = z.record(z.string(), z.unknown());

const time = (ms: number | null) => ms === null ? null : new Date(ms).toISOString();
const seconds = (ms: number | undefined) => ms === undefined ? null : ms / 1000;

/** A schedule as the body that would create it. */
export function bodyOf({ name, cron, timezone, missed, submission }: Schedule): Record<string, unknown> {
  const { timeout_ms, expires_in_ms, retention_ms, unique, ...rest } = submission;
  return {
    ...{ name, cron, timezone, missed, ...rest },
    timeout: seconds(timeout_ms),
    expires_in: seconds(expires_in_ms),
    retention: seconds(retention_ms),
    unique: unique && { key: unique.key, period: seconds(unique.period_ms) ?? undefined, states: unique.states },
  };
}

/**
 * The body that a change makes of a schedule.
 *
 * @throws {InvalidInputError} With a pointer to each thing that is wrong.
 */
export function changedBody(schedule: Schedule, change: Record<string, unknown>): z.output<typeof scheduleSchema> {
  return parseSchedule({ ...bodyOf(schedule), ...change });
}

/**
 * Checks the body of a schedule; fields that are null count as left out.
 *
 * @throws {InvalidInputError} With a pointer to each thing that is wrong.
 */
export function parseSchedule(body: Record<string, unknown>): z.output<typeof scheduleSchema> {
  const given = Object.entries(body).filter(([, value]) => value !== null);
  const parsed = scheduleSchema.safeParse(Object.fromEntries(given));
  if (!parsed.success) throw new InvalidInputError(issuesOf(parsed.error, ""));
  return parsed.data;
}

/** A validated body, as the queue expects it. */
export function toSchedule(
  { name, cron, timezone, missed, ...fields }: z.output<typeof scheduleSchema>,
): ScheduleInput {
  return { name, cron, timezone, missed, submission: toFields(fields) };
}

function shown(schedule: Schedule): Record<string, unknown> {
  const { submission } = schedule;
  return {
    id: schedule.id,
    name: schedule.name,
    cron: schedule.cron,
    timezone: schedule.timezone,
    missed: schedule.missed,
    paused: schedule.paused,
    next_times: nextTimes(schedule, NEXT_TIMES).map(time),
    last_at: time(schedule.last_at),
    last_task_id: schedule.last_task_id,
    last_error: schedule.last_error,
    task_type: submission.task_type,
    input_params: submission.input_params,
    priority: submission.priority ?? 0,
    tags: submission.tags ?? [],
    max_attempts: submission.max_attempts ?? null,
    timeout: seconds(submission.timeout_ms),
    expires_in: seconds(submission.expires_in_ms),
    retention: seconds(submission.retention_ms),
    concurrency_key: submission.concurrency_key ?? null,
    unique: submission.unique
      ? {
        key: submission.unique.key,
        period: seconds(submission.unique.period_ms),
        states: submission.unique.states ?? UNIQUE_STATES,
      }
      : null,
    created_at: time(schedule.created_at),
    created_by: schedule.created_by,
  };
}

/** The routes of schedules. */
export function scheduleRoutes({ queue, publicUrl }: AppOptions, quotas: Quotas): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  const { schedules } = queue;

  app.post("/", requireRole("operator"), async (c) => {
    const body = await readJson(c, scheduleSchema);
    const { schedule, created } = await schedules.create(toSchedule(body), c.get("principal").name, {
      idempotency: idempotencyOf(c, ["schedule", body]),
      limits: quotas.scheduleLimits,
    });
    c.header("Location", withBase(`/api/schedules/${schedule.id}`, publicUrl));
    return c.json(shown(schedule), created ? 201 : 200);
  });

  app.get("/", async (c) => c.json({ schedules: (await schedules.list()).map(shown) }));

  app.get("/next", (c) => {
    const { cron, timezone } = readQuery(new URL(c.req.url).searchParams, nextTimesQuery);
    return c.json({ next_times: schedules.preview(cron, timezone, NEXT_TIMES).map(time) });
  });

  app.get("/:id", async (c) => c.json(shown(await schedules.get(c.req.param("id")))));

  app.patch("/:id", requireRole("operator"), async (c) => {
    const change = await readJson(c, changeSchema);
    const changed = (schedule: Schedule) => toSchedule(changedBody(schedule, change));
    return c.json(shown(await schedules.replace(c.req.param("id"), changed, quotas.scheduleLimits)));
  });

  app.delete("/:id", requireRole("operator"), async (c) => {
    await schedules.delete(c.req.param("id"));
    return c.body(null, 204);
  });

  app.post("/:id/pause", requireRole("operator"), async (c) => {
    return c.json(shown(await schedules.setPaused(c.req.param("id"), true)));
  });

  app.post("/:id/resume", requireRole("operator"), async (c) => {
    return c.json(shown(await schedules.setPaused(c.req.param("id"), false, quotas.scheduleLimits)));
  });

  app.post("/:id/trigger", requireRole("operator"), async (c) => {
    await quotas.takeTasks(c, 1);
    const schedule = c.req.param("id");
    const key = idempotencyOf(c, ["trigger", schedule]);
    const { id, created } = await schedules.trigger(schedule, c.get("principal").name, key);
    c.header("Location", withBase(`/api/tasks/${id}`, publicUrl));
    const state = created ?? await queue.get(id);
    return c.json(await taskResponse(queue, state, c.get("principal")), created ? 201 : 200);
  });

  return app;
}
