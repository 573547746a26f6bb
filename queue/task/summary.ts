/**
 * A task as the API shows it: its summary for lists and streams, and the whole of it.
 *
 * @module
 */

import {
  type Attempt,
  type Json,
  type Placement,
  type Status,
  statusOf,
  type TaskAction,
  type TaskError,
  type TaskState,
  type TerminalStatus,
  versionOf,
} from "./record.ts";
import { mayExpire } from "./transitions.ts";

/** A task as lists, batches and the stream show it. Times are RFC 3339, UTC. */
export interface TaskSummary {
  /** A ULID. */
  id: string;
  /** The type. */
  task_type: string;
  /** What the page calls it. */
  title: string;
  /** Its status. */
  status: Status;
  /** Why a PENDING task does not run yet; null otherwise. */
  wait_reason: Placement["kind"] | null;
  /** 0 to 100. */
  progress: number;
  /** What the last attempt said it was doing. */
  message: string;
  /** When the running attempt last reported progress; null while it does not run. */
  progress_at: string | null;
  /** Why the last attempt failed, or the task was cancelled. */
  error: Omit<TaskError, "stack"> | null;
  /** How often it was started. */
  attempt: number;
  /** Attempts that may fail before it is FAILED. */
  max_attempts: number;
  /** 0 to 9. */
  priority: number;
  /** At most 10. */
  tags: string[];
  /** When it may start; null: at once. */
  run_at: string | null;
  /** When it was submitted. */
  created_at: string;
  /** When its last wait for a slot began: submitted, due, retried, or the attempt before had ended. */
  waiting_since: string;
  /** When its last attempt started. */
  started_at: string | null;
  /** When it ended. */
  completed_at: string | null;
  /** A task that has not been started by then is cancelled. */
  expires_at: string | null;
  /** When retention removes it; null while it has not ended. */
  delete_at: string | null;
  /** The instance that runs it. */
  instance: string | null;
  /** Tasks of its type with the same key run one after another, or as many at once as the type says. */
  concurrency_key: string | null;
  /** The schedule that submitted it. */
  schedule_id: string | null;
  /** The task that this one repeats with changes. */
  retried_from: string | null;
  /** Grows with each change. */
  version: number;
}

/** A file that a task has made. */
export interface ArtifactInfo {
  /** Its name within the task. */
  name: string;
  /** Bytes. */
  size: number;
  /** Its media type. */
  media_type: string;
  /** Hexadecimal. */
  sha256: string;
  /** When it was stored, RFC 3339. */
  created_at: string;
}

/** A file that a task was given. */
export interface FileInfo {
  /** The id of the upload. */
  id: string;
  /** Its name. */
  name: string;
  /** Bytes. */
  size: number;
  /** Its media type. */
  media_type: string;
}

/** A whole task as `GET /api/tasks/{id}` shows it. */
export interface Task extends Omit<TaskSummary, "error"> {
  input_params: Json;
  result: Json;
  error: TaskError | null;
  /** Ids of the tasks that must be SUCCESS before it may start. */
  depends_on: string[];
  unique_key: string | null;
  /** The time of its schedule that it is for; null: it was not submitted by a tick or a backfill. */
  scheduled_for: string | null;
  /** The URL that is notified of its end. */
  callback_url: string | null;
  /** Failed attempts since the last manual retry: at `max_attempts` it is FAILED. */
  failures: number;
  /** Attempts in a row that were interrupted without a new checkpoint or step. */
  interruptions: number;
  /** Longest run of an attempt in seconds. */
  timeout: number;
  /** How long it is kept after its end, in seconds; null: as its status says. */
  retention: number | null;
  /** Who submitted it; null: code in the same process. */
  submitted_by: string | null;
  /** The span of the request that submitted it (W3C Trace Context). */
  traceparent: string | null;
  /** Cancels and retries, oldest first. */
  actions: (Omit<TaskAction, "at"> & { at: string })[];
  /** Tasks that were submitted with this one as their `retried_from`. */
  retried_as: string[];
  /** How much of its work has failed, and of how much that is unknown, if only that can be retried; otherwise null. */
  redo: { failed: number; unknown: number } | null;
  /** The titles of the tasks that `depends_on`, `retried_from` and `retried_as` name, as far as they exist. */
  titles: Record<string, string>;
  /** The name of the schedule that submitted it; null if there is none, or not any more. */
  schedule_name: string | null;
  /** The uploads that its parameters name. */
  files: FileInfo[];
  artifacts: ArtifactInfo[];
  attempts: (Omit<Attempt, "started_at" | "completed_at"> & { started_at: string; completed_at: string })[];
}

/** Tasks that depend on each other, as `GET /api/tasks/{id}/graph` shows them. */
export interface TaskGraph {
  /** The tasks, in the order in which they were submitted. */
  tasks: (TaskSummary & Pick<Task, "depends_on">)[];
  /** Tasks that others depend on and that have been deleted. */
  deleted: string[];
  /** Whether there may be more tasks: at most 200 are shown, and of those that have ended not all may be found. */
  partial: boolean;
}

const time = (ms: number | null): string | null => ms === null ? null : new Date(ms).toISOString();

/** How long ended tasks are kept, by how they ended. Milliseconds. */
export type Retention = Readonly<Record<TerminalStatus, number>>;

/** When retention removes a task; null while it has not ended. Milliseconds since the epoch. */
function deleteAt({ task, run }: TaskState, retention: Retention): number | null {
  if (run || task.completed_at === null) return null;
  return task.completed_at + (task.retention_ms ?? retention[task.status as TerminalStatus]);
}

/** When the wait before the attempt that runs, ran last or comes next began. Milliseconds since the epoch. */
function waitingSince({ task, run }: TaskState): number {
  const isOver = run === null && task.status !== "PENDING";
  const before = task.attempts.findLast(({ attempt }) => !isOver || attempt < task.attempt);
  const retry = task.actions.findLast(({ action }) => action === "retry");
  return Math.max(task.created_at, task.run_at ?? 0, retry?.at ?? 0, before?.completed_at ?? 0);
}

/** The public summary of a state. */
export function summaryOf(state: TaskState, retention: Retention): TaskSummary {
  const { task, run } = state;
  return {
    id: task.id,
    task_type: task.task_type,
    title: task.title,
    status: statusOf(state),
    wait_reason: run ? null : task.placement?.kind ?? null,
    progress: run?.progress ?? task.progress,
    message: run?.message ?? task.message,
    progress_at: time(run?.progress_at ?? null),
    error: task.error && !run ? { code: task.error.code, message: task.error.message } : null,
    attempt: run?.attempt ?? task.attempt,
    max_attempts: task.max_attempts,
    priority: task.priority,
    tags: task.tags,
    run_at: time(task.run_at),
    created_at: time(task.created_at)!,
    waiting_since: time(waitingSince(state))!,
    started_at: time(run?.started_at ?? task.started_at),
    completed_at: run ? null : time(task.completed_at),
    expires_at: mayExpire(state) || task.error?.code === "expired" ? time(task.expires_at) : null,
    delete_at: time(deleteAt(state, retention)),
    instance: run?.instance ?? null,
    concurrency_key: task.concurrency_key,
    schedule_id: task.schedule_id,
    retried_from: task.retried_from,
    version: versionOf(state),
  };
}

/** The whole public form of a state. */
export function taskOf(
  state: TaskState,
  artifacts: ArtifactInfo[],
  retention: Retention,
  more: Partial<Pick<Task, "retried_as" | "redo" | "files" | "titles" | "schedule_name">> = {},
): Task {
  const { task, run } = state;
  return {
    ...summaryOf(state, retention),
    input_params: task.input_params,
    result: task.result,
    error: run ? null : task.error,
    depends_on: task.depends_on,
    unique_key: task.unique_key,
    scheduled_for: time(task.scheduled_for),
    callback_url: task.callback_url,
    failures: task.failures,
    interruptions: task.interruptions,
    timeout: task.timeout_ms / 1000,
    retention: task.retention_ms === null ? null : task.retention_ms / 1000,
    submitted_by: task.submitted_by,
    traceparent: task.traceparent,
    actions: task.actions.map((action) => ({ ...action, at: time(action.at)! })),
    retried_as: [],
    redo: null,
    titles: {},
    schedule_name: null,
    files: [],
    ...more,
    artifacts,
    attempts: task.attempts.map((attempt) => ({
      ...attempt,
      started_at: time(attempt.started_at)!,
      completed_at: time(attempt.completed_at)!,
    })),
  };
}
