/**
 * The task types: the work of each, and whether it is paused.
 *
 * @module
 */

import type { JSX } from "preact";
import type { TypeInfo } from "../../queue/task/api_types.ts";
import { actions } from "../app/actions.ts";
import { duration, number, time } from "../app/format.ts";
import type { Store } from "../app/state.ts";
import { can } from "../app/store.ts";
import { hrefOf, toggled } from "../app/url.ts";

function TypeItem({ store, info }: { store: Store; info: TypeInfo }): JSX.Element {
  const { type, title } = info;
  const view = store.view.value;
  const stats = store.stats.value;
  const { PENDING: waiting = 0, RUNNING: running = 0 } = stats.by_type[type] ?? {};
  const hour = stats.last_hour[type];
  const paused = stats.paused[type];
  return (
    <li class={paused ? "type paused" : "type"}>
      <a
        href={hrefOf(view, { task_types: toggled(view.task_types, type), cursor: null, first: 1 })}
        aria-current={view.task_types.includes(type) ? "true" : undefined}
      >
        {title}
      </a>
      <dl>
        <div>
          <dt>waiting</dt>
          <dd>{number(waiting)}</dd>
        </div>
        <div>
          <dt>running</dt>
          <dd>{number(running)}</dd>
        </div>
        <div title="In the last hour">
          <dt>failed, 1 h</dt>
          <dd class={hour?.failed ? "bad" : undefined}>{number(hour?.failed ?? 0)}</dd>
        </div>
        <div title="95% of successful runs in the last hour took no longer than this">
          <dt>p95 run</dt>
          <dd>{hour?.run_p95 ? duration(hour.run_p95) : "–"}</dd>
        </div>
      </dl>
      {can(store, "pause") && (
        <button
          type="button"
          role="switch"
          class="switch js"
          aria-checked={paused !== undefined}
          aria-label={`Pause ${title}`}
          onClick={() => actions().setPaused(type, paused === undefined)}
        >
          {paused ? "Paused" : "Pause"}
        </button>
      )}
      {paused && (
        <p class="meta">
          by {paused.by} {time(Date.parse(paused.at), store.now.value, store.preferences.value.time)}
        </p>
      )}
    </li>
  );
}

/** The list of types. */
export function Types({ store }: { store: Store }): JSX.Element {
  return (
    <ul class="types">
      {store.types.map((info) => <TypeItem key={info.type} store={store} info={info} />)}
    </ul>
  );
}
