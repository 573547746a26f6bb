/**
 * What a task is: its record, its states and the legal ways from one to the next. Everything here is pure; time
 * comes in as a number. The page imports its types from here and nothing else of the queue.
 *
 * A task is kept in two parts. The cold {@linkcode TaskRecord} is written when the task is submitted, when it is
 * placed anew and when it ends. The hot {@linkcode RunRecord} exists only while the task runs and is written only
 * by the instance that holds it. Together they are a {@linkcode TaskState}.
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
  /** Who asked for it; null: the service itself, since it expired or what it depends on did not succeed. */
  by: string | null;
  /** The last attempt before it, or the one that it ended; 0: there was none. */
  attempt: number;
  detail: string;
}

/**
 * Where a PENDING task waits. Each has exactly one place.
 *
 * - `ready`: may start as soon as a slot is free; the lowest `score` goes first.
 * - `scheduled`: not before `due` (milliseconds since the epoch).
 * - `blocked`: `unmet` of the tasks that it depends on are not SUCCESS yet.
 * - `limited`: as many tasks as may have its concurrency key; the lowest `score` is let in next.
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
  /** How long it is kept after its end; null: as long as its status says. */
  retention_ms: number | null;
  /** Tasks of a type that share a key run one after another (or as many at once as the type says). */
  concurrency_key: string | null;
  /** Within its type, a key that makes one task only. */
  unique_key: string | null;
  /** Tasks that must be SUCCESS before this one may start. */
  depends_on: string[];
  /** Whether its end must be told to tasks that depend on it. */
  has_dependents: boolean;
  /** How often it was started over from the beginning: checkpoints and steps of an earlier generation are void. */
  generation: number;
  /** The schedule that submitted it. */
  schedule_id: string | null;
  /** Told how it ended. */
  callback_url: string | null;
  retried_from: string | null;
  /** Who submitted it; null: a program that shares the process. */
  submitted_by: string | null;
  /** Bytes of its parameters; 0 for less than a kilobyte. */
  params_bytes: number;
  attempts: Attempt[];
  /** Cancels and retries, the last {@linkcode MAX_ACTIONS_KEPT} of them. */
  actions: TaskAction[];
  /** Uploads that live as long as this task. */
  uploads: string[];
  /** Whether nothing is kept for it beside its record: no log, no file, no step, no checkpoint. */
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

/** The status that both parts together say. */
export function statusOf(state: TaskState): Status {
  return state.run ? "RUNNING" : state.task.status;
}

/** The version that both parts together say. It only grows. */
export function versionOf(state: TaskState): number {
  return state.run?.version ?? state.task.version;
}

/** Whether a task in this status has ended. */
export function isTerminal(status: Status): status is TerminalStatus {
  return status !== "PENDING" && status !== "RUNNING";
}

/** What can happen to a task after it was submitted. */
export const EVENTS = ["place", "claim", "succeed", "fail", "retry_later", "interrupt", "cancel", "retry"] as const;

/** One of {@linkcode EVENTS}. */
export type TaskEvent = (typeof EVENTS)[number];

/** The whole state machine: for each event, the status that each status leads to; what is not named is illegal. */
export const TRANSITIONS: Readonly<Record<TaskEvent, Partial<Record<Status, Status>>>> = {
  place: { PENDING: "PENDING" },
  claim: { PENDING: "RUNNING" },
  succeed: { RUNNING: "SUCCESS" },
  fail: { RUNNING: "FAILED" },
  retry_later: { RUNNING: "PENDING" },
  interrupt: { RUNNING: "PENDING" },
  cancel: { PENDING: "CANCELLED", RUNNING: "CANCELLED" },
  retry: { FAILED: "PENDING", CANCELLED: "PENDING" },
};

/** Whether `event` may happen to a task in `status`. */
export function isLegal(event: TaskEvent, status: Status): boolean {
  return TRANSITIONS[event][status] !== undefined;
}

function assertLegal(event: TaskEvent, state: TaskState): void {
  const status = statusOf(state);
  if (!isLegal(event, status)) {
    throw new RangeError(`Task ${state.task.id} is ${status}: ${event} is not possible.`);
  }
}

/** Each step of priority is worth this much waiting, so that nothing starves. */
export const PRIORITY_STEP_MS = 60_000;

/** Interruptions in a row without a new checkpoint after which a task is given up. */
export const MAX_INTERRUPTIONS = 10;

/** So many interruptions in a row make a task suspect of ending its process: after a crash it waits before the next start. */
export const SUSPECT_INTERRUPTIONS = 2;
/** That wait at first; it doubles with each further interruption. */
const FIRST_SUSPICION_MS = 10_000;
const LONGEST_SUSPICION_MS = 5 * 60_000;

/** Attempts that a record remembers; older ones are dropped. */
export const MAX_ATTEMPTS_KEPT = 25;

/** Cancels and retries that a record remembers; older ones are dropped. */
export const MAX_ACTIONS_KEPT = 25;

/** What of a task decides where it waits. */
type Waiting = Pick<TaskRecord, "priority" | "concurrency_key">;

/** Where a task waits that may start at `due`, seen at `now`. */
export function placementAt(due: number, { priority, concurrency_key }: Waiting, now: number): Placement {
  if (due > now) return { kind: "scheduled", due };
  return { kind: concurrency_key === null ? "ready" : "limited", score: due - priority * PRIORITY_STEP_MS };
}

/** What a waiting task waited for has come: its time, its parents, or its concurrency key. */
export function place(state: TaskState, now: number): TaskState {
  assertLegal("place", state);
  const { task } = state;
  return { run: null, task: { ...task, placement: nextPlacement(task, now), version: task.version + 1 } };
}

function nextPlacement(task: TaskRecord, now: number): Placement {
  const at = task.placement!;
  switch (at.kind) {
    case "scheduled":
      return placementAt(Math.min(at.due, now), task, now);
    case "blocked":
      return placementAt(Math.max(task.run_at ?? now, now), task, now);
    case "limited":
      return { kind: "ready", score: at.score };
    case "ready":
      return at;
  }
}

/** Some of the tasks that a blocked task depends on have become SUCCESS. */
export function meet(state: TaskState, now: number, count = 1): TaskState {
  const { task } = state;
  if (task.placement?.kind !== "blocked") throw new RangeError(`Task ${task.id} is not blocked.`);
  const unmet = task.placement.unmet - count;
  if (unmet <= 0) return place(state, now);
  return { run: null, task: { ...task, placement: { kind: "blocked", unmet }, version: task.version + 1 } };
}

/** The task is told that others depend on it. It keeps its place. */
export function expectDependents(state: TaskState): TaskState {
  const { task } = state;
  const placement = task.placement && { ...task.placement };
  return { run: null, task: { ...task, placement, has_dependents: true, version: task.version + 1 } };
}

/** Whether a task takes up its concurrency key: it runs, or was let in and waits for a slot. */
export function occupies({ task, run }: TaskState): boolean {
  return run !== null || task.placement?.kind === "ready";
}

/** Whether a task would be cancelled if it were not started before its `expires_at`. */
export function mayExpire({ task, run }: TaskState): boolean {
  return run === null && task.status === "PENDING" && task.attempt === 0 && task.expires_at !== null;
}

/** An instance takes the task into one of its slots. The cold record stays as it is. */
export function claim(state: TaskState, instance: string, now: number): TaskState & { run: RunRecord } {
  assertLegal("claim", state);
  const { task } = state;
  return {
    task,
    run: {
      task_type: task.task_type,
      instance,
      attempt: task.attempt + 1,
      started_at: now,
      progress: 0,
      message: "",
      progress_at: now,
      checkpointed: false,
      version: task.version + 1,
    },
  };
}

function endAttempt(
  state: TaskState,
  now: number,
  outcome: AttemptOutcome,
  error: TaskError | null,
): TaskRecord {
  const { task } = state;
  const run = state.run!;
  // One clock may run behind the one that stamped the start: no attempt ends before it began.
  const completed_at = Math.max(now, run.started_at);
  const attempt: Attempt = {
    attempt: run.attempt,
    instance: run.instance,
    started_at: run.started_at,
    completed_at,
    outcome,
    error,
  };
  return {
    ...task,
    attempt: run.attempt,
    attempts: [...task.attempts, attempt].slice(-MAX_ATTEMPTS_KEPT),
    interruptions: outcome === "interrupted" ? (run.checkpointed ? 1 : task.interruptions + 1) : 0,
    progress: run.progress,
    message: run.message,
    error,
    placement: null,
    started_at: run.started_at,
    version: run.version + 1,
  };
}

/** The handler returned. */
export function succeed(state: TaskState, result: Json, now: number): TaskState {
  assertLegal("succeed", state);
  const task = endAttempt(state, now, "success", null);
  return {
    run: null,
    task: { ...task, status: "SUCCESS", result, progress: 100, completed_at: Math.max(now, task.started_at!) },
  };
}

/** The handler threw or ran out of time, and no attempt is left (or it asked for none). */
export function fail(state: TaskState, error: TaskError, now: number): TaskState {
  assertLegal("fail", state);
  const task = endAttempt(state, now, error.code === "timeout" ? "timeout" : "failed", error);
  return {
    run: null,
    task: {
      ...task,
      status: "FAILED",
      failures: task.failures + 1,
      completed_at: Math.max(now, task.started_at!),
    },
  };
}

/** The handler threw or ran out of time, and is tried again at `runAt`. */
export function retryLater(state: TaskState, error: TaskError, now: number, runAt: number): TaskState {
  assertLegal("retry_later", state);
  const task = endAttempt(state, now, error.code === "timeout" ? "timeout" : "failed", error);
  return {
    run: null,
    task: {
      ...task,
      status: "PENDING",
      failures: task.failures + 1,
      run_at: runAt,
      placement: placementAt(runAt, task, now),
    },
  };
}

/**
 * The attempt was cut short by a shutdown, a crash or a lost lease: not the handler's fault, so it goes back to the
 * head of the line, until {@linkcode MAX_INTERRUPTIONS} in a row say that the task itself ends its process. Before
 * that, one whose process has ended twice waits longer each time, so that others get their turn.
 *
 * @param crashed Whether its instance has ended without handing it back.
 */
export function interrupt(state: TaskState, now: number, crashed = false): TaskState {
  assertLegal("interrupt", state);
  const task = endAttempt(state, now, "interrupted", null);
  if (task.interruptions >= MAX_INTERRUPTIONS) {
    const message = `Interrupted ${MAX_INTERRUPTIONS} times in a row without a new checkpoint.`;
    const error: TaskError = { code: "interrupted", message };
    return {
      run: null,
      task: { ...task, status: "FAILED", error, completed_at: Math.max(now, task.started_at!) },
    };
  }
  if (crashed && task.interruptions >= SUSPECT_INTERRUPTIONS) {
    const due = now +
      Math.min(LONGEST_SUSPICION_MS, FIRST_SUSPICION_MS * 2 ** (task.interruptions - SUSPECT_INTERRUPTIONS));
    return { run: null, task: { ...task, status: "PENDING", run_at: due, placement: { kind: "scheduled", due } } };
  }
  const score = Math.min(task.run_at ?? task.created_at, now) - task.priority * PRIORITY_STEP_MS;
  return { run: null, task: { ...task, status: "PENDING", placement: { kind: "ready", score } } };
}

/** Why a task was cancelled on request. */
const ON_REQUEST: TaskError = { code: "cancelled", message: "Cancelled on request." };

function withAction(task: TaskRecord, action: TaskAction): TaskAction[] {
  return [...task.actions, action].slice(-MAX_ACTIONS_KEPT);
}

/**
 * The task is cancelled: someone asked for it, it expired, or a task that it depends on did not succeed.
 *
 * @param by Who asked for it; null: the service itself.
 */
export function cancel(
  state: TaskState,
  now: number,
  by: string | null = null,
  error: TaskError = ON_REQUEST,
): TaskState {
  assertLegal("cancel", state);
  const task = state.run
    ? endAttempt(state, now, "cancelled", error)
    : { ...state.task, placement: null, version: state.task.version + 1 };
  const completed_at = Math.max(now, task.created_at);
  const actions = withAction(task, {
    action: "cancel",
    at: completed_at,
    by,
    attempt: task.attempt,
    detail: error.message,
  });
  return { run: null, task: { ...task, status: "CANCELLED", error, completed_at, actions } };
}

/** A task was not started in time. */
export function expire(state: TaskState, now: number): TaskState {
  const at = new Date(state.task.expires_at!).toISOString();
  return cancel(state, now, null, { code: "expired", message: `It was not started by ${at}.` });
}

/** Where a retried task goes on from. */
export const RETRY_FROM = ["checkpoint", "start"] as const;

/** One of {@linkcode RETRY_FROM}. */
export type RetryFrom = (typeof RETRY_FROM)[number];

/** Someone asked for a task that had failed or was cancelled to be run again, with fresh attempts. */
export function retry(
  state: TaskState,
  now: number,
  from: RetryFrom = "checkpoint",
  by: string | null = null,
): TaskState {
  assertLegal("retry", state);
  const { task } = state;
  // Once it was started, all that it depends on had succeeded, and SUCCESS is for good.
  const unmet = task.attempt === 0 ? task.depends_on.length : 0;
  const unstarted = task.attempt === 0 && task.expires_at !== null;
  return {
    run: null,
    task: {
      ...task,
      status: "PENDING",
      placement: unmet > 0 ? { kind: "blocked", unmet } : placementAt(now, task, now),
      generation: task.generation + (from === "start" ? 1 : 0),
      // It has as long to be started as it had at first.
      expires_at: unstarted ? now + task.expires_at! - task.created_at : null,
      progress: 0,
      message: "",
      result: null,
      error: null,
      failures: 0,
      interruptions: 0,
      run_at: null,
      completed_at: null,
      record_only: false,
      actions: withAction(task, { action: "retry", at: now, by, attempt: task.attempt, detail: `from ${from}` }),
      version: task.version + 1,
    },
  };
}

/** A task as lists, batches and the stream show it. Times are RFC 3339, UTC. */
export interface TaskSummary {
  id: string;
  task_type: string;
  title: string;
  status: Status;
  /** Why a PENDING task does not run yet; null otherwise. */
  wait_reason: Placement["kind"] | null;
  /** 0 to 100. */
  progress: number;
  message: string;
  /** When the running attempt last told of progress; null while it does not run. */
  progress_at: string | null;
  error: Omit<TaskError, "stack"> | null;
  attempt: number;
  max_attempts: number;
  priority: number;
  tags: string[];
  run_at: string | null;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  expires_at: string | null;
  /** When retention removes it; null while it has not ended. */
  delete_at: string | null;
  instance: string | null;
  /** Tasks of its type with the same key run one after another, or as many at once as the type says. */
  concurrency_key: string | null;
  /** The schedule that submitted it. */
  schedule_id: string | null;
  retried_from: string | null;
  version: number;
}

/** A file that a task has made. */
export interface ArtifactInfo {
  name: string;
  /** Bytes. */
  size: number;
  media_type: string;
  sha256: string;
  created_at: string;
}

/** A whole task as `GET /api/tasks/{id}` shows it. */
export interface Task extends Omit<TaskSummary, "error"> {
  input_params: Json;
  result: Json;
  error: TaskError | null;
  /** Ids of the tasks that must be SUCCESS before it may start. */
  depends_on: string[];
  unique_key: string | null;
  /** The URL that is told how it ended. */
  callback_url: string | null;
  /** Failed attempts since the last manual retry: at `max_attempts` it is FAILED. */
  failures: number;
  /** Attempts in a row that were interrupted without a new checkpoint or step. */
  interruptions: number;
  /** Longest run of an attempt in seconds. */
  timeout: number;
  /** How long it is kept after its end, in seconds; null: as its status says. */
  retention: number | null;
  /** Who submitted it; null: a program that shares the process. */
  submitted_by: string | null;
  /** Cancels and retries, oldest first. */
  actions: (Omit<TaskAction, "at"> & { at: string })[];
  /** Tasks that were submitted with this one as their `retried_from`. */
  retried_as: string[];
  artifacts: ArtifactInfo[];
  attempts: (Omit<Attempt, "started_at" | "completed_at"> & { started_at: string; completed_at: string })[];
}

const time = (ms: number | null): string | null => ms === null ? null : new Date(ms).toISOString();

/** How long ended tasks are kept, by how they ended. Milliseconds. */
export type Retention = Readonly<Record<TerminalStatus, number>>;

/** When retention removes a task; null while it has not ended. Milliseconds since the epoch. */
export function deleteAt({ task, run }: TaskState, retention: Retention): number | null {
  if (run || task.completed_at === null) return null;
  return task.completed_at + (task.retention_ms ?? retention[task.status as TerminalStatus]);
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
  retriedAs: string[] = [],
): Task {
  const { task, run } = state;
  return {
    ...summaryOf(state, retention),
    input_params: task.input_params,
    result: task.result,
    error: run ? null : task.error,
    depends_on: task.depends_on,
    unique_key: task.unique_key,
    callback_url: task.callback_url,
    failures: task.failures,
    interruptions: task.interruptions,
    timeout: task.timeout_ms / 1000,
    retention: task.retention_ms === null ? null : task.retention_ms / 1000,
    submitted_by: task.submitted_by,
    actions: task.actions.map((action) => ({ ...action, at: time(action.at)! })),
    retried_as: retriedAs,
    artifacts,
    attempts: task.attempts.map((attempt) => ({
      ...attempt,
      started_at: time(attempt.started_at)!,
      completed_at: time(attempt.completed_at)!,
    })),
  };
}

/** A task type as the catalogue and the page show it. */
export interface TypeInfo {
  type: string;
  title: string;
  description: string;
  /** JSON Schema of `input_params`, with `x-` hints for the form. */
  params: Record<string, unknown>;
  max_attempts: number;
  /** Seconds. */
  timeout: number;
  /** Slots on the instance that answers. */
  slots: { total: number; running: number };
  /** How many tasks with one concurrency key run at once. */
  concurrency_per_key: number;
  /** At most this many starts in any window of this length, over all instances; null: no limit. */
  rate_limit: string | null;
  /** Set while no task of this type is started. */
  paused: PauseInfo | null;
  /** What running a task once more does outside; null: nothing. */
  side_effects: string | null;
  /** Parameters of an example that is worth watching; null: there is none. */
  example: Json;
}

/** Who stopped a type from being started, when, and why. */
export interface PauseInfo {
  by: string;
  /** RFC 3339. */
  at: string;
  reason: string;
}

/** Something that a caller may do. */
export type Permission = "view" | "submit" | "cancel" | "retry" | "pause" | "schedule" | "delete";

/** Who calls, and what they may do. */
export interface Caller {
  name: string;
  role: string;
  permissions: Permission[];
}

/** How many tasks there are, in all, by status and by type. */
export interface Stats {
  total: number;
  by_status: Record<Status, number>;
  by_type: Record<string, Record<Status, number>>;
  /** What the last hour says of each type that had tasks in it; times in milliseconds. */
  last_hour: Record<string, { failed: number; run_p95: number | null }>;
  /** The types that are paused. */
  paused: Record<string, PauseInfo>;
}

/** What happened in one bucket of a series. Times are milliseconds; null: there was nothing to measure. */
export interface SeriesBucket {
  /** When it begins, RFC 3339. */
  at: string;
  submitted: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  wait_p50: number | null;
  wait_p95: number | null;
  /** Of runs that succeeded. */
  run_p50: number | null;
  run_p95: number | null;
  /** How many tasks of each type waited at its end. */
  waiting: Record<string, number>;
}

/** Something that a chart marks. */
export interface SeriesMark {
  at: string;
  kind: "start" | "pause" | "resume";
  /** Which type was paused or resumed; null for the start of an instance. */
  task_type: string | null;
}

/** The series of a range, oldest bucket first; the last one is not over yet. */
export interface SeriesAnswer {
  range: string;
  bucket_seconds: number;
  buckets: SeriesBucket[];
  marks: SeriesMark[];
}

/** Something that happened to a task. `at` is RFC 3339. */
export type TaskHistoryEvent =
  | { kind: "status"; at: string; status: Status; attempt: number; detail: string }
  | { kind: "log"; at: string; attempt: number; line: number; level: string; text: string };
