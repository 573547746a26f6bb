/**
 * The state machine of a task: which event may happen in which status, and what each event makes of the record. All
 * functions are pure: they take a state and a time and return the next state.
 *
 * @module
 */

import {
  type Attempt,
  type AttemptOutcome,
  type Json,
  type Placement,
  type RunningState,
  type Status,
  statusOf,
  type TaskAction,
  type TaskError,
  type TaskRecord,
  type TaskState,
  versionOf,
} from "./record.ts";

/** What can happen to a task after it was submitted. */
export const EVENTS = [
  "become_due",
  "claim",
  "succeed",
  "fail",
  "retry_later",
  "interrupt",
  "give_back",
  "cancel",
  "retry",
] as const;

/** One of {@linkcode EVENTS}. */
export type TaskEvent = (typeof EVENTS)[number];

/** The whole state machine: for each event, the status that each status leads to; all others are illegal. */
const TRANSITIONS: Readonly<Record<TaskEvent, Partial<Record<Status, Status>>>> = {
  become_due: { PENDING: "PENDING" },
  claim: { PENDING: "RUNNING" },
  succeed: { RUNNING: "SUCCESS" },
  fail: { RUNNING: "FAILED" },
  retry_later: { RUNNING: "PENDING" },
  interrupt: { RUNNING: "PENDING" },
  give_back: { RUNNING: "PENDING" },
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

/** Interruptions in a row without a new checkpoint after which a task fails. */
export const MAX_INTERRUPTIONS = 10;

/** This many interruptions in a row suggest that a task crashes its process: after a crash it starts with a delay. */
export const SUSPECT_INTERRUPTIONS = 2;
/** The initial delay; it doubles with each further interruption. */
const FIRST_SUSPICION_MS = 10_000;
const LONGEST_SUSPICION_MS = 5 * 60_000;

/** Attempts that a record remembers; older ones are dropped. */
const MAX_ATTEMPTS_KEPT = 25;

/** Cancels and retries that a record remembers; older ones are dropped. */
export const MAX_ACTIONS_KEPT = 25;

/** The fields that decide where a task waits. */
type Waiting = Pick<TaskRecord, "priority" | "concurrency_key">;

/** Where a task waits that may start at `due`, seen at `now`. */
export function placementAt(due: number, { priority, concurrency_key }: Waiting, now: number): Placement {
  if (due > now) return { kind: "scheduled", due };
  return { kind: concurrency_key === null ? "ready" : "limited", score: due - priority * PRIORITY_STEP_MS };
}

/** A waiting task's condition is met: its time, its parents, or its concurrency key. */
export function becomeDue(state: TaskState, now: number): TaskState {
  assertLegal("become_due", state);
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

/** Records that dependencies of a blocked task have succeeded. */
export function dependencySucceeded(state: TaskState, now: number, count = 1): TaskState {
  const { task } = state;
  if (task.placement?.kind !== "blocked") throw new RangeError(`Task ${task.id} is not blocked.`);
  const unmet = task.placement.unmet - count;
  if (unmet <= 0) return becomeDue(state, now);
  return { run: null, task: { ...task, placement: { kind: "blocked", unmet }, version: task.version + 1 } };
}

/** Marks the task as having dependents. It keeps its place. */
export function markHasDependents(state: TaskState): TaskState {
  const { task } = state;
  const placement = task.placement && { ...task.placement };
  return { run: null, task: { ...task, placement, has_dependents: true, version: task.version + 1 } };
}

/** Whether a task occupies its concurrency key: it runs, or was admitted and waits for a slot. */
export function occupies({ task, run }: TaskState): boolean {
  return run !== null || task.placement?.kind === "ready";
}

/** Whether a task would be cancelled if it were not started before its `expires_at`. */
export function mayExpire({ task, run }: TaskState): boolean {
  return run === null && task.status === "PENDING" && task.attempt === 0 && task.expires_at !== null;
}

/** An instance claims the task for a slot; `waiting`: for one that is not free yet. The cold record stays as it is. */
export function claim(state: TaskState, instance: string, now: number, waiting = false): RunningState {
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
      ...waiting ? { waiting } : {},
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
  // This clock may lag behind the one that recorded the start: no attempt ends before it began.
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
 * head of the queue, until {@linkcode MAX_INTERRUPTIONS} in a row show that the task crashes its process. Before
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

/** The task was claimed ahead, and its handler was not started: it is ready again, as it was. */
export function giveBack(state: TaskState): TaskState {
  assertLegal("give_back", state);
  return { run: null, task: { ...state.task, version: state.run!.version + 1 } };
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
  const task = state.run && !state.run.waiting
    ? endAttempt(state, now, "cancelled", error)
    : { ...state.task, placement: null, version: versionOf(state) + 1 };
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

/** Where a retried task resumes from. */
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
  // If it was ever started, all its dependencies had succeeded, and SUCCESS is final.
  const unmet = task.attempt === 0 ? task.depends_on.length : 0;
  const unstarted = task.attempt === 0 && task.expires_at !== null;
  return {
    run: null,
    task: {
      ...task,
      status: "PENDING",
      placement: unmet > 0 ? { kind: "blocked", unmet } : placementAt(now, task, now),
      generation: task.generation + (from === "start" ? 1 : 0),
      // It gets as much time to start as it had at first.
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
