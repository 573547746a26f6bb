/**
 * A task's status: always a shape, a word and a colour together.
 *
 * @module
 */

import type { JSX } from "preact";
import type { Status, TaskSummary } from "../queue/task.ts";

const SHAPES: Record<Status, JSX.Element> = {
  PENDING: (
    <>
      <circle cx="8" cy="8" r="6" class="line" />
      <path d="M8 4.5V8l2.5 1.5" class="line" />
    </>
  ),
  RUNNING: (
    <>
      <circle cx="8" cy="8" r="6" class="line" />
      <path d="M8 2a6 6 0 0 1 0 12z" />
    </>
  ),
  SUCCESS: (
    <>
      <circle cx="8" cy="8" r="7" />
      <path d="M4.8 8.2l2.2 2.2 4.2-4.6" class="mark" />
    </>
  ),
  FAILED: (
    <>
      <path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" />
      <path d="M5.5 5.5l5 5m0-5l-5 5" class="mark" />
    </>
  ),
  CANCELLED: (
    <>
      <circle cx="8" cy="8" r="6" class="line dashed" />
      <path d="M4.5 11.5l7-7" class="line" />
    </>
  ),
};

/** Why a task that waits does not run. */
const WAITING = {
  ready: "waiting",
  scheduled: "scheduled",
  blocked: "waits for other tasks",
  limited: "waits for its key",
};

/** The shape of a status. */
export function StatusIcon({ status }: { status: Status }): JSX.Element {
  return <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">{SHAPES[status]}</svg>;
}

/** The badge of a status. */
export function StatusBadge({ status }: { status: Status }): JSX.Element {
  return (
    <span class={`badge ${status.toLowerCase()}`}>
      <StatusIcon status={status} />
      {status}
    </span>
  );
}

/** How far a task is: a bar, a number and what is being done. */
export function Progress({ task }: { task: TaskSummary }): JSX.Element {
  if (task.status === "PENDING") {
    return <span class="muted">{WAITING[task.wait_reason ?? "ready"]}</span>;
  }
  const percent = Math.round(task.progress);
  return (
    <span class="progress">
      <progress
        max="100"
        value={task.progress}
        aria-label={`Progress of ${task.title}`}
        class={task.status.toLowerCase()}
      >
        {percent} %
      </progress>
      <span class="percent">{percent} %</span>
      {task.message && <span class="message">{task.message}</span>}
    </span>
  );
}
