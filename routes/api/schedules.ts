/**
 * `/api/schedules`: tasks that are submitted repeatedly.
 *
 * @module
 */

import { SCHEDULE_CHARS } from "../../queue/task/limits.ts";
import { Hono, type MiddlewareHandler } from "hono";
import * as z from "zod";
import { nextTimes } from "../../queue/actions/cron.ts";
import { MISSED_POLICIES, type Schedule, type ScheduleInput } from "../../queue/actions/schedules.ts";
import type { Queue } from "../../queue/queue.ts";
import { statusOf, type TaskState } from "../../queue/task/record.ts";
import { summaryOf } from "../../queue/task/summary.ts";
import { issuesOf } from "../../queue/params.ts";
import { InvalidInputError } from "../../queue/task/errors.ts";
import { UNIQUE_STATES } from "../../queue/submit/deduplication.ts";
import { assertType, requireRole } from "../access/auth.ts";
import { readJson } from "../http/body.ts";
import { withBase } from "../http/address.ts";
import { nextTimesQuery, readQuery, timeSchema } from "../http/query.ts";
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
  max_lateness: z.number().min(1).max(86_400 * 366).optional(),
  ...submissionFields,
});

/** The fields that a change may leave as they are; null takes an optional one away. */
export const changeSchema = z.record(z.string(), z.unknown());

const time = (ms: number | null) => ms === null ? null : new Date(ms).toISOString();
const seconds = (ms: number | undefined) => ms === undefined ? null : ms / 1000;

/** A schedule as the body that would create it. */
export function bodyOf(
  { name, cron, timezone, missed, max_lateness_ms, submission }: Schedule,
): Record<string, unknown> {
  const { timeout_ms, expires_in_ms, retention_ms, unique, ...rest } = submission;
  return {
    ...{ name, cron, timezone, missed, ...rest },
    max_lateness: seconds(max_lateness_ms),
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
  { name, cron, timezone, missed, max_lateness, ...fields }: z.output<typeof scheduleSchema>,
): ScheduleInput {
  const max_lateness_ms = max_lateness === undefined ? undefined : Math.round(max_lateness * 1000);
  return { name, cron, timezone, missed, max_lateness_ms, submission: toFields(fields) };
}

/** The window of the past that is filled. */
export const backfillSchema = z.strictObject({ from: timeSchema, to: timeSchema });

/** The last tasks of each schedule, newest first; those that were deleted are left out. */
export async function recentTasks(queue: Queue, schedules: Schedule[]): Promise<TaskState[][]> {
  const ids = schedules.map(({ recent_tasks }) => recent_tasks);
  const states = new Map((await queue.getAll(ids.flat())).map((state) => [state.task.id, state]));
  return ids.map((some) => some.flatMap((id) => states.get(id) ?? []));
}

function shown(schedule: Schedule, recent: TaskState[]): Record<string, unknown> {
  const { submission } = schedule;
  return {
    id: schedule.id,
    name: schedule.name,
    cron: schedule.cron,
    timezone: schedule.timezone,
    missed: schedule.missed,
    max_lateness: seconds(schedule.max_lateness_ms),
    paused: schedule.paused,
    next_times: nextTimes(schedule, NEXT_TIMES).map(time),
    last_at: time(schedule.last_at),
    last_task_id: schedule.last_task_id,
    last_outcomes: recent.map((state) => ({
      task_id: state.task.id,
      status: statusOf(state),
      scheduled_for: time(state.task.scheduled_for),
      completed_at: state.run ? null : time(state.task.completed_at),
    })),
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
  const show = async (schedule: Schedule) => shown(schedule, (await recentTasks(queue, [schedule]))[0]);

  app.post("/", requireRole("operator"), async (c) => {
    const body = await readJson(c, scheduleSchema);
    assertType(c, body.task_type);
    const { schedule, created } = await schedules.create(toSchedule(body), c.get("principal").name, {
      idempotency: idempotencyOf(c, ["schedule", body]),
      limits: quotas.scheduleLimits,
    });
    c.set("target", schedule.id);
    c.header("Location", withBase(`/api/schedules/${schedule.id}`, publicUrl));
    return c.json(await show(schedule), created ? 201 : 200);
  });

  /** Refuses a token that is not for the type of a schedule. */
  const assertTypeOf: MiddlewareHandler<AppEnv, "/:id"> = async (c, next) => {
    if (c.get("principal").task_types) assertType(c, (await schedules.get(c.req.param("id"))).submission.task_type);
    await next();
  };

  app.get("/", async (c) => {
    const all = await schedules.list();
    const recent = await recentTasks(queue, all);
    return c.json({ schedules: all.map((schedule, i) => shown(schedule, recent[i])) });
  });

  app.get("/next", (c) => {
    const { cron, timezone } = readQuery(new URL(c.req.url).searchParams, nextTimesQuery);
    return c.json({ next_times: schedules.preview(cron, timezone, NEXT_TIMES).map(time) });
  });

  app.get("/:id", async (c) => c.json(await show(await schedules.get(c.req.param("id")))));

  app.patch("/:id", requireRole("operator"), assertTypeOf, async (c) => {
    const change = await readJson(c, changeSchema);
    const changed = (schedule: Schedule) => {
      const body = changedBody(schedule, change);
      assertType(c, body.task_type);
      return toSchedule(body);
    };
    return c.json(await show(await schedules.replace(c.req.param("id"), changed, quotas.scheduleLimits)));
  });

  app.delete("/:id", requireRole("operator"), assertTypeOf, async (c) => {
    await schedules.delete(c.req.param("id"));
    return c.body(null, 204);
  });

  app.post("/:id/pause", requireRole("operator"), assertTypeOf, async (c) => {
    return c.json(await show(await schedules.setPaused(c.req.param("id"), true)));
  });

  app.post("/:id/resume", requireRole("operator"), assertTypeOf, async (c) => {
    return c.json(await show(await schedules.setPaused(c.req.param("id"), false, quotas.scheduleLimits)));
  });

  app.post("/:id/trigger", requireRole("operator"), assertTypeOf, async (c) => {
    const schedule = c.req.param("id");
    const key = idempotencyOf(c, ["trigger", schedule]);
    const admit = (types: string[]) => quotas.takeTasks(c, types);
    const { id, created } = await schedules.trigger(schedule, c.get("principal").name, key, admit);
    c.header("Location", withBase(`/api/tasks/${id}`, publicUrl));
    const state = created ?? await queue.get(id);
    return c.json(await taskResponse(queue, state, c.get("principal")), created ? 201 : 200);
  });

  app.post("/:id/backfill", requireRole("operator"), assertTypeOf, async (c) => {
    const body = await readJson(c, backfillSchema);
    const schedule = c.req.param("id");
    const { name } = c.get("principal");
    const key = idempotencyOf(c, ["backfill", schedule, body]);
    const [from, to] = [Date.parse(body.from), Date.parse(body.to)];
    const admit = (types: string[]) => quotas.takeTasks(c, types);
    const { ids, created } = await schedules.backfill(schedule, from, to, name, key, admit);
    const states = created ?? await queue.getAll(ids);
    return c.json({ tasks: states.map((state) => summaryOf(state, queue.retention)) }, created ? 201 : 200);
  });

  return app;
}
