/**
 * What the API shows beside tasks: task types, pauses, callers, statistics, series, events.
 *
 * @module
 */

import type { Json, Status } from "./record.ts";

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
  /** The external side effect of running a task again; null: none. */
  side_effects: string | null;
  /** Parameters of an example that is worth watching; null: there is none. */
  example: Json;
}

/** Who stopped a type from being started, when, and why. */
export interface PauseInfo {
  /** Who paused it. */
  by: string;
  /** RFC 3339. */
  at: string;
  /** Why. */
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
  /**
   * The last hour of each type that had tasks in it: how many FAILED tasks ended in it (`failed_capped`: there may be
   * more, since only the newest 10,000 were looked through), and the 95th percentile of its run times in milliseconds.
   */
  last_hour: Record<string, { failed: number; failed_capped: boolean; run_p95: number | null }>;
  /** The types that are paused. */
  paused: Record<string, PauseInfo>;
  /** Messages that did not become tasks, counted up to 1,000. */
  undelivered: number;
}

/** What happened in one bucket of a series. Times are milliseconds; null: there was nothing to measure. */
export interface SeriesBucket {
  /** When it begins, RFC 3339. */
  at: string;
  /** Tasks that were submitted. */
  submitted: number;
  /** Tasks that ended as SUCCESS. */
  succeeded: number;
  /** Tasks that ended as FAILED. */
  failed: number;
  /** Tasks that ended as CANCELLED. */
  cancelled: number;
  /** Median wait from ready to start. */
  wait_p50: number | null;
  /** 95th percentile of the same. */
  wait_p95: number | null;
  /** Of runs that succeeded. */
  run_p50: number | null;
  /** 95th percentile of the same. */
  run_p95: number | null;
  /** How many tasks of each type waited at its end. */
  waiting: Record<string, number>;
  /** How many tasks of each type ended, however they did. */
  by_type: Record<string, number>;
}

/** An annotation of a chart. */
export interface SeriesAnnotation {
  /** When it happened, RFC 3339. */
  at: string;
  /** What happened. */
  kind: "start" | "pause" | "resume";
  /** Which type was paused or resumed; null for the start of an instance. */
  task_type: string | null;
}

/** The series of a range, oldest bucket first; the last one is incomplete. */
export interface SeriesAnswer {
  /** The range that was asked for. */
  range: string;
  /** Length of a bucket in seconds. */
  bucket_seconds: number;
  /** Oldest first. */
  buckets: SeriesBucket[];
  /** Starts, pauses and resumes within the range. */
  marks: SeriesAnnotation[];
}

/** Something that happened to a task. `at` is RFC 3339. */
export type TaskHistoryEvent =
  | { kind: "status"; at: string; status: Status; attempt: number; detail: string }
  | { kind: "log"; at: string; attempt: number; line: number; level: string; text: string };
