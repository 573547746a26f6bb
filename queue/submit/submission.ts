/**
 * The API's format of a submission: its schema, and how it is converted for the queue. Durations
 * (`delay`, `timeout`, `expires_in`, `retention`) are in seconds.
 *
 * @module
 */

import { ATTEMPTS, KEY_CHARS, MAX_DEPENDENCIES, PRIORITY, TAGS, TIMEOUT_S, TYPE_CHARS } from "../task/limits.ts";
import * as z from "zod";
import { issuesOf } from "../params.ts";
import { callbackUrl } from "../task/callback_url.ts";
import { InvalidInputError } from "../task/errors.ts";
import { isId } from "../task/ids.ts";
import type { Submission } from "./new_task.ts";
import { type Status, STATUSES } from "../task/record.ts";

const YEAR_MS = 366 * 86_400_000;
const YEAR_S = YEAR_MS / 1000;

/** A string for names and keys: well-formed, without control characters. */
export function nameSchema(longest: number): z.ZodType<string> {
  return z.string().min(1).max(longest).refine(
    (text) => text.isWellFormed() && !/\p{Cc}/u.test(text),
    "This contains a control character or an incomplete character.",
  );
}

const key = nameSchema(KEY_CHARS);
const taskId = z.string().refine(isId, "This is not the id of a task.");

/** Fields allowed in every submission, including those of a schedule. */
export const submissionFields = {
  task_type: z.string().min(1).max(TYPE_CHARS),
  input_params: z.record(z.string(), z.unknown()).default({}),
  priority: z.int().min(PRIORITY.min).max(PRIORITY.max).optional(),
  max_attempts: z.int().min(ATTEMPTS.min).max(ATTEMPTS.max).optional(),
  timeout: z.number().min(TIMEOUT_S.min).max(TIMEOUT_S.max).optional(),
  tags: z.array(nameSchema(TAGS.chars)).max(TAGS.max).optional(),
  expires_in: z.number().min(0.001).max(YEAR_S).optional(),
  retention: z.number().min(0).max(10 * YEAR_S).optional(),
  concurrency_key: key.optional(),
  callback_url: callbackUrl.optional(),
  unique: z.strictObject({
    key,
    period: z.number().min(0.001).max(10 * YEAR_S).optional(),
    states: z.array(z.enum(STATUSES)).min(1).optional(),
  }).optional(),
};

const fields = {
  ...submissionFields,
  run_at: z.iso.datetime({ offset: true }).optional(),
  delay: z.number().min(0).max(YEAR_S).optional(),
  retried_from: taskId.optional(),
};

const notBoth = {
  check: (body: { run_at?: string; delay?: number }) => body.run_at === undefined || body.delay === undefined,
  otherwise: { path: ["delay"], message: "Pass run_at or delay, not both." },
};

/** The body of a submission. */
export const submissionSchema = z.strictObject({
  ...fields,
  depends_on: z.array(taskId).max(MAX_DEPENDENCIES).optional(),
}).refine(notBoth.check, notBoth.otherwise);

/** A submission as JSON: the body of `POST /api/tasks/submit`. Durations are in seconds. */
export interface SubmissionBody {
  /** The type. */
  task_type: string;
  /** The parameters, by the schema of the type. Default: {}. */
  input_params?: Record<string, unknown>;
  /** 0 (default) to 9; each step is worth a minute of waiting. */
  priority?: number;
  /** Attempts that may fail, 1 to 25. Default: that of the type. */
  max_attempts?: number;
  /** Longest run of an attempt. Default: that of the type. */
  timeout?: number;
  /** At most 10 of at most 64 characters. */
  tags?: string[];
  /** When it may start, RFC 3339; the past means now. Not with `delay`. */
  run_at?: string;
  /** After how long it may start, at most a year. Not with `run_at`. */
  delay?: number;
  /** If it has not been started within this time, it is cancelled. */
  expires_in?: number;
  /** How long it is kept after its end. Default: by its status. */
  retention?: number;
  /** Tasks of the type with the same key run one after another, or as many at once as the type says. */
  concurrency_key?: string;
  /** Makes no task while another of the type has the same key; see `Unique`. */
  unique?: { key: string; period?: number; states?: Status[] };
  /** An http or https URL that is notified of its end. */
  callback_url?: string;
  /** The task that this one repeats with changes. */
  retried_from?: string;
  /** Ids of tasks that must be SUCCESS before this one may start. */
  depends_on?: string[];
}

/**
 * Checks the body of a submission.
 *
 * @throws {InvalidInputError} With a pointer to each thing that is wrong.
 */
export function parseSubmission(body: unknown): z.output<typeof submissionSchema> {
  const parsed = submissionSchema.safeParse(body);
  if (!parsed.success) throw new InvalidInputError(issuesOf(parsed.error, ""));
  return parsed.data;
}

/** One task of a batch: it may have a name that others in the batch depend on. */
export const batchTaskSchema = z.strictObject({
  ...fields,
  ref: nameSchema(64).optional(),
  depends_on: z.array(z.string().min(1).max(64)).max(MAX_DEPENDENCIES).optional(),
}).refine(notBoth.check, notBoth.otherwise);

const ms = (seconds: number | undefined) => seconds === undefined ? undefined : Math.round(seconds * 1000);

type Fields = z.output<z.ZodObject<typeof submissionFields>>;

/** The common fields of every submission, as the queue expects them. */
export function toFields<T extends Fields>(body: T) {
  const { timeout, expires_in, retention, unique, ...rest } = body;
  return {
    ...rest,
    timeout_ms: ms(timeout),
    expires_in_ms: ms(expires_in),
    retention_ms: ms(retention),
    unique: unique && { key: unique.key, period_ms: ms(unique.period), states: unique.states },
  };
}

/** A validated body, as the queue expects it. */
export function toSubmission(
  body: z.output<typeof submissionSchema> | z.output<typeof batchTaskSchema>,
  now: number,
  root = "",
): Submission {
  const { run_at, delay, ...rest } = body;
  const due = run_at !== undefined ? Date.parse(run_at) : delay !== undefined ? now + delay * 1000 : undefined;
  if (due !== undefined && due > now + YEAR_MS) {
    const pointer = `${root}/${run_at === undefined ? "delay" : "run_at"}`;
    throw new InvalidInputError([{ pointer, detail: "A task may be delayed by a year at most." }]);
  }
  return { ...toFields(rest), run_at: due };
}
