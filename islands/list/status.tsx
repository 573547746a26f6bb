/**
 * A task's status: always a shape, a word and a colour together.
 *
 * @module
 */

import type { JSX } from "preact";
import type { Status } from "../../queue/task/record.ts";
import type { TaskSummary } from "../../queue/task/summary.ts";
import { duration } from "../app/format.ts";
import { Icon } from "../shell/icons.tsx";
import type { Store } from "../app/state.ts";
import { titleOf } from "../app/store.ts";

/** Why a waiting task is not running. */
const WAITING = {
  ready: "Waiting for a slot",
  scheduled: "Scheduled",
  blocked: "Waiting for dependencies",
  limited: "Waiting for key",
};

/** A note appears after this long without progress. */
const QUIET_MS = 5 * 60_000;

/** The badge of a status. */
export function StatusBadge({ status }: { status: Status }): JSX.Element {
  return (
    <span class={`badge ${status.toLowerCase()}`}>
      <Icon name={status} />
      {status}
    </span>
  );
}

/** How far a task is: a bar, a number and what is being done. */
export function Progress({ task, store }: { task: TaskSummary; store: Store }): JSX.Element {
  if (task.status === "PENDING") {
    const paused = store.stats.value.paused[task.task_type];
    const key = task.wait_reason === "limited" ? ` “${task.concurrency_key}”` : "";
    const why = WAITING[task.wait_reason ?? "ready"] + key;
    const again = task.attempt > 0 && task.error
      ? `Retrying (attempt ${task.attempt + 1}): ${task.error.message}`
      : null;
    return (
      <span class="muted note reason" title={again ?? undefined}>
        {paused && task.wait_reason === "ready" ? `${titleOf(store, task.task_type)} is paused` : again ?? why}
      </span>
    );
  }
  // How far it was matters less than why it went no further.
  if (task.error && (task.status === "FAILED" || task.status === "CANCELLED")) {
    const { message } = task.error;
    return <span class="muted note reason" title={message}>{message}</span>;
  }
  const percent = Math.round(task.progress);
  const quiet = task.status === "RUNNING" && task.progress_at ? store.now.value - Date.parse(task.progress_at) : 0;
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
      {quiet > QUIET_MS
        ? <span class="message">No progress for {duration(quiet)}</span>
        : (
          <span class="message" title={task.message}>
            {task.status === "RUNNING" && task.attempt > 1 && `Attempt ${task.attempt} · `}
            {task.message}
          </span>
        )}
    </span>
  );
}
