/**
 * Schemas of what the API answers about tasks.
 *
 * @module
 */

import * as z from "zod";
import type { TaskHistoryEvent } from "../../queue/task/api_types.ts";
import type { Task, TaskGraph, TaskSummary } from "../../queue/task/summary.ts";
import { about, count, headToken, id, json, status, taskType, time } from "./basics.ts";

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

/** Tasks by status. */
export const byStatus = z.object({ PENDING: count, RUNNING: count, SUCCESS: count, FAILED: count, CANCELLED: count })
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
