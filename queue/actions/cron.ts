/**
 * Cron expressions in time zones: the next times of a schedule, and the load of all of them.
 *
 * @module
 */

import { Cron } from "croner";
import { RecentMap } from "../recent_map.ts";
import { InvalidInputError } from "../task/errors.ts";

/** What of a schedule says when it is due. */
interface Timing {
  cron: string;
  timezone: string;
  /** Milliseconds since the epoch; null: never again, or paused. */
  next_at: number | null;
  paused: boolean;
}

/** @throws {InvalidInputError} If an expression or a time zone is wrong. */
export function assertTimes(cron: string, timezone: string): void {
  // croner also accepts shorthands such as @daily; dates, which it accepts too, are refused here.
  if (/^\d{4}-/.test(cron)) refuse("/cron", "This is a date. For a single run, submit a task with run_at.");
  try {
    new Intl.DateTimeFormat("en", { timeZone: timezone });
  } catch {
    refuse("/timezone", `"${timezone}" is not a time zone; they are named like Europe/Zurich.`);
  }
  try {
    new Cron(cron, { timezone });
  } catch {
    const detail =
      "This is not a cron expression. It has five fields: minute, hour, day of the month, month, weekday. " +
      "Daily at six is 0 6 * * *.";
    refuse("/cron", detail);
  }
}

/** @throws {InvalidInputError} Always, with one issue. */
export function refuse(pointer: string, detail: string): never {
  throw new InvalidInputError([{ pointer, detail }]);
}

/** The next time of an expression after `from`, or null. */
export function nextAfter({ cron, timezone }: Pick<Timing, "cron" | "timezone">, from: number): number | null {
  return new Cron(cron, { timezone }).nextRun(new Date(from))?.getTime() ?? null;
}

/** Times of a schedule that its load is estimated from. */
const LOAD_TIMES = 20;

/** @throws {InvalidInputError} If all schedules together start more than `perHour` tasks an hour. */
export function assertLoad(schedules: Timing[], perHour: number, pointer: string): void {
  if (perHour === Infinity) return;
  const load = schedules.reduce((sum, one) => sum + (one.paused ? 0 : startsPerHour(one)), 0);
  if (load <= perHour) return;
  const detail = `All schedules together would start ${Math.round(load).toLocaleString("en")} tasks an hour; ` +
    `${perHour.toLocaleString("en")} are allowed.`;
  refuse(pointer, detail);
}

/** About how many tasks a schedule starts in an hour, by its next times. */
function startsPerHour({ cron, timezone, next_at }: Timing): number {
  const key = `${timezone} ${cron}`;
  const known = loads.get(key);
  if (known !== undefined) return known;
  const times = new Cron(cron, { timezone }).nextRuns(LOAD_TIMES, new Date(next_at ?? 0)).map((at) => at.getTime());
  const load = times.length < 2 ? 0 : (times.length - 1) / (times.at(-1)! - times[0]) * 3_600_000;
  loads.set(key, load);
  return load;
}

/** The load of each expression, which is slow to find out. */
const loads = new RecentMap<string, number>(2_000);

/** The times of an expression from `from` on and before `to`, at most `most` of them. */
export function timesBetween(
  timing: Pick<Timing, "cron" | "timezone">,
  from: number,
  to: number,
  most: number,
): number[] {
  const times: number[] = [];
  for (
    let at = nextAfter(timing, from - 1);
    at !== null && at < to && times.length < most;
    at = nextAfter(timing, at)
  ) {
    times.push(at);
  }
  return times;
}

/** The next `count` times of a schedule; none while it is paused. */
export function nextTimes(schedule: Timing, count: number): number[] {
  const times: number[] = [];
  for (let at = schedule.next_at; at !== null && times.length < count; at = nextAfter(schedule, at)) times.push(at);
  return times;
}
