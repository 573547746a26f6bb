/**
 * What a task is.
 *
 * A task is kept in two parts. The cold {@linkcode TaskRecord} is written when the task is submitted, when it is
 * placed anew and when it ends. The hot {@linkcode RunRecord} exists only while the task runs and is written only
 * by the instance that runs it. Together they are a {@linkcode TaskState}.
 *
 * @module
 */

/** The five states of a task. The last three are terminal. */
export const STATUSES = ["PENDING", "RUNNING", "SUCCESS", "FAILED", "CANCELLED"] as const;

/** One of {@linkcode STATUSES}. */
export type Status = (typeof STATUSES)[number];

/** A state that a task leaves only by an explicit retry. */
export type TerminalStatus = "SUCCESS" | "FAILED" | "CANCELLED";

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Why a task failed or was cancelled. */
export interface TaskError {
  /** Stable name: `error`, `timeout`, `interrupted`, `non_retryable`, `result_too_large`, `cancelled`, … */
  code: string;
  /** What the handler said, at most 1,000 characters. */
  message: string;
  /** Stack of the thrown error, at most 2,000 characters. Left out of summaries. */
  stack?: string;
}

/** How an attempt ended. */
export type AttemptOutcome = "success" | "failed" | "timeout" | "cancelled" | "interrupted";

/** One start of a task. Times are milliseconds since the epoch. */
export interface Attempt {
  /** Which start it was, from 1. */
  attempt: number;
  /** The instance that ran it. */
  instance: string;
  /** When it started. Milliseconds since the epoch. */
  started_at: number;
  /** When it ended. Milliseconds since the epoch. */
  completed_at: number;
  /** How it ended. */
  outcome: AttemptOutcome;
  /** Why, unless it succeeded. */
  error: TaskError | null;
}

/** Something that was done to a task from outside its attempts. `at` is milliseconds since the epoch. */
export interface TaskAction {
  /** What was done. */
  action: "cancel" | "retry";
  /** When. Milliseconds since the epoch. */
  at: number;
  /** Who asked for it; null: the service itself, because it expired or a dependency did not succeed. */
  by: string | null;
  /** The last attempt before it, or the one it ended; 0: none. */
  attempt: number;
  /** In words. */
  detail: string;
}

/**
 * Where a PENDING task waits. Each has exactly one place.
 *
 * - `ready`: may start as soon as a slot is free; the lowest `score` goes first.
 * - `scheduled`: not before `due` (milliseconds since the epoch).
 * - `blocked`: `unmet` of the tasks that it depends on are not SUCCESS yet.
 * - `limited`: its concurrency key is fully occupied; the lowest `score` is admitted next.
 */
export type Placement =
  | { kind: "ready"; score: number }
  | { kind: "scheduled"; due: number }
  | { kind: "blocked"; unmet: number }
  | { kind: "limited"; score: number };

/** The cold record of a task. Times are milliseconds since the epoch. */
export interface TaskRecord {
  /** A ULID: ids sort by their time of submit. */
  id: string;
  /** The type. */
  task_type: string;
  /** What the page calls it, at most 200 characters. */
  title: string;
  /** What the cold record says; a running task is PENDING here. */
  status: Exclude<Status, "RUNNING">;
  /** Set while `status` is PENDING. */
  placement: Placement | null;
  /** 0 to 100, of the last attempt. */
  progress: number;
  /** What the last attempt said it was doing. */
  message: string;
  /** The parameters, as they are stored. */
  input_params: Json;
  /** What the handler returned; null before. */
  result: Json;
  /** Why the last attempt failed, or the task was cancelled. */
  error: TaskError | null;
  /** How often it was started. */
  attempt: number;
  /** How many of those starts failed since the last manual retry: these count toward `max_attempts`. */
  failures: number;
  /** Starts in a row that were interrupted without a new checkpoint. */
  interruptions: number;
  /** Attempts that may fail before it is FAILED. */
  max_attempts: number;
  /** Longest run of an attempt in milliseconds. */
  timeout_ms: number;
  /** 0 to 9. */
  priority: number;
  /** At most 10. */
  tags: string[];
  /** When it may start; null: at once. Milliseconds since the epoch. */
  run_at: number | null;
  /** A task that has not been started by then is cancelled. */
  expires_at: number | null;
  /** When it was submitted. Milliseconds since the epoch. */
  created_at: number;
  /** When its last attempt started. Milliseconds since the epoch. */
  started_at: number | null;
  /** When it ended. Milliseconds since the epoch. */
  completed_at: number | null;
  /** How long it is kept after its end; null: as its status determines. */
  retention_ms: number | null;
  /** Tasks of a type that share a key run one after another (or as many at once as the type says). */
  concurrency_key: string | null;
  /** A key that allows only one task within its type. */
  unique_key: string | null;
  /** Tasks that must be SUCCESS before this one may start. */
  depends_on: string[];
  /** Whether dependents must be notified of its end. */
  has_dependents: boolean;
  /** How often it was started over from the beginning: checkpoints and steps of an earlier generation are void. */
  generation: number;
  /** The schedule that submitted it. */
  schedule_id: string | null;
  /** The time of its schedule that it is for; null: it was not submitted by a tick. Milliseconds since the epoch. */
  scheduled_for: number | null;
  /** Notified of its end. */
  callback_url: string | null;
  /** The task that this one repeats with changes. */
  retried_from: string | null;
  /** Who submitted it; null: code in the same process. */
  submitted_by: string | null;
  /** The span of the request that submitted it (W3C Trace Context); null: it had none. */
  traceparent: string | null;
  /** Bytes of its parameters; 0 for less than a kilobyte. */
  params_bytes: number;
  /** Its attempts that have ended, oldest first. */
  attempts: Attempt[];
  /** Cancels and retries, the last {@linkcode MAX_ACTIONS_KEPT} of them. */
  actions: TaskAction[];
  /** Uploads that live as long as this task. */
  uploads: string[];
  /** Whether nothing is stored for it besides its record: no log, no file, no step, no checkpoint. */
  record_only: boolean;
  /** Which part of `ready` it waits in: 0, or one of several by its id where instances share a store. */
  shard: number;
  /** Grows with each change. */
  version: number;
}

/** The hot record of a running task. */
export interface RunRecord {
  /** The type of the task. */
  task_type: string;
  /** The instance that runs it. */
  instance: string;
  /** Which start it is, from 1. */
  attempt: number;
  /** When it started. Milliseconds since the epoch. */
  started_at: number;
  /** 0 to 100. */
  progress: number;
  /** What the handler says it is doing. */
  message: string;
  /** When progress or message last changed. */
  progress_at: number;
  /** Whether this attempt has saved a checkpoint. */
  checkpointed: boolean;
  /** Set while the task was claimed ahead and has not been seen to be started: it still waits for a slot. */
  waiting?: true;
  /** Grows with each change. */
  version: number;
}

/** Both parts of a task. `run` is set exactly while it runs. */
export interface TaskState {
  /** The cold record. */
  task: TaskRecord;
  /** The hot record. */
  run: RunRecord | null;
}

/** A task that runs. */
export type RunningState = TaskState & { run: RunRecord };

/** The status of a task, from both parts. */
export function statusOf(state: TaskState): Status {
  return state.run ? "RUNNING" : state.task.status;
}

/** The version of a task, from both parts. It only grows. */
export function versionOf(state: TaskState): number {
  return state.run?.version ?? state.task.version;
}

/** Whether a task in this status has ended. */
export function isTerminal(status: Status): status is TerminalStatus {
  return status !== "PENDING" && status !== "RUNNING";
}
