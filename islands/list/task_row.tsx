/**
 * One row of the list: a task, its state, and what can be done with it.
 *
 * @module
 */

import type { JSX } from "preact";
import { type Signal, useComputed } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { TaskSummary } from "../../queue/task/summary.ts";
import { canBe, type TaskActionName } from "../../queue/task/actions.ts";
import { actions } from "../app/actions.ts";
import { label } from "../app/bulk_actions.ts";
import { absolute, duration, relative, shortId, time } from "../app/format.ts";
import { Icon } from "../shell/icons.tsx";
import { Progress, StatusBadge } from "./status.tsx";
import type { Row, Store } from "../app/state.ts";
import { can, select, titleOf } from "../app/store.ts";
import { withQuery } from "../app/url.ts";

/** How long a task has been waiting and running so far, or in total. */
export function durations(task: TaskSummary, now: number): { wait: number; run: number | null } {
  const created = Date.parse(task.waiting_since);
  const started = task.started_at === null ? null : Date.parse(task.started_at);
  const ended = task.completed_at === null ? null : Date.parse(task.completed_at);
  if (started === null || task.status === "PENDING") return { wait: Math.max(0, (ended ?? now) - created), run: null };
  return { wait: Math.max(0, started - created), run: Math.max(0, (ended ?? now) - started) };
}

/** The row where a range selection starts. */
let anchor: string | null = null;

/** Selects a row, or all rows from the last one that was selected. */
export function selectRow(store: Store, id: string, range: boolean): void {
  const order = store.order.value;
  const on = range || !store.selected.value.has(id);
  const from = anchor === null ? -1 : order.indexOf(anchor);
  const to = order.indexOf(id);
  const ids = range && from >= 0 ? order.slice(Math.min(from, to), Math.max(from, to) + 1) : [id];
  anchor = id;
  select(store, ids, on);
}

function RowMenu({ task, store }: { task: TaskSummary; store: Store }): JSX.Element {
  const base = store.base.value;
  const doable: TaskActionName[] = (["cancel", "retry"] as const).filter((action) =>
    canBe(action, task) && can(store, action)
  );
  return (
    <details class="menu">
      <summary aria-label={`Actions for ${task.title}`}>
        <Icon name="more" />
      </summary>
      <div class="popup">
        {doable.map((action) => (
          <form key={action} method="post" action={`tasks/${task.id}/${action}`}>
            <input type="hidden" name="back" value={base} />
            <button
              type="submit"
              onClick={(event) => {
                event.preventDefault();
                event.currentTarget.closest("details")!.open = false;
                if (action === "cancel") void actions().cancel(task);
                else void actions().retry(task);
              }}
            >
              {label(action)}
            </button>
          </form>
        ))}
        {can(store, "submit") && store.types.some(({ type }) => type === task.task_type) && (
          <a href={withQuery(base, { new: task.task_type, from: task.id })}>Duplicate and edit</a>
        )}
        {can(store, "delete") && canBe("delete", task) && (
          <button
            type="button"
            class="js"
            onClick={(event) => {
              event.currentTarget.closest("details")!.open = false;
              void actions().delete(task);
            }}
          >
            Delete
          </button>
        )}
        <button type="button" class="js" onClick={() => actions().copy(task.id, "The id")}>Copy id</button>
      </div>
    </details>
  );
}

/** When a task was created: the only part of its row that updates with the clock. */
function When({ created_at, store }: { created_at: string; store: Store }): JSX.Element {
  const style = store.preferences.value.time;
  const created = Date.parse(created_at);
  return <time dateTime={created_at} title={absolute(created, style)}>{time(created, store.now.value, style)}</time>;
}

function Durations({ task, store }: { task: TaskSummary; store: Store }): JSX.Element {
  const live = task.status === "PENDING" || task.status === "RUNNING";
  const { wait, run } = durations(task, live ? store.now.value : 0);
  if (run === null) {
    const due = task.run_at === null ? NaN : Date.parse(task.run_at);
    const text = task.status === "PENDING" && due > store.now.value
      ? `starts ${relative(due, store.now.value)}`
      : task.status === "PENDING"
      ? `waiting ${duration(wait).replace(/\.\d/, "")}`
      : "–";
    return <span class="muted">{text}</span>;
  }
  return (
    <>
      {duration(run)}
      {wait >= 1_000 && <span class="muted">{` + ${duration(wait)} wait`}</span>}
    </>
  );
}

function Requested({ requested, store }: { requested: { verb: string; since: number }; store: Store }): JSX.Element {
  return <span class="muted note">{requested.verb}… {duration(store.clock.value - requested.since)}</span>;
}

/** One row. */
export function TaskRow({ row, store }: { row: Signal<Row>; store: Store }): JSX.Element {
  const { task, matches } = row.value;
  const { id } = task;
  // Each row subscribes only to its own state: a selection change redraws only the affected rows.
  const open = useComputed(() => store.view.value.task === id).value;
  const selected = useComputed(() => store.selected.value.has(id)).value;
  const requested = useComputed(() => store.requested.value.get(id)).value;
  const range = useRef(false);
  return (
    <tr role="row" class={`${open ? "open" : ""}${selected ? " selected" : ""}${matches ? "" : " left"}`} data-id={id}>
      <td role="cell" class="check js">
        <input
          type="checkbox"
          checked={selected}
          aria-label={`Select ${task.title}`}
          onClick={({ shiftKey }) =>
            range.current = shiftKey}
          onChange={({ currentTarget }) => {
            selectRow(store, id, range.current);
            // A range always selects, even where the click itself would have deselected the row.
            currentTarget.checked = store.selected.value.has(id);
          }}
        />
      </td>
      <td role="cell" class="status">
        <StatusBadge status={task.status} />
        {!matches && <span class="meta">now {task.status}</span>}
      </td>
      <td role="cell" class="task">
        <a
          href={withQuery(store.base.value, { task: id })}
          aria-current={open ? "true" : undefined}
          title={task.title}
        >
          {task.title}
        </a>
        <span class="meta">
          {titleOf(store, task.task_type)} · {shortId(id)}
          {task.priority > 0 && ` · priority ${task.priority}`}
          {task.tags.map((tag) => <span class="tag" key={tag}>{tag}</span>)}
        </span>
      </td>
      <td role="cell" class="bar">
        {requested ? <Requested requested={requested} store={store} /> : <Progress task={task} store={store} />}
      </td>
      <td role="cell" class="when">
        <When created_at={task.created_at} store={store} />
      </td>
      <td role="cell" class="took">
        <Durations task={task} store={store} />
      </td>
      <td role="cell" class="more">
        <RowMenu task={task} store={store} />
      </td>
    </tr>
  );
}
