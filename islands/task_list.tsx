/**
 * The list of tasks. Cells change in place; new tasks wait behind a button while someone is at the list.
 *
 * @module
 */

import type { JSX } from "preact";
import type { Signal } from "@preact/signals";
import type { TaskSummary } from "../queue/task.ts";
import { duration, number, relative, shortId } from "./format.ts";
import { Progress, StatusBadge } from "./status.tsx";
import { showWaiting, type Store } from "./store.ts";
import { hrefOf } from "./url.ts";

/** How long a task has taken, or takes. */
function took(task: TaskSummary, now: number): string {
  if (!task.started_at) return "–";
  const end = task.completed_at ? Date.parse(task.completed_at) : task.status === "RUNNING" ? now : NaN;
  return Number.isNaN(end) ? "–" : duration(end - Date.parse(task.started_at));
}

function Row({ row, store }: { row: Signal<TaskSummary>; store: Store }): JSX.Element {
  const task = row.value;
  const { view } = store.data;
  const now = store.now.value;
  const open = view.task === task.id;
  return (
    <tr class={open ? "open" : undefined} data-id={task.id}>
      <td role="cell" class="status">
        <StatusBadge status={task.status} />
      </td>
      <td role="cell" class="task">
        <a href={hrefOf(view, { task: task.id })} aria-current={open ? "true" : undefined}>{task.title}</a>
        <span class="meta">{task.task_type} · {shortId(task.id)}</span>
      </td>
      <td role="cell" class="bar">
        <Progress task={task} />
      </td>
      <td role="cell" class="when">
        <time dateTime={task.created_at} title={task.created_at}>{relative(task.created_at, now)}</time>
      </td>
      <td role="cell" class="took">{took(task, now)}</td>
    </tr>
  );
}

function Empty({ store }: { store: Store }): JSX.Element {
  const { view, types, principal } = store.data;
  const filters = [...view.statuses, ...view.task_types];
  if (filters.length > 0) {
    return (
      <div class="empty">
        <p>No tasks match {filters.join(", ")}.</p>
        <p>
          <a href={hrefOf(view, { statuses: [], task_types: [], cursor: null })}>Clear all filters</a>
        </p>
      </div>
    );
  }
  return (
    <div class="empty">
      <p>No tasks yet.</p>
      {principal.may_operate && (
        <ul class="cards">
          {types.map((type) => (
            <li key={type.type}>
              <a href={hrefOf(view, { form: type.type, task: null })}>
                <strong>{type.title}</strong>
                <span>{type.description}</span>
              </a>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** The list with its pager. */
export function TaskList({ store }: { store: Store }): JSX.Element {
  const { view, next_cursor, total } = store.data;
  const order = store.order.value;
  const waiting = store.waiting.value.length;
  return (
    <div class="list">
      {waiting > 0 && (
        <button type="button" class="waiting" onClick={() => showWaiting(store)}>
          {waiting === 1 ? "1 new task" : `${number(waiting)} new tasks`}
        </button>
      )}
      {order.length === 0 ? <Empty store={store} /> : (
        <table role="table">
          <caption class="hidden">Tasks, newest first</caption>
          <thead>
            <tr role="row">
              <th role="columnheader" scope="col">Status</th>
              <th role="columnheader" scope="col">Task</th>
              <th role="columnheader" scope="col">Progress</th>
              <th role="columnheader" scope="col">Created</th>
              <th role="columnheader" scope="col">Took</th>
            </tr>
          </thead>
          <tbody>
            {order.map((id) => <Row key={id} row={store.rows.get(id)!} store={store} />)}
          </tbody>
        </table>
      )}
      <nav class="pager" aria-label="Pages">
        <span class="muted">{number(total)} {total === 1 ? "task" : "tasks"} when this page was loaded</span>
        {view.cursor && <a href={hrefOf(view, { cursor: null })}>Newest</a>}
        {next_cursor && <a href={hrefOf(view, { cursor: next_cursor })} rel="next">Older</a>}
      </nav>
    </div>
  );
}
