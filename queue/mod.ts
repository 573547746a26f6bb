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
export type { QueueOptions } from "./options.ts";
export {
  type AnyTaskDefinition,
  type Backoff,
  defineTask,
  type OpenedFile,
  type ParentTask,
  type TaskContext,
  type TaskDefinition,
  type TaskLog,
  type TaskOptions,
} from "./define.ts";
export { createLogger, type Logger, silent } from "./log.ts";
export { type Submission } from "./submit/new_task.ts";
export { MAX_BATCH, MAX_DEPENDENCIES, MAX_PARAMS_BYTES } from "./task/limits.ts";
export type { IdempotencyKey, Unique } from "./submit/deduplication.ts";
export type { Filter, Order, Page } from "./store/listing.ts";
export type { ArtifactFile } from "./store/artifacts.ts";
export { type AtomicLimits, CONNECT_LIMITS, FILE_LIMITS } from "./store/commit/atomic_size.ts";
export { type Clock, systemClock } from "./task/clock.ts";
export * from "./task/errors.ts";
export { type Json, type Status, STATUSES, statusOf, type TaskRecord, type TaskState } from "./task/record.ts";
export { type Retention, summaryOf, type TaskSummary } from "./task/summary.ts";
export type { Schedule, ScheduleInput } from "./actions/schedules.ts";
export type { BulkOutcome } from "./actions/bulk.ts";
export type { JanitorJob, JanitorOptions } from "./background/janitor.ts";
export type { Batch, TaskChange } from "./watch/change_stream.ts";
