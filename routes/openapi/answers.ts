/**
 * Schemas of what the API answers.
 *
 * @module
 */

import * as z from "zod";
import { channelSchema, conditionSchema } from "../../queue/alerts/rule.ts";
import type { Caller, SeriesAnswer, Stats, TaskHistoryEvent, TypeInfo } from "../../queue/task/api_types.ts";
import { RANGES } from "../../queue/task/limits.ts";
import { type Json, STATUSES } from "../../queue/task/record.ts";
import type { Task, TaskGraph, TaskSummary } from "../../queue/task/summary.ts";
import { MISSED_POLICIES } from "../../queue/actions/schedules.ts";
import { ROLES } from "../settings.ts";

/** Text that says something about a schema. */
export const about = <S extends z.ZodType>(schema: S, description: string): S => schema.meta({ description });

/** The id of a task, a schedule, an upload or a message. */
export const id = z.string().regex(/^[0-9A-HJKMNP-TV-Z]{26}$/).meta({ example: "01KB5T6Q3V8YJ4N0Z2M7R9XWCE" });
const time = z.string().meta({ format: "date-time", example: "2026-11-25T08:00:00.000Z" });
const json = z.json().meta({ override: { description: "Any JSON value." } }) as unknown as z.ZodType<Json>;
const status = z.enum(STATUSES).meta({ id: "Status", example: "SUCCESS" });
const taskType = z.string().meta({ example: "csv_processing" });
const count = z.int().min(0);
const headToken = z.string().regex(/^[0-9a-f]{20}$/).meta({
  description: "A point in the stream of changes: pass it as `since`, or as `as_of` of a bulk action.",
  example: "000000000000002a0000",
});

const shortError = z.object({
  code: about(z.string(), "Stable, machine-readable."),
  message: about(z.string(), "What the handler said."),
}).meta({ id: "TaskErrorSummary", example: { code: "error", message: "The mail server does not answer." } });

const error = z.object({
  code: about(z.string(), "Stable, machine-readable."),
  message: about(z.string(), "What the handler said."),
  stack: about(z.string().optional(), "Where it was thrown; operators see it."),
}).meta({ id: "TaskError" });

const summaryFields = {
  id: about(id, "A ULID."),
  task_type: about(taskType, "The type."),
  title: about(z.string(), "What the page calls it.").meta({ example: "orders.csv" }),
  status: about(status, "Its status."),
  wait_reason: about(
    z.enum(["ready", "scheduled", "blocked", "limited"]).nullable(),
    "Why a PENDING task does not run yet; null otherwise.",
  ),
  progress: about(z.number().min(0).max(100), "Percent.").meta({ example: 100 }),
  message: about(z.string(), "What the last attempt said it was doing.").meta({ example: "Done." }),
  progress_at: about(time.nullable(), "When the running attempt last reported progress."),
  attempt: about(count, "How often it was started.").meta({ example: 1 }),
  max_attempts: about(z.int().min(1), "Attempts that may fail before it is FAILED.").meta({ example: 3 }),
  priority: about(z.int().min(0).max(9), "Higher goes first."),
  tags: z.array(z.string()),
  run_at: about(time.nullable(), "When it may start; null: at once."),
  created_at: about(time, "When it was submitted."),
  waiting_since: about(time, "When its last wait for a slot began."),
  started_at: about(time.nullable(), "When its last attempt started."),
  completed_at: about(time.nullable(), "When it ended."),
  expires_at: about(time.nullable(), "A task that has not been started by then is cancelled."),
  delete_at: about(time.nullable(), "When it will be removed; null while it has not ended."),
  instance: about(z.string().nullable(), "The instance that runs it."),
  concurrency_key: about(z.string().nullable(), "Tasks of its type with the same key run one after another."),
  schedule_id: about(id.nullable(), "The schedule that submitted it."),
  retried_from: about(id.nullable(), "The task that this one repeats."),
  version: about(count, "Grows with each change."),
};

/** A task in a list. */
export const taskSummary = z.object({
  ...summaryFields,
  error: about(shortError.nullable(), "Why the last attempt failed, or the task was cancelled."),
}).meta({ id: "TaskSummary" }) satisfies z.ZodType<TaskSummary>;

/** A file of a task. */
export const artifact = z.object({
  name: z.string().meta({ example: "summary.csv" }),
  size: about(count, "Bytes."),
  media_type: z.string().meta({ example: "text/csv" }),
  sha256: about(z.string(), "Hexadecimal."),
  created_at: time,
}).meta({ id: "Artifact" });

const attempt = z.object({
  attempt: about(z.int().min(1), "Which start it was."),
  instance: z.string(),
  started_at: time,
  completed_at: time,
  outcome: z.enum(["success", "failed", "timeout", "cancelled", "interrupted"]),
  error: error.nullable(),
}).meta({ id: "Attempt" });

const taskFields = {
  ...summaryFields,
  error: about(error.nullable(), "Why the last attempt failed, or the task was cancelled."),
  input_params: about(json, "The parameters, with the defaults of the type."),
  result: about(json, "What the handler returned; null before."),
  depends_on: about(z.array(id), "Tasks that must be SUCCESS before it may start."),
  unique_key: z.string().nullable(),
  scheduled_for: about(time.nullable(), "The time of its schedule that it is for."),
  callback_url: about(z.string().nullable(), "Notified of its end; viewers do not see its query."),
  failures: about(count, "Failed attempts since the last manual retry."),
  interruptions: about(count, "Attempts in a row that were interrupted without a new checkpoint."),
  timeout: about(z.number(), "Longest run of an attempt in seconds."),
  retention: about(z.number().nullable(), "How long it is kept after its end, in seconds; null: as its status says."),
  submitted_by: about(z.string().nullable(), "Who submitted it; null: code in the service."),
  traceparent: about(z.string().nullable(), "The span of the request that submitted it (W3C Trace Context)."),
  actions: about(
    z.array(z.object({
      action: z.enum(["cancel", "retry"]),
      at: time,
      by: z.string().nullable(),
      attempt: count,
      detail: z.string(),
    })),
    "Cancels and retries, oldest first.",
  ),
  retried_as: about(z.array(id), "Tasks that repeat this one."),
  redo: about(
    z.object({ failed: count, unknown: count }).nullable(),
    "How much of its work has failed or is unknown, if only that can be retried.",
  ),
  titles: about(z.record(z.string(), z.string()), "The titles of related tasks, by id."),
  schedule_name: z.string().nullable(),
  files: about(
    z.array(z.object({ id, name: z.string(), size: count, media_type: z.string() })),
    "The uploads that its parameters name.",
  ),
  artifacts: about(z.array(artifact), "The files that it has made."),
  attempts: about(z.array(attempt), "Its attempts that have ended, oldest first."),
};

/** A whole task. */
export const task = z.object(taskFields).meta({ id: "Task" }) satisfies z.ZodType<Task>;

/** A whole task whose cancellation was asked for. */
export const cancelledTask = z.object({ ...taskFields, cancel_requested: z.literal(true) })
  .meta({ id: "CancelRequestedTask" });

const byStatus = z.object({ PENDING: count, RUNNING: count, SUCCESS: count, FAILED: count, CANCELLED: count })
  .meta({ id: "StatusCounts" });

/** A page of tasks. */
export const taskList = z.object({
  tasks: z.array(taskSummary),
  next_cursor: about(id.nullable(), "Leads to the next page."),
  prev_cursor: about(
    z.union([id, z.literal("")]).nullable(),
    "Leads to the page before; empty: that is the first page.",
  ),
  total: about(count, "Tasks that match the filter."),
  total_capped: about(z.boolean(), "Whether there may be more than `total`."),
  searched: about(count.nullable(), "Tasks that were looked through, if the filter looks inside tasks."),
  facets: z.object({
    by_status: about(byStatus, "Tasks of each status under the other filters."),
    capped: about(z.boolean(), "Whether there may be more."),
  }).optional(),
  as_of: headToken,
}).meta({ id: "TaskList" });

/** Summaries of submitted tasks. */
export const batch = z.object({ tasks: z.array(taskSummary) }).meta({ id: "Batch" });

/** Related tasks. */
export const graph = z.object({
  tasks: z.array(z.object({ ...taskSummary.shape, depends_on: z.array(id) })),
  deleted: about(z.array(id), "Tasks that others depend on and that are gone."),
  partial: about(z.boolean(), "Whether there may be more tasks."),
}).meta({ id: "TaskGraph" }) satisfies z.ZodType<TaskGraph>;

/** What a bulk action did. */
export const bulkOutcomes = z.object({
  outcomes: z.array(z.object({
    id,
    outcome: about(z.string(), "`done`, `cancel_requested`, or the code of a problem.").meta({ example: "done" }),
    detail: z.string().optional(),
  })),
}).meta({ id: "BulkOutcomes" });

/** The task that does a large bulk action. */
export const bulkTask = z.object({ task: taskSummary }).meta({ id: "BulkTask" });

const statusEvent = z.object({
  kind: z.literal("status"),
  at: time,
  status,
  attempt: count,
  detail: z.string(),
});
const logEvent = z.object({
  kind: z.literal("log"),
  at: time,
  attempt: count,
  line: count,
  level: z.string(),
  text: z.string(),
});
/** Something that happened to a task. */
export const event = z.discriminatedUnion("kind", [statusEvent, logEvent])
  .meta({ id: "TaskEvent" }) satisfies z.ZodType<TaskHistoryEvent>;

/** The history of a task. */
export const events = z.object({
  events: z.array(event),
  gap: about(
    z.object({ after: z.string().nullable(), before: z.string() }).nullable(),
    "Lines of the log that were passed over: those after one position and before another.",
  ),
  since: headToken,
}).meta({ id: "TaskEvents" });

const position = z.string().regex(/^\d+:\d+$/).meta({ description: "`attempt:line`.", example: "1:500" });

/** A page of a log. */
export const logPage = z.object({
  lines: z.array(z.object({ attempt: count, line: count, at: time, level: z.string(), text: z.string() })),
  first: about(position.nullable(), "The first line of this page: pass it as `before`."),
  next: about(position, "The line after this page: pass it as `after`."),
}).meta({ id: "LogPage" });

/** The files of a task. */
export const artifacts = z.object({ artifacts: z.array(artifact) }).meta({ id: "Artifacts" });

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
  id: about(z.string(), "A ULID, or `setting-1` of one in the settings."),
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
    targets: about(z.array(z.string()), "Ids or names, at most 20."),
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
