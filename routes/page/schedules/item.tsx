/**
 * A schedule in the list of all of them.
 *
 * @module
 */

import type { JSX } from "preact";
import { relative } from "../../../islands/app/format.ts";
import { HOME, hrefOf } from "../../../islands/app/url.ts";
import { StatusBadge } from "../../../islands/list/status.tsx";
import { nextTimes } from "../../../queue/actions/cron.ts";
import type { Schedule } from "../../../queue/actions/schedules.ts";
import { MAX_BATCH } from "../../../queue/task/limits.ts";
import { statusOf, type TaskState } from "../../../queue/task/record.ts";
import { NEXT_TIMES } from "../../api/schedules.ts";
import { cronWords } from "./repeat.ts";
import { NextTimes, timeInZone } from "./times.tsx";

/** How the last tasks of a schedule went, newest first. */
function Outcomes({ tasks, name }: { tasks: TaskState[]; name: string }): JSX.Element {
  return (
    <ul class="outcomes" aria-label={`Last tasks of ${name}`}>
      {tasks.map((state) => (
        <li key={state.task.id}>
          <a href={hrefOf(HOME, { task: state.task.id })} title={state.task.title}>
            <StatusBadge status={statusOf(state)} />
          </a>
        </li>
      ))}
    </ul>
  );
}

/** A schedule with what can be done to it. */
export function ScheduleItem({ schedule, last, recent, title, now, mayChange, isOpen }: {
  schedule: Schedule;
  /** The task that it made last. */
  last: TaskState | null;
  /** The last that it submitted, newest first. */
  recent: TaskState[];
  /** What its type is called. */
  title: string;
  now: number;
  mayChange: boolean;
  isOpen: boolean;
}): JSX.Element {
  const { id, name, cron, timezone, paused, last_at, last_error } = schedule;
  const times = nextTimes(schedule, NEXT_TIMES);
  const button = (action: string, label: string) => (
    <form method="post" action="schedules">
      <input type="hidden" name="id" value={id} />
      <button type="submit" name="action" value={action} aria-label={`${label}: ${name}`}>{label}</button>
    </form>
  );
  return (
    <li id={id} class={isOpen ? "schedule here" : "schedule"}>
      <h2>{name}</h2>
      <p>
        {cronWords(cron) || cron}, {timezone} <code class="muted">{cron}</code>
      </p>
      <p class="muted">{title} · created by {schedule.created_by}</p>
      {paused
        ? (
          <p class="warn">
            <strong>Paused.</strong> It submits nothing until it is resumed.
          </p>
        )
        : (
          <details open={isOpen}>
            <summary>
              {times.length > 0
                ? `Next ${relative(times[0], now)}: ${timeInZone(times[0], timezone)}`
                : "No further time."}
            </summary>
            <NextTimes times={times} timezone={timezone} />
          </details>
        )}
      <p>
        {last_at === null
          ? "No scheduled run yet."
          : `Last run ${relative(last_at, now)}: ${timeInZone(last_at, timezone)} `}
        {last && (
          <>
            <StatusBadge status={statusOf(last)} /> <a href={hrefOf(HOME, { task: last.task.id })}>{last.task.title}</a>
          </>
        )}
        {last?.task.error && !last.run && <span class="bad">{` ${last.task.error.message}`}</span>}
      </p>
      {recent.length > 1 && <Outcomes tasks={recent} name={name} />}
      {last_error && <p class="bad">{last_error}</p>}
      <div class="buttons">
        <a class="button" href={hrefOf(HOME, { schedule: id })}>View its tasks</a>
        {mayChange && (
          <>
            {button("run", "Run now")}
            {paused ? button("resume", "Resume") : button("pause", "Pause")}
            <a class="button" href={`schedules?edit=${id}`} aria-label={`Edit: ${name}`}>Edit</a>
            <details class="confirm">
              <summary class="button">Run for past days…</summary>
              <form method="post" action="schedules" class="stack">
                <input type="hidden" name="id" value={id} />
                {(["from", "to"] as const).map((end) => (
                  <div key={end} class="field">
                    <label for={`${end} ${id}`}>{end === "from" ? "First day (UTC)" : "Last day (UTC)"}</label>
                    <input id={`${end} ${id}`} name={end} type="date" required />
                  </div>
                ))}
                <p class="help">One task for each time of the schedule in these days, at most {MAX_BATCH}.</p>
                <button type="submit" name="action" value="backfill" aria-label={`Run for past days: ${name}`}>
                  Run
                </button>
              </form>
            </details>
            <details class="confirm">
              <summary class="button danger-quiet">Delete…</summary>
              <p>Tasks already created are kept.</p>
              {button("delete", "Delete schedule")}
            </details>
          </>
        )}
      </div>
    </li>
  );
}
