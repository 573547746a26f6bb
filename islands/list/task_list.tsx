/**
 * The list of tasks. Cells change in place; new tasks wait behind a button while someone is at the list.
 *
 * @module
 */

import type { JSX } from "preact";
import { type Signal, useComputed } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { TaskSummary } from "../../queue/task/summary.ts";
import { act, type Action, canBe, label } from "../app/actions.ts";
import { Chips } from "./filters.tsx";
import { absolute, count, duration, number, relative, shortId, time } from "../app/format.ts";
import { Icon } from "../shell/icons.tsx";
import { Progress, StatusBadge } from "./status.tsx";
import { may, type Row, select, showWaiting, type Store, titleOf } from "../app/store.ts";
import { filterWords, hrefOf, isFiltered, PAGE_SIZES, withQuery } from "../app/url.ts";

/** How long a task has waited and run, or does. */
export function took(task: TaskSummary, now: number): { wait: number; run: number | null } {
  const created = Date.parse(task.run_at ?? task.created_at);
  const started = task.started_at === null ? null : Date.parse(task.started_at);
  const ended = task.completed_at === null ? null : Date.parse(task.completed_at);
  if (started === null || task.status === "PENDING") return { wait: Math.max(0, (ended ?? now) - created), run: null };
  return { wait: Math.max(0, started - created), run: Math.max(0, (ended ?? now) - started) };
}

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
  const doable: Action[] = (["cancel", "retry"] as const).filter((action) => canBe(action, task) && may(store, action));
  return (
    <details class="menu">
      <summary aria-label={`Actions for ${task.title}`}>
        <Icon name="more" />
      </summary>
      <div class="popup">
        {doable.map((action) => (
          <form key={action} method="post" action={`/tasks/${task.id}/${action}`}>
            <input type="hidden" name="back" value={base} />
            <button
              type="submit"
              onClick={(event) => {
                event.preventDefault();
                event.currentTarget.closest("details")!.open = false;
                if (action === "cancel") void act().cancel(task);
                else void act().retry(task);
              }}
            >
              {label(action)}
            </button>
          </form>
        ))}
        {may(store, "submit") && store.types.some(({ type }) => type === task.task_type) && (
          <a href={withQuery(base, { new: task.task_type, from: task.id })}>Submit again with changes</a>
        )}
        <button type="button" class="js" onClick={() => act().copy(task.id, "The id")}>Copy id</button>
      </div>
    </details>
  );
}

/** When a task was made: moves with the clock, and nothing else of its row does. */
function When({ created_at, store }: { created_at: string; store: Store }): JSX.Element {
  const style = store.preferences.value.time;
  const created = Date.parse(created_at);
  return <time dateTime={created_at} title={absolute(created, style)}>{time(created, store.now.value, style)}</time>;
}

function Took({ task, store }: { task: TaskSummary; store: Store }): JSX.Element {
  const live = task.status === "PENDING" || task.status === "RUNNING";
  const { wait, run } = took(task, live ? store.now.value : 0);
  if (run === null) {
    const due = task.run_at === null ? NaN : Date.parse(task.run_at);
    const text = task.status === "PENDING" && due > store.now.value
      ? `starts ${relative(due, store.now.value)}`
      : task.status === "PENDING"
      ? `waits ${duration(wait)}`
      : "–";
    return <span class="muted">{text}</span>;
  }
  return (
    <>
      {duration(run)}
      {wait >= 1_000 && <span class="meta">+ {duration(wait)} wait</span>}
    </>
  );
}

function Asked({ asked, store }: { asked: { verb: string; since: number }; store: Store }): JSX.Element {
  return <span class="muted note">{asked.verb}… {duration(store.clock.value - asked.since)}</span>;
}

function TaskRow({ row, store }: { row: Signal<Row>; store: Store }): JSX.Element {
  const { task, matches } = row.value;
  const { id } = task;
  // Each row listens to what is said of it alone: a change of the selection draws the rows that it changes.
  const open = useComputed(() => store.view.value.task === id).value;
  const selected = useComputed(() => store.selected.value.has(id)).value;
  const asked = useComputed(() => store.asked.value.get(id)).value;
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
            // A range always selects, also where the click itself would have taken the row out.
            currentTarget.checked = store.selected.value.has(id);
          }}
        />
      </td>
      <td role="cell" class="status">
        <StatusBadge status={task.status} />
        {!matches && <span class="meta">now {task.status}</span>}
      </td>
      <td role="cell" class="task">
        <a href={withQuery(store.base.value, { task: id })} aria-current={open ? "true" : undefined}>{task.title}</a>
        <span class="meta">
          {titleOf(store, task.task_type)} · {shortId(id)}
          {task.tags.map((tag) => <span class="tag" key={tag}>{tag}</span>)}
        </span>
      </td>
      <td role="cell" class="bar">
        {asked ? <Asked asked={asked} store={store} /> : <Progress task={task} store={store} />}
      </td>
      <td role="cell" class="when">
        <When created_at={task.created_at} store={store} />
      </td>
      <td role="cell" class="took">
        <Took task={task} store={store} />
      </td>
      <td role="cell" class="attempts">{task.attempt} of {task.max_attempts}</td>
      <td role="cell" class="priority">{task.priority}</td>
      <td role="cell" class="instance">{task.instance ? shortId(task.instance) : "–"}</td>
      <td role="cell" class="more">
        <RowMenu task={task} store={store} />
      </td>
    </tr>
  );
}

function Empty({ store }: { store: Store }): JSX.Element {
  const view = store.view.value;
  if (isFiltered(view)) {
    return (
      <div class="empty">
        <p>No tasks match {filterWords(view, (type) => titleOf(store, type))}.</p>
        <Chips store={store} />
      </div>
    );
  }
  return (
    <div class="empty">
      <h2>No tasks yet</h2>
      <p class="muted">Start with an example, or with files of your own.</p>
      {may(store, "submit") && (
        <ul class="cards">
          {store.types.map((type) => (
            <li key={type.type} class="card">
              <strong>{type.title}</strong>
              <p>{type.description}</p>
              <div class="buttons">
                {type.example !== null && (
                  <form method="post" action="/examples">
                    <input type="hidden" name="task_type" value={type.type} />
                    <button
                      type="submit"
                      class="primary"
                      aria-label={`Try an example: ${type.title}`}
                      onClick={(event) => {
                        event.preventDefault();
                        void act().tryExample(type.type);
                      }}
                    >
                      <Icon name="play" />
                      Try an example
                    </button>
                  </form>
                )}
                <a class="button" href={hrefOf(view, { form: type.type })} aria-label={`Set up: ${type.title}`}>
                  Set up…
                </a>
              </div>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function BulkBar({ store }: { store: Store }): JSX.Element | null {
  const selected = store.selected.value;
  if (selected.size === 0) return null;
  const onPage = store.order.value.filter((id) => selected.has(id)).length;
  const elsewhere = selected.size - onPage;
  const { total, total_capped } = store.list.value;
  const whole = onPage === store.order.value.length && (total > onPage || total_capped);
  const view = store.view.value;
  const actions = (["cancel", "retry", "delete"] as const).filter((action) => may(store, action));
  const all = `${number(total)}${total_capped ? "+" : ""}`;
  return (
    <div class="bulk" role="group" aria-label="Selected tasks">
      <span>
        <strong>{number(selected.size)} selected</strong>
        {elsewhere > 0 && <span class="muted">({number(elsewhere)} not on this page)</span>}
      </span>
      {actions.map((action) => (
        <button key={action} type="button" onClick={() => act().onSelected(action)}>
          {label(action)} {number(selected.size)}
        </button>
      ))}
      <button type="button" class="quiet" onClick={() => store.selected.value = new Map()}>Clear</button>
      {whole && actions.length > 0 && (
        <span class="scope">
          <span class="muted">All {all} {isFiltered(view) ? "matching" : "tasks"}:</span>
          {actions.map((action) => (
            <button
              key={action}
              type="button"
              class="quiet"
              onClick={() => act().onMatching(action)}
            >
              {label(action)} all {all} {isFiltered(view) ? "matching" : ""}…
            </button>
          ))}
        </span>
      )}
    </div>
  );
}

function HeadBox({ store }: { store: Store }): JSX.Element {
  const order = store.order.value;
  const chosen = order.filter((id) => store.selected.value.has(id)).length;
  return (
    <input
      type="checkbox"
      aria-label="Select all on this page"
      checked={chosen > 0 && chosen === order.length}
      ref={(box) => {
        if (box) box.indeterminate = chosen > 0 && chosen < order.length;
      }}
      onChange={() => select(store, order, chosen < order.length)}
    />
  );
}

/** Which tasks of how many a page shows, in words. */
function position(store: Store): string {
  const { total, total_capped } = store.list.value;
  const shown = store.order.value.length;
  const { first } = store.view.value;
  if (shown === 0) return "";
  const of = `${number(Math.max(total, first + shown - 1))}${total_capped ? "+" : ""}`;
  return `${number(first)}–${number(first + shown - 1)} of ${of}`;
}

function Pager({ store }: { store: Store }): JSX.Element {
  const view = store.view.value;
  const { next_cursor, prev_cursor } = store.list.value;
  const shown = store.order.value.length;
  return (
    <nav class="pager" aria-label="Pages">
      <span class="muted">{position(store)}</span>
      {view.cursor !== null && view.first > view.limit + 1 && (
        <a class="button" href={hrefOf(view, { cursor: null, first: 1 })}>First</a>
      )}
      {prev_cursor !== null && view.cursor !== null && (
        <a
          class="button"
          rel="prev"
          href={hrefOf(view, { cursor: prev_cursor || null, first: Math.max(1, view.first - view.limit) })}
        >
          <Icon name="back" />
          Previous
        </a>
      )}
      {next_cursor && (
        <a class="button" rel="next" href={hrefOf(view, { cursor: next_cursor, first: view.first + shown })}>
          Next
          <Icon name="next" />
        </a>
      )}
      <span class="sizes muted">
        Rows {PAGE_SIZES.map((limit) => (
          <a
            key={limit}
            href={hrefOf(view, { limit, cursor: null, first: 1 })}
            aria-current={limit === view.limit ? "true" : undefined}
          >
            {limit}
          </a>
        ))}
      </span>
    </nav>
  );
}

/** The list with its pager. */
export function TaskList({ store }: { store: Store }): JSX.Element {
  const view = store.view.value;
  const order = store.order.value;
  const waiting = store.waiting.value.length;
  const { loading, error } = store.list.value;
  const words = filterWords(view, (type) => titleOf(store, type));
  return (
    <div class="list" tabIndex={-1} aria-busy={loading}>
      {error && (
        <p class="banner error" role="group" aria-label="Error">
          The list could not be loaded: {error}
          <a class="button" href={hrefOf(view, {})}>Retry</a>
        </p>
      )}
      {waiting > 0 && (
        <button type="button" class="new-tasks" onClick={() => showWaiting(store)}>
          {waiting >= 1_000 ? `${number(waiting)}+ new tasks` : count(waiting, "new task")}
        </button>
      )}
      <BulkBar store={store} />
      {order.length === 0 ? <Empty store={store} /> : (
        <table role="table">
          <caption>
            Tasks{words && ` with ${words}`}, {view.order} first, {position(store)}
          </caption>
          <thead role="rowgroup">
            <tr role="row">
              <th role="columnheader" scope="col" class="check js">
                <HeadBox store={store} />
              </th>
              <th role="columnheader" scope="col">Status</th>
              <th role="columnheader" scope="col">Task</th>
              <th role="columnheader" scope="col">Progress</th>
              <th role="columnheader" scope="col" aria-sort={view.order === "newest" ? "descending" : "ascending"}>
                <a
                  href={hrefOf(view, { order: view.order === "newest" ? "oldest" : "newest", cursor: null, first: 1 })}
                >
                  Created {view.order === "newest" ? "↓" : "↑"}
                </a>
              </th>
              <th role="columnheader" scope="col">Duration</th>
              <th role="columnheader" scope="col" class="attempts">Attempts</th>
              <th role="columnheader" scope="col" class="priority">Priority</th>
              <th role="columnheader" scope="col" class="instance">Instance</th>
              <th role="columnheader" scope="col" class="more">
                <span class="hidden">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody role="rowgroup">
            {order.map((id) => {
              const row = store.rows.get(id);
              return row && <TaskRow key={id} row={row} store={store} />;
            })}
          </tbody>
        </table>
      )}
      <div id="pager" tabIndex={-1}>{order.length > 0 && <Pager store={store} />}</div>
    </div>
  );
}
