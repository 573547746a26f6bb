/**
 * The list of tasks. Cells change in place; new tasks wait behind a button while someone is using the list.
 *
 * @module
 */

import type { JSX } from "preact";
import { actions } from "../app/actions.ts";
import { label, WHY_NOT } from "../app/bulk_actions.ts";
import { count, number } from "../app/format.ts";
import { Icon } from "../shell/icons.tsx";
import type { Store } from "../app/state.ts";
import { canBe } from "../../queue/task/actions.ts";
import { can, clearSelection, MAX_WAITING, select, timeWords, titleOf } from "../app/store.ts";
import { hrefOf, isFiltered, needsFacets, PAGE_SIZES, UNFILTERED } from "../app/url.ts";
import { filterWords } from "./filter_words.ts";
import { TaskRow } from "./task_row.tsx";

function Empty({ store }: { store: Store }): JSX.Element {
  const view = store.view.value;
  if (isFiltered(view)) {
    return (
      <div class="empty">
        <p>
          No {view.statuses.join(" or ").toLowerCase()}{" "}
          {view.task_types.length > 0 && `“${view.task_types.map((type) => titleOf(store, type)).join("” or “")}” `}
          tasks{needsFacets(view) && " match these filters"}.
        </p>
        <a class="button" href={hrefOf(view, UNFILTERED)}>Clear all filters</a>
      </div>
    );
  }
  return (
    <div class="empty">
      <h2>No tasks yet</h2>
      <p class="muted">Start with an example or your own files.</p>
      {can(store, "submit") && (
        <ul class="cards">
          {store.types.map((type) => (
            <li key={type.type} class="card">
              <strong>{type.title}</strong>
              <p>{type.description}</p>
              <div class="buttons">
                {type.example !== null && (
                  <form method="post" action="examples">
                    <input type="hidden" name="task_type" value={type.type} />
                    <button
                      type="submit"
                      class="primary"
                      aria-label={`Run an example: ${type.title}`}
                      onClick={(event) => {
                        event.preventDefault();
                        void actions().tryExample(type.type);
                      }}
                    >
                      <Icon name="play" />
                      Run an example
                    </button>
                  </form>
                )}
                <a
                  class="button"
                  href={hrefOf(view, { form: type.type, own: true })}
                  aria-label={`Use my own data: ${type.title}`}
                >
                  Use my own data…
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
  const all = `${number(total)}${total_capped ? "+" : ""}`;
  const everything = store.everything.value;
  const mayGrow = onPage === store.order.value.length && (total > onPage || total_capped);
  // Rows are newer than the selection.
  const tasks = [...selected].map(([id, task]) => store.rows.get(id)?.value.task ?? task);
  const actionsOf = (["cancel", "retry", "delete"] as const).filter((action) => can(store, action)).map((action) => ({
    action,
    possible: tasks.filter((task) => canBe(action, task)).length,
  }));
  // What can be done comes first.
  const shown = everything ? actionsOf : actionsOf.toSorted((a, b) => Number(b.possible > 0) - Number(a.possible > 0));
  return (
    <div class="bulk" role="group" aria-label="Selected tasks">
      <span>
        <strong>{everything ? `All ${all}` : number(selected.size)} selected</strong>
        {elsewhere > 0 && !everything && <span class="muted">{` (${number(elsewhere)} not on this page)`}</span>}
      </span>
      {mayGrow && !everything && (
        <button type="button" class="quiet" onClick={() => store.everything.value = true}>
          Select all {all} {isFiltered(store.view.value) ? "that match" : ""}
        </button>
      )}
      {shown.map(({ action, possible }) => (
        <button
          key={action}
          type="button"
          disabled={!everything && possible === 0}
          title={!everything && possible === 0 ? WHY_NOT[action] : undefined}
          onClick={() => everything ? actions().bulk.onMatching(action) : actions().bulk.onSelected(action)}
        >
          {label(action)} {everything ? `all ${all}…` : number(possible)}
        </button>
      ))}
      <button type="button" class="quiet" onClick={() => clearSelection(store)}>Clear</button>
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

/** What waits to be shown: new tasks, or older ones that have come to match the filter. */
function newWords(store: Store): string {
  const waiting = store.waiting.value;
  const isNew = waiting.every(({ created_at }) => Date.parse(created_at) >= store.list.value.at);
  return isNew ? count(waiting.length, "new task") : `${number(waiting.length)} more match`;
}

/** Which tasks the page shows, and of how many, in words. */
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
  const words = filterWords(view, (type) => titleOf(store, type), timeWords(store));
  return (
    <div class="list" tabIndex={-1} aria-busy={loading}>
      {error && (
        <p class="banner error" role="group" aria-label="Error">
          Could not load the list: {error}
          <a class="button" href={hrefOf(view, {})}>Retry</a>
        </p>
      )}
      {waiting > 0 && (
        <button type="button" class="new-tasks" onClick={() => actions().showNew()}>
          {waiting >= MAX_WAITING ? `${number(waiting)}+ new tasks` : newWords(store)}
        </button>
      )}
      <BulkBar store={store} />
      {order.length === 0 ? <Empty store={store} /> : (
        <table role="table">
          <caption>
            {error ? "Last list" : `Tasks${words && `: ${words}`}, ${view.order} first`}, {position(store)}
          </caption>
          <thead role="rowgroup">
            <tr role="row">
              <th role="columnheader" scope="col" class="check js">
                <HeadBox store={store} />
              </th>
              <th role="columnheader" scope="col" class="status">Status</th>
              <th role="columnheader" scope="col">Task</th>
              <th role="columnheader" scope="col" class="bar">Progress</th>
              <th
                role="columnheader"
                scope="col"
                class="when"
                aria-sort={view.order === "newest" ? "descending" : "ascending"}
              >
                <a
                  href={hrefOf(view, { order: view.order === "newest" ? "oldest" : "newest", cursor: null, first: 1 })}
                >
                  Created {view.order === "newest" ? "↓" : "↑"}
                </a>
              </th>
              <th role="columnheader" scope="col" class="took">Duration</th>
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
