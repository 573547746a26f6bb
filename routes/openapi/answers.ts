/**
 * Schemas of what the API answers about all but tasks.
 *
 * @module
 */

import * as z from "zod";
import { channelSchema, conditionSchema } from "../../queue/alerts/rule.ts";
import type { Caller, SeriesAnswer, Stats, TypeInfo } from "../../queue/task/api_types.ts";
import { RANGES } from "../../queue/task/limits.ts";
import { MISSED_POLICIES } from "../../queue/actions/schedules.ts";
import { ROLES } from "../settings.ts";
import { about, count, headToken, id, json, status, taskType, time } from "./basics.ts";
import { byStatus } from "./task_answers.ts";

/** A file that was stored. */
export const upload = z.object({
  upload_id: id,
  name: z.string().meta({ example: "orders.csv" }),
  size: about(count, "Bytes."),
  media_type: about(z.string(), "Found out from the content.").meta({ example: "text/csv" }),
  sha256: z.string(),
}).meta({ id: "Upload" });

/** What an upload answers. */
export const uploads = z.union([upload, z.object({ uploads: z.array(upload) }).meta({ id: "Uploads" })]);

/** A schedule. */
export const schedule = z.object({
  id,
  name: z.string(),
  cron: z.string().meta({ example: "0 2 * * *" }),
  timezone: z.string().meta({ example: "Europe/Zurich" }),
  missed: z.enum(MISSED_POLICIES),
  max_lateness: about(z.number(), "A tick that is later was missed. Seconds."),
  paused: z.boolean(),
  next_times: about(z.array(time), "The next five; none while it is paused."),
  last_at: about(time.nullable(), "When it last submitted a task."),
  last_task_id: id.nullable(),
  last_outcomes: about(
    z.array(z.object({ task_id: id, status, scheduled_for: time.nullable(), completed_at: time.nullable() })),
    "The last tasks that it submitted, newest first: at most 10, and without those that were deleted.",
  ),
  last_error: about(z.string().nullable(), "Why its last tick submitted none."),
  task_type: taskType,
  input_params: json,
  priority: z.int(),
  tags: z.array(z.string()),
  max_attempts: z.int().nullable(),
  timeout: z.number().nullable(),
  expires_in: z.number().nullable(),
  retention: z.number().nullable(),
  concurrency_key: z.string().nullable(),
  unique: z.object({ key: z.string(), period: z.number().nullable(), states: z.array(status) }).nullable(),
  created_at: time,
  created_by: z.string(),
}).meta({ id: "Schedule" });

/** All schedules. */
export const schedules = z.object({ schedules: z.array(schedule) }).meta({ id: "Schedules" });

/** The next times of a cron expression. */
export const nextTimes = z.object({ next_times: z.array(time) }).meta({ id: "NextTimes" });

const pause = z.object({ by: z.string(), at: time, reason: z.string() }).meta({ id: "Pause" });

/** A task type. */
export const typeInfo = z.object({
  type: taskType,
  title: z.string(),
  description: z.string(),
  params: about(z.record(z.string(), z.unknown()), "JSON Schema of `input_params`; `x-` members are hints for forms."),
  max_attempts: z.int(),
  timeout: about(z.number(), "Seconds."),
  slots: about(z.object({ total: count, running: count }), "Of the instance that answers."),
  concurrency_per_key: z.int(),
  rate_limit: about(z.string().nullable(), "Starts in a window, over all instances.").meta({ example: "10/s" }),
  paused: about(pause.nullable(), "Set while no task of this type is started."),
  side_effects: about(z.string().nullable(), "What running a task again does again."),
  example: about(json, "Parameters of an example."),
}).meta({ id: "TaskType" }) satisfies z.ZodType<TypeInfo>;

/** All task types. */
export const typeInfos = z.object({ task_types: z.array(typeInfo) }).meta({ id: "TaskTypes" });

/** Statistics. */
export const stats = z.object({
  total: count,
  by_status: byStatus,
  by_type: z.record(z.string(), byStatus),
  last_hour: about(
    z.record(z.string(), z.object({ failed: count, failed_capped: z.boolean(), run_p95: z.number().nullable() })),
    "By type: FAILED tasks that ended in the last hour, and the 95th percentile of run times in milliseconds.",
  ),
  paused: z.record(z.string(), pause),
  undelivered: about(count, "Messages that did not become tasks, counted up to 1,000."),
  as_of: headToken,
  instance: z.string(),
}).meta({ id: "Stats" }) satisfies z.ZodType<Stats>;

/** A series. */
export const series = z.object({
  range: z.enum(Object.keys(RANGES)),
  bucket_seconds: z.int(),
  buckets: z.array(z.object({
    at: time,
    submitted: count,
    succeeded: count,
    failed: count,
    cancelled: count,
    wait_p50: about(z.number().nullable(), "Milliseconds from ready to start."),
    wait_p95: z.number().nullable(),
    run_p50: about(z.number().nullable(), "Milliseconds of runs that succeeded."),
    run_p95: z.number().nullable(),
    waiting: z.record(z.string(), count),
    by_type: z.record(z.string(), count),
  })),
  marks: z.array(z.object({ at: time, kind: z.enum(["start", "pause", "resume"]), task_type: z.string().nullable() })),
}).meta({ id: "Series" }) satisfies z.ZodType<SeriesAnswer>;

/** The caller. */
export const caller = z.object({
  name: z.string(),
  role: z.enum(ROLES),
  permissions: z.array(z.enum(["view", "submit", "cancel", "retry", "pause", "schedule", "delete"])),
}).meta({ id: "Caller" }) satisfies z.ZodType<Caller>;

/** The health of the service. */
export const health = z.object({
  status: z.enum(["healthy", "unhealthy"]),
  checks: z.object({ kv: z.boolean(), runner: z.boolean() }).optional(),
  backlog_age_ms: about(z.number().nullable().optional(), "How long the oldest ready task has waited."),
  faults: about(count.optional(), "Errors in the service that nobody handled."),
  instance: z.string().optional(),
}).meta({ id: "Health" });

/** Whether the process lives. */
export const liveness = z.object({ status: z.literal("alive") }).meta({ id: "Liveness" });

/** Whether the instance takes requests. */
export const readiness = z.object({ status: z.enum(["ready", "not_ready"]) }).meta({ id: "Readiness" });

/** Suppressions. */
export const suppressions = z.object({
  suppressions: z.array(z.object({
    address: z.string().meta({ example: "leaver@example.com" }),
    reason: z.string(),
    added_at: time,
    added_by: z.string().nullable(),
  })),
  next: about(z.string().nullable(), "Leads to the next page: pass it as `after`."),
}).meta({ id: "Suppressions" });

/** How many addresses were added. */
export const added = z.object({ added: count }).meta({ id: "Added" });

const tokenFields = {
  id,
  name: z.string().meta({ example: "importer" }),
  role: z.enum(ROLES),
  task_types: about(z.array(z.string()).nullable(), "The only types that it may submit and change; null: all."),
  expires_at: about(time.nullable(), "Null: never."),
  rate: about(z.int().nullable(), "Requests per second; null: as the settings say."),
  created_at: time,
  created_by: z.string(),
};

/** Tokens. */
export const tokens = z.object({ tokens: z.array(z.object(tokenFields)) }).meta({ id: "Tokens" });

/** A new token. */
export const newToken = z.object({
  ...tokenFields,
  secret: about(z.string(), "It cannot be read again."),
}).meta({ id: "NewToken" });

/** A rule of alerts. */
export const alert = z.object({
  id: about(z.string(), "A ULID, or `setting-` and a hash of one in the settings."),
  name: z.string(),
  when: conditionSchema,
  window: z.int(),
  to: about(z.array(channelSchema), "Of URLs, only admins see more than the origin."),
  created_by: z.string().nullable(),
  firing: about(z.boolean(), "Whether it is met now."),
  since: about(time.nullable(), "Since when it is, or is no longer; null: it never was."),
  detail: about(z.string(), "What is wrong; empty: nothing."),
  told_at: about(time.nullable(), "When it was last told that it is met."),
}).meta({ id: "Alert" });

/** All rules. */
export const alerts = z.object({ alerts: z.array(alert) }).meta({ id: "Alerts" });

/** Entries of the audit log. */
export const auditEntries = z.object({
  entries: z.array(z.object({
    at: time,
    by: about(z.string(), "Who; empty: nobody was signed in."),
    role: z.string(),
    from: about(z.string(), "The address, or the network of an IPv6 address."),
    action: z.string().meta({ example: "task.cancel" }),
    status: about(z.int(), "That of the answer."),
    problem: about(z.string().nullable(), "The code of the problem; null: it was done."),
    count: about(z.int().min(1), "How often within a quarter of a second."),
    targets: about(z.array(z.string()), "Ids or names, at most 200; more are another entry."),
  })),
  next: about(z.string().nullable(), "Leads to the next page: pass it as `before`."),
}).meta({ id: "AuditEntries" });

/** Messages that did not become tasks. */
export const undelivered = z.object({
  undelivered: z.array(z.object({
    id,
    sent_at: time,
    submission: json,
    refusal: z.object({
      code: z.string(),
      detail: z.string(),
      errors: z.array(z.object({ pointer: z.string(), detail: z.string() })),
    }),
  })),
  next: about(id.nullable(), "Leads to the next page: pass it as `after`."),
}).meta({ id: "Undelivered" });
