/**
 * A durable task queue on Deno KV: everything that a program needs to submit, run and watch tasks.
 *
 * @example
 * ```ts
 * import * as z from "zod";
 * import { defineTask, Queue } from "./mod.ts";
 *
 * const greet = defineTask({
 *   type: "greet",
 *   title: "Greet",
 *   description: "Says hello.",
 *   params: z.strictObject({ name: z.string() }),
 *   run: ({ params }) => Promise.resolve(`Hello ${params.name}`),
 * });
 *
 * const kv = await Deno.openKv(":memory:");
 * const queue = new Queue({ kv, definitions: [greet] });
 * await queue.start();
 * const { task } = await queue.submit({ task_type: "greet", input_params: { name: "Ada" } });
 * console.log(task.task.id);
 * await queue.stop();
 * kv.close();
 * ```
 *
 * @module
 */

export { Queue } from "./queue.ts";
export { QUEUE_DEFAULTS, type QueueOptions } from "./options.ts";
export {
  type AnyTaskDefinition,
  type Backoff,
  DEFAULTS,
  defineTask,
  type OpenedFile,
  type ParentTask,
  type Redo,
  REDO_ONLY,
  type RedoOnly,
  type RedoSource,
  type Registry,
  type TaskContext,
  type TaskDefinition,
  type TaskLog,
  type TaskOptions,
} from "./define.ts";
export {
  createLogger,
  LOG_LEVELS,
  LOG_MODULES,
  type LogFields,
  type Logger,
  type LogLevel,
  type LogModule,
  silent,
} from "./log.ts";
export * from "./task/limits.ts";
export * from "./task/actions.ts";
export * from "./task/errors.ts";
export { type Clock, systemClock } from "./task/clock.ts";
export {
  type Attempt,
  type AttemptOutcome,
  type Json,
  type Placement,
  type RunRecord,
  type Status,
  STATUSES,
  statusOf,
  type TaskAction,
  type TaskError,
  type TaskRecord,
  type TaskState,
  type TerminalStatus,
} from "./task/record.ts";
export { type ArtifactInfo, type FileInfo, type Retention, summaryOf, type TaskSummary } from "./task/summary.ts";
export type { PauseInfo, SeriesAnnotation, SeriesAnswer, SeriesBucket } from "./task/api_types.ts";
export { RETRY_FROM, type RetryFrom } from "./task/transitions.ts";
export { type Inbox, type Refusal, taskMessage, type UndeliveredMessage } from "./submit/inbox.ts";
export type { SubmissionBody } from "./submit/submission.ts";
export type { Submission } from "./submit/new_task.ts";
export type { IdempotencyKey, Unique } from "./submit/deduplication.ts";
export type { Uploads } from "./submit/uploads.ts";
export type { Failures } from "./store/facets.ts";
export type { Graph } from "./store/graph.ts";
export type { Filter, Order, Page } from "./store/listing.ts";
export type { ContentFilter } from "./task/content_filter.ts";
export type { StoredFile, Upload } from "./store/reads.ts";
export type { Counts, OpenWork } from "./store/counts.ts";
export type { Change } from "./store/changeset.ts";
export type { ArtifactFile, StoredArtifacts } from "./store/files/artifacts.ts";
export { type AtomicLimits, CONNECT_LIMITS, FILE_LIMITS } from "./store/commit/atomic_size.ts";
export type { LogLine, LogPart, LogPosition, TaskLogs } from "./run/task_log.ts";
export {
  type Admit,
  MISSED_POLICIES,
  type MissedPolicy,
  type Schedule,
  type ScheduleInput,
  type ScheduleLimits,
  type Schedules,
} from "./actions/schedules.ts";
export type { Bulk, BulkOutcome } from "./actions/bulk.ts";
export type { MailLedger, Suppression } from "./actions/mail_ledger.ts";
export type { AlertOptions, Alerts } from "./alerts/alerts.ts";
export type { Disk } from "./alerts/conditions.ts";
export type { Channel, Condition, Rule, RuleInput, RuleState } from "./alerts/rule.ts";
export type { AccessTokens, StoredToken, TokenInput } from "./access/tokens.ts";
export type { AuditAction, AuditEntry, AuditFilter, AuditLog } from "./access/audit_log.ts";
export type { Sessions } from "./access/sessions.ts";
export type { Health } from "./background/health.ts";
export type { JanitorJob, JanitorOptions } from "./background/janitor.ts";
export type { Batch, ChangeStream, TaskChange } from "./watch/change_stream.ts";
export type { Series } from "./watch/series.ts";
export { moveOf, type QueueObserver, type TaskMove } from "./watch/observer.ts";
