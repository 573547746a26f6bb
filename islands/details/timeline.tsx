/**
 * What happened to a task, on one axis of time and as a list.
 *
 * @module
 */

import type { JSX } from "preact";
import type { AttemptOutcome } from "../../queue/task/record.ts";
import type { Task } from "../../queue/task/summary.ts";
import { absolute, clockTime, duration, shortId } from "../app/format.ts";
import type { Store } from "../app/state.ts";

/** A phase of a task. Times are milliseconds since the epoch. */
export interface Phase {
  kind: "scheduled" | "waiting" | "backoff" | "ended" | "running" | AttemptOutcome;
  label: string;
  from: number;
  to: number;
  detail: string;
  /** Whether it is still in progress. */
  open: boolean;
}

/**
 * The phases of a task, one after the other without gaps: their durations add up to the task's total time. If clocks
 * differ, a phase may be zero but never negative.
 */
export function phasesOf(task: Task, now: number): Phase[] {
  const phases: Phase[] = [];
  let at = Date.parse(task.created_at);
  const add = (kind: Phase["kind"], label: string, until: number, detail = "", open = false) => {
    const to = Math.max(at, until);
    phases.push({ kind, label, from: at, to, detail, open });
    at = to;
  };
  const due = task.run_at === null ? null : Date.parse(task.run_at);
  const idle = (until: number, again: boolean, open = false) => {
    if (again) return add("backoff", open ? "Waiting for the next attempt" : "Backoff", until, "", open);
    // The scheduled start is known only until the first retry moves it.
    if (due !== null && due > at && task.attempts.length === 0) {
      add("scheduled", "Scheduled", Math.min(due, until), "", open && until < due);
    }
    if (until > at || !open) add("waiting", "Waiting", until, "", open);
  };
  const wait = (until: number, again: boolean, open = false) => {
    const within = task.actions.map((action) => ({ ...action, at: Date.parse(action.at) }))
      .filter((action) => action.at >= at && action.at <= until);
    const last = within.findLastIndex(({ action }) => action === "retry");
    // A task that is retried by hand had ended until then.
    let ended = "Failed";
    for (const { action, at: when, by } of within.slice(0, last + 1)) {
      if (action === "cancel") {
        idle(when, again);
        ended = "Cancelled";
      } else add("ended", `${ended} – retried by ${by ?? "the service"}`, when);
    }
    idle(until, again && last < 0, open);
  };
  task.attempts.forEach((attempt, i) => {
    wait(Date.parse(attempt.started_at), i > 0);
    add(
      attempt.outcome,
      `Attempt ${attempt.attempt}`,
      Date.parse(attempt.completed_at),
      `${attempt.outcome} on ${shortId(attempt.instance)}${attempt.error ? `: ${attempt.error.message}` : ""}`,
    );
  });
  const again = task.attempts.length > 0;
  if (task.status === "RUNNING") {
    wait(Date.parse(task.started_at!), again);
    add("running", `Attempt ${task.attempt}`, now, `running on ${task.instance ? shortId(task.instance) : "–"}`, true);
  } else if (task.status === "PENDING") wait(Math.max(now, at), again, true);
  else if (task.completed_at && Date.parse(task.completed_at) > at) wait(Date.parse(task.completed_at), again);
  return phases;
}

const WIDTH = 1_000;

/** The bar and the list. */
export function Timeline({ task, store }: { task: Task; store: Store }): JSX.Element {
  const style = store.preferences.value.time;
  const phases = phasesOf(task, store.now.value);
  const start = phases[0]?.from ?? Date.parse(task.created_at);
  const end = phases.at(-1)?.to ?? start;
  const whole = Math.max(1, end - start);
  const place = (ms: number) => (ms - start) / whole * WIDTH;
  return (
    <section class="timeline" aria-label="Timeline">
      <svg
        class="phases"
        viewBox={`0 0 ${WIDTH} 24`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${duration(whole)} in ${phases.length} phases`}
      >
        {phases.map(({ kind, from, to, label }, i) => (
          <rect
            key={i}
            class={`phase ${kind}`}
            x={place(from)}
            y="2"
            width={Math.max(2, place(to) - place(from))}
            height="20"
          >
            <title>{label}: {duration(to - from)}</title>
          </rect>
        ))}
      </svg>
      <p class="axis" aria-hidden="true">
        <span>{clockTime(start, style)}</span>
        <span>{clockTime(end, style)}</span>
      </p>
      <ol>
        <li>
          <span class="phase-name">Created</span>
          <time dateTime={task.created_at}>
            {absolute(start, { ...style, format: style.format === "utc" ? "utc" : "local" })}
          </time>
        </li>
        {phases.map(({ kind, label, from, to, detail, open }, i) => (
          <li key={i} class={`phase ${kind}`}>
            <span class="phase-name">{label}</span>
            <span class="phase-took">{duration(to - from)}{open ? " so far" : ""}</span>
            <span class="meta">
              {clockTime(from, style)}
              {from > start && ` · + ${duration(from - start)}`}
              {detail && ` · ${detail}`}
            </span>
          </li>
        ))}
        {task.completed_at && (
          <li>
            <span class="phase-name">Finished</span>
            <time dateTime={task.completed_at}>
              {absolute(Date.parse(task.completed_at), { ...style, format: style.format === "utc" ? "utc" : "local" })}
            </time>
            <span class="phase-took">after {duration(whole)}</span>
          </li>
        )}
      </ol>
    </section>
  );
}
