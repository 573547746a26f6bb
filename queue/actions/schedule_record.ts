/**
 * What a schedule is, and how it is stored.
 *
 * @module
 */

import type { Changeset } from "../store/changeset.ts";
import { decode, encode } from "../store/codec.ts";
import { keys } from "../store/keys.ts";
import type { Submission } from "../submit/new_task.ts";

/** What happens to missed ticks: no task, or one task for all of them. */
export const MISSED_POLICIES = ["skip", "once"] as const;

/** One of {@linkcode MISSED_POLICIES}. */
export type MissedPolicy = (typeof MISSED_POLICIES)[number];

/** How late a tick may be by default. Milliseconds. */
export const MAX_LATENESS_MS = 60_000;
/** Tasks of a schedule whose outcomes are told. */
export const RECENT_TASKS = 10;

/** What makes a schedule. */
export interface ScheduleInput {
  /** Display name. Default: the task type. */
  name?: string;
  /** Cron expression: five fields, or six with seconds first. */
  cron: string;
  /** IANA time zone. Default UTC. */
  timezone?: string;
  /** Default `skip`. */
  missed?: MissedPolicy;
  /** A tick that is later than this was missed, and so was one if the next is due already. Milliseconds, default a minute. */
  max_lateness_ms?: number;
  /** What each tick submits. */
  submission: Omit<
    Submission,
    "run_at" | "depends_on" | "ref" | "schedule_id" | "scheduled_for" | "retried_from" | "submitted_by"
  >;
}

/** Limits on all schedules together. */
export interface ScheduleLimits {
  /** How many there may be. Default: no limit. */
  most?: number;
  /** Most tasks that they may start an hour. Default: no limit. */
  perHour?: number;
}

/** A schedule. Times are milliseconds since the epoch. */
export interface Schedule extends Required<ScheduleInput> {
  /** A ULID. */
  id: string;
  /** Whether it submits nothing. */
  paused: boolean;
  /** When it is due next; null while it is paused or if its expression has no further time. */
  next_at: number | null;
  /** When it last created a task, and which. */
  last_at: number | null;
  /** The last task that it submitted. */
  last_task_id: string | null;
  /** The last tasks that it submitted, by a tick or when asked to, newest first; at most {@linkcode RECENT_TASKS}. */
  recent_tasks: string[];
  /** Why its last tick created no task. */
  last_error: string | null;
  /** When ticks of it were missed last; null: never. */
  missed_at: number | null;
  /** When it was created. Milliseconds since the epoch. */
  created_at: number;
  /** Who created it. */
  created_by: string;
  /** Uploads that live as long as the schedule. */
  uploads: string[];
}

/** Is told the types of the tasks that are about to be submitted, and throws to refuse them. */
export type Admit = (types: string[]) => Promise<void>;

/** A schedule as it is stored; those of earlier versions have no such fields. */
export function decodeSchedule(value: unknown): Schedule {
  return {
    max_lateness_ms: MAX_LATENESS_MS,
    recent_tasks: [],
    missed_at: null,
    ...decode<Partial<Schedule>>(value),
  } as Schedule;
}

/** A schedule that has submitted a task. */
export function withTask(schedule: Schedule, ...ids: string[]): Schedule {
  return { ...schedule, recent_tasks: [...ids.toReversed(), ...schedule.recent_tasks].slice(0, RECENT_TASKS) };
}

/** Adds to a changeset what takes a schedule from one state to another: its record and its tick. */
export function putSchedule(changeset: Changeset, before: Schedule | null, after: Schedule | null): void {
  const { id } = (after ?? before)!;
  const dropped = before?.uploads.filter((upload) => !after?.uploads.includes(upload)) ?? [];
  changeset.deletes.push(...dropped.map((upload) => keys.uploadRef(upload, id)));
  if (before?.next_at && before.next_at !== after?.next_at) changeset.deletes.push(keys.tick(before.next_at, id));
  if (!after) {
    changeset.deletes.push(keys.schedule(id));
    return;
  }
  changeset.puts.push({ key: keys.schedule(id), value: encode(after) });
  if (after.next_at && after.next_at !== before?.next_at) {
    changeset.puts.push({ key: keys.tick(after.next_at, id), value: encode(0) });
    changeset.due = Math.min(after.next_at, changeset.due ?? Infinity);
  }
}
