/**
 * Cold records as they are stored.
 *
 * @module
 */

import type { Attempt, TaskRecord } from "../task/record.ts";
import { decode, encode, MAX_VALUE_BYTES } from "./codec.ts";

/** A cold record as stored: a result that does not fit is stored separately. */
export type StoredTask = TaskRecord & { result_apart?: true };

/** The usual values of these fields: they are omitted when stored, which halves the size of a record. */
const COMMON = {
  placement: null,
  progress: 0,
  message: "",
  result: null,
  error: null,
  attempt: 0,
  failures: 0,
  interruptions: 0,
  priority: 0,
  tags: [],
  run_at: null,
  expires_at: null,
  started_at: null,
  completed_at: null,
  retention_ms: null,
  concurrency_key: null,
  unique_key: null,
  depends_on: [],
  has_dependents: false,
  generation: 0,
  schedule_id: null,
  scheduled_for: null,
  callback_url: null,
  retried_from: null,
  submitted_by: null,
  traceparent: null,
  params_bytes: 0,
  attempts: [],
  actions: [],
  uploads: [],
  record_only: false,
  shard: 0,
} satisfies Partial<TaskRecord>;

/** As stored: usual values are left out, and so is the one attempt of a task that succeeded at once. */
type Packed = Partial<StoredTask> & { ran_by?: string };

function encodeTask(task: StoredTask): Uint8Array<ArrayBuffer> {
  const packed: Record<string, unknown> = {};
  const common: Record<string, unknown> = COMMON;
  let field: keyof StoredTask;
  for (field in task) {
    const value = task[field];
    if (value === common[field] || Array.isArray(value) && value.length === 0) continue;
    packed[field] = value;
  }
  if (task.attempts.length === 1 && isOnly(task, task.attempts[0])) {
    packed.ran_by = task.attempts[0].instance;
    delete packed.attempts;
  }
  return encode(packed);
}

/** Whether an attempt says nothing but its instance that the record does not say. */
function isOnly({ status, attempt, started_at, completed_at }: TaskRecord, only: Attempt): boolean {
  return status === "SUCCESS" && only.outcome === "success" && only.error === null && only.attempt === attempt &&
    only.started_at === started_at && only.completed_at === completed_at;
}

/** Decodes a stored cold record. */
export function decodeTask(bytes: unknown): StoredTask {
  const { ran_by, ...stored } = decode<Packed>(bytes);
  // Fresh arrays: a reader's change to a task must not affect another reader.
  const task = {
    ...COMMON,
    tags: [],
    depends_on: [],
    attempts: [],
    actions: [],
    uploads: [],
    ...stored,
  } as StoredTask;
  if (ran_by !== undefined) {
    const { attempt, started_at, completed_at } = task;
    task.attempts = [{
      attempt,
      instance: ran_by,
      started_at: started_at!,
      completed_at: completed_at!,
      outcome: "success",
      error: null,
    }];
  }
  return task;
}

/** The longest message of an error, in characters. */
export const MAX_MESSAGE = 1_000;
/** Characters of an earlier attempt's message in a record that would otherwise be too large. */
const SHORT_MESSAGE = 80;

/** A cold record as it is stored; `result`, if any, is stored separately. */
export function packTask(
  task: TaskRecord,
): { value: Uint8Array<ArrayBuffer>; result: Uint8Array<ArrayBuffer> | null } {
  let stored: StoredTask = task;
  let value = encodeTask(stored);
  let result: Uint8Array<ArrayBuffer> | null = null;
  if (value.length > MAX_VALUE_BYTES && task.result !== null) {
    result = encode(task.result);
    stored = { ...stored, result: null, result_apart: true };
    value = encodeTask(stored);
  }
  // Drop the stacks of earlier attempts first, then most of their messages.
  for (const chars of [MAX_MESSAGE, SHORT_MESSAGE]) {
    if (value.length <= MAX_VALUE_BYTES) break;
    const attempts = task.attempts.map(({ error, ...attempt }) => ({
      ...attempt,
      error: error && { code: error.code, message: error.message.slice(0, chars) },
    }));
    value = encodeTask({ ...stored, attempts });
  }
  return { value, result };
}

/** Records of at most this many bytes are also the value of their `ready` entry: a claim reads them with its head. */
export const MAX_IN_READY = 512;

/** The record that a `ready` entry holds; null: it is too large, and is read by its id. */
export function recordIn(value: unknown): StoredTask | null {
  return (value as Uint8Array)[0] === "{".charCodeAt(0) ? decodeTask(value) : null;
}
