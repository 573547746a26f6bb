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
  attempt: number;
  instance: string;
  started_at: number;
  completed_at: number;
  outcome: AttemptOutcome;
  error: TaskError | null;
}

/** Something that was done to a task from outside its attempts. `at` is milliseconds since the epoch. */
export interface TaskAction {
  action: "cancel" | "retry";
  at: number;
  /** Who asked for it; null: the service itself, because it expired or a dependency did not succeed. */
  by: string | null;
  /** The last attempt before it, or the one it ended; 0: none. */
  attempt: number;
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
  id: string;
  task_type: string;
  title: string;
  status: Exclude<Status, "RUNNING">;
  /** Set while `status` is PENDING. */
  placement: Placement | null;
  progress: number;
  message: string;
  input_params: Json;
  result: Json;
  error: TaskError | null;
  /** How often it was started. */
  attempt: number;
  /** How many of those starts failed since the last manual retry: these count toward `max_attempts`. */
  failures: number;
  /** Starts in a row that were interrupted without a new checkpoint. */
  interruptions: number;
  max_attempts: number;
  timeout_ms: number;
  priority: number;
  tags: string[];
  run_at: number | null;
  /** A task that has not been started by then is cancelled. */
  expires_at: number | null;
  created_at: number;
  started_at: number | null;
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
  /** Notified of its end. */
  callback_url: string | null;
  retried_from: string | null;
  /** Who submitted it; null: code in the same process. */
  submitted_by: string | null;
  /** Bytes of its parameters; 0 for less than a kilobyte. */
  params_bytes: number;
  attempts: Attempt[];
  /** Cancels and retries, the last {@linkcode MAX_ACTIONS_KEPT} of them. */
  actions: TaskAction[];
  /** Uploads that live as long as this task. */
  uploads: string[];
  /** Whether nothing is stored for it besides its record: no log, no file, no step, no checkpoint. */
  record_only: boolean;
  version: number;
}

/** The hot record of a running task. */
export interface RunRecord {
  task_type: string;
  instance: string;
  attempt: number;
  started_at: number;
  progress: number;
  message: string;
  /** When progress or message last changed. */
  progress_at: number;
  /** Whether this attempt has saved a checkpoint. */
  checkpointed: boolean;
  version: number;
}

/** Both parts of a task. `run` is set exactly while it runs. */
export interface TaskState {
  task: TaskRecord;
  run: RunRecord | null;
}

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
