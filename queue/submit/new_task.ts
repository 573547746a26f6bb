/**
 * A new task: from what was submitted to its first state.
 *
 * @module
 */

import { ATTEMPTS, MAX_DEPENDENCIES, MAX_PARAMS_BYTES, PRIORITY, TAGS, TIMEOUT_S } from "../task/limits.ts";
import type { Core } from "../core.ts";
import type { AnyTaskDefinition } from "../define.ts";
import { onlyChecks, parseParams, uploadsOf } from "../params.ts";
import { jsonSize } from "../store/codec.ts";
import { assertDepth } from "../task/json/depth.ts";
import { DELIVERY_TYPE } from "../task/callback_url.ts";
import { InvalidInputError } from "../task/errors.ts";
import { newId, shardOf } from "../task/ids.ts";
import type { Json, TaskState } from "../task/record.ts";
import { validTraceparent } from "../tracing.ts";
import { placementAt } from "../task/transitions.ts";
import type { Unique } from "./deduplication.ts";

/** What is submitted. */
export interface Submission {
  /** The type. */
  task_type: string;
  /** The parameters, by the schema of the type. @default {} */
  input_params?: unknown;
  /** 0 (default) to 9; each step is worth a minute of waiting. */
  priority?: number;
  /** When it may start, milliseconds since the epoch; the past means now. */
  run_at?: number;
  /** Attempts that may fail, 1 to 25. Default: that of the type. */
  max_attempts?: number;
  /** Longest run of an attempt in milliseconds. Default: that of the type. */
  timeout_ms?: number;
  /** At most 10 of at most 64 characters. */
  tags?: string[];
  /** If it has not been started within this time, it is cancelled. Milliseconds from now. */
  expires_in_ms?: number;
  /** How long it is kept after its end, in milliseconds. Default: by its status. */
  retention_ms?: number;
  /** Tasks of the type with the same key run one after another, or as many at once as the type says. */
  concurrency_key?: string;
  /** Returns the existing task instead of creating another. Not in a batch. */
  unique?: Unique;
  /** Ids of tasks, or in a batch the `ref` of others in it, that must be SUCCESS before this one may start. */
  depends_on?: string[];
  /** Within a batch, what others call this task in their `depends_on`. */
  ref?: string;
  /** The schedule that submits it. */
  schedule_id?: string;
  /** The time of the schedule that it is for, milliseconds since the epoch. */
  scheduled_for?: number;
  /** An http or https URL that is notified of its end, by a task of the type `webhook_delivery`. */
  callback_url?: string;
  /** The task that this one repeats with changes. */
  retried_from?: string;
  /** Who submits it; omitted: code in the same process. */
  submitted_by?: string;
  /** The span that it is part of, as a `traceparent` (W3C Trace Context); one that is not valid is dropped. */
  traceparent?: string;
}

/** A submission whose type and parameters were checked. */
export interface CheckedParams {
  definition: AnyTaskDefinition;
  /** As the handler gets them. */
  params: Json;
  /** As they are stored: as sent, where the schema changes them. */
  stored: Json;
  /** Bytes of these as JSON. */
  bytes: number;
  /** Ids of the uploads that they name. */
  uploads: string[];
}

/**
 * Checks the type and the parameters of a submission.
 *
 * @param root The JSON pointer to the submission, for errors.
 * @param internal Whether the service itself submits: then its own types are allowed.
 * @throws {InvalidInputError} If something is wrong with them.
 */
export function checkParams({ registry }: Core, submission: Submission, root: string, internal = false): CheckedParams {
  const definition = registry.get(submission.task_type);
  if (!definition || definition.internal && !internal) {
    const known = registry.public().map(({ type }) => type).join(", ");
    throw new InvalidInputError([
      { pointer: `${root}/task_type`, detail: `Unknown task type. Known types: ${known}.` },
    ]);
  }
  const pointer = `${root}/input_params`;
  const given = submission.input_params ?? {};
  assertDepth(given, pointer);
  // Parameters that are stored as sent are parsed as they will be read back.
  const sent = onlyChecks(definition) ? null : JSON.parse(JSON.stringify(given)) as Json;
  const params = parseParams(definition, sent ?? given, pointer) as Json;
  const stored = sent ?? params;
  const bytes = jsonSize(stored);
  if (bytes > MAX_PARAMS_BYTES) {
    const detail = `Parameters may take at most ${MAX_PARAMS_BYTES.toLocaleString("en")} bytes. Upload larger data.`;
    throw new InvalidInputError([{ pointer, detail }]);
  }
  return { definition, params, stored, bytes, uploads: uploadsOf(definition, params) };
}

/**
 * Makes the state of a new task from what was submitted, with all defaults filled in.
 *
 * @param fileNames The names of its uploads.
 * @param root The JSON pointer to the submission, for errors.
 * @throws {InvalidInputError} If something is wrong with it.
 */
export function newTask(
  { registry, clock, shards }: Core,
  submission: Submission,
  { definition, params, stored, bytes, uploads }: CheckedParams,
  fileNames: string[],
  root: string,
): TaskState {
  assertLimits(submission, root);
  const now = clock.now();
  const priority = submission.priority ?? 0;
  const runAt = submission.run_at !== undefined && submission.run_at > now ? submission.run_at : null;
  const expiresAt = submission.expires_in_ms === undefined ? null : now + submission.expires_in_ms;
  if (expiresAt !== null && runAt !== null && expiresAt <= runAt) {
    throw new InvalidInputError([{
      pointer: `${root}/expires_in`,
      detail: "The task would expire before it could start.",
    }]);
  }
  if (submission.callback_url !== undefined && !registry.get(DELIVERY_TYPE)) {
    const detail = `The task type ${DELIVERY_TYPE}, which delivers it, is not available.`;
    throw new InvalidInputError([{ pointer: `${root}/callback_url`, detail }]);
  }
  const concurrency_key = submission.concurrency_key ?? null;
  const depends_on = [...submission.depends_on ?? []];
  if (new Set(depends_on).size < depends_on.length) {
    throw new InvalidInputError([{ pointer: `${root}/depends_on`, detail: "A task is listed twice." }]);
  }
  if (depends_on.length > MAX_DEPENDENCIES) {
    const detail = `A task may depend on at most ${MAX_DEPENDENCIES} others.`;
    throw new InvalidInputError([{ pointer: `${root}/depends_on`, detail }]);
  }
  const id = newId(now);
  return {
    run: null,
    task: {
      id,
      task_type: definition.type,
      title: (definition.titleOf?.(params, fileNames) || definition.title).slice(0, 200),
      status: "PENDING",
      placement: depends_on.length > 0
        ? { kind: "blocked", unmet: depends_on.length }
        : placementAt(runAt ?? now, { priority, concurrency_key }, now),
      progress: 0,
      message: "",
      input_params: stored,
      result: null,
      error: null,
      attempt: 0,
      failures: 0,
      interruptions: 0,
      max_attempts: submission.max_attempts ?? definition.maxAttempts,
      timeout_ms: submission.timeout_ms ?? definition.timeoutMs,
      priority,
      tags: submission.tags ?? [],
      run_at: runAt,
      expires_at: expiresAt,
      created_at: now,
      started_at: null,
      completed_at: null,
      retention_ms: submission.retention_ms ?? null,
      concurrency_key,
      unique_key: submission.unique?.key ?? null,
      depends_on,
      has_dependents: false,
      generation: 0,
      schedule_id: submission.schedule_id ?? null,
      callback_url: submission.callback_url ?? null,
      retried_from: submission.retried_from ?? null,
      submitted_by: submission.submitted_by ?? null,
      scheduled_for: submission.scheduled_for ?? null,
      traceparent: validTraceparent(submission.traceparent),
      params_bytes: bytes < 1_024 ? 0 : bytes,
      attempts: [],
      actions: [],
      uploads,
      record_only: false,
      shard: shardOf(id, shards),
      version: 1,
    },
  };
}

/** @throws {InvalidInputError} If an option is out of its range. */
function assertLimits({ priority = 0, max_attempts, timeout_ms, tags = [] }: Submission, root: string): void {
  const within = (value: number | undefined, { min, max }: { min: number; max: number }) =>
    value === undefined || Number.isInteger(value) && value >= min && value <= max;
  const whole = (unit: string, { min, max }: { min: number; max: number }) =>
    `Must be a whole number${unit} from ${min} to ${max}.`;
  const timeout = { min: TIMEOUT_S.min * 1_000, max: TIMEOUT_S.max * 1_000 };
  const issues = [
    { name: "priority", valid: within(priority, PRIORITY), detail: whole("", PRIORITY) },
    { name: "max_attempts", valid: within(max_attempts, ATTEMPTS), detail: whole("", ATTEMPTS) },
    { name: "timeout_ms", valid: within(timeout_ms, timeout), detail: whole(" of milliseconds", timeout) },
    {
      name: "tags",
      valid: tags.length <= TAGS.max && tags.every((tag) => tag.length <= TAGS.chars),
      detail: `At most ${TAGS.max} tags of at most ${TAGS.chars} characters.`,
    },
  ].filter(({ valid }) => !valid);
  if (issues.length === 0) return;
  throw new InvalidInputError(issues.map(({ name, detail }) => ({ pointer: `${root}/${name}`, detail })));
}
