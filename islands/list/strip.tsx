/**
 * What there is at a glance: how many tasks have each status, and what each type has to do. Every number is a link to
 * the tasks that it counts.
 *
 * @module
 */

import type { JSX } from "preact";
import type { TypeInfo } from "../../queue/task/api_types.ts";
import { type Status, STATUSES } from "../../queue/task/record.ts";
import { actions } from "../app/actions.ts";
import { duration, number, time } from "../app/format.ts";
import type { Store } from "../app/state.ts";
import { can } from "../app/store.ts";
import { hrefOf, needsFacets, toggled, UNFILTERED, type View } from "../app/url.ts";
import { Icon } from "../shell/icons.tsx";

/** How many tasks have each status under the other filters, and whether there may be more. */
export function facetsOf(store: Store): { by_status: Record<Status, number>; capped: boolean } {
  const view = store.view.value;
  const { facets } = store.list.value;
  const { by_status, by_type } = store.stats.value;
  if (needsFacets(view)) return facets ?? { by_status, capped: false };
  if (view.task_types.length === 0) return { by_status, capped: false };
  const sum = (status: Status) => view.task_types.reduce((sum, type) => sum + (by_type[type]?.[status] ?? 0), 0);
  return {
    by_status: Object.fromEntries(STATUSES.map((status) => [status, sum(status)])) as Record<Status, number>,
    capped: false,
  };
}

function TypeItem({ store, info }: { store: Store; info: TypeInfo }): JSX.Element {
  const { type, title } = info;
  const view = store.view.value;
  const stats = store.stats.value;
  const { PENDING = 0, RUNNING = 0 } = stats.by_type[type] ?? {};
  const { failed = 0, failed_capped = false, run_p95 = null } = stats.last_hour[type] ?? {};
  const paused = stats.paused[type];
  const only = (filter: Partial<View>) => hrefOf(view, { ...UNFILTERED, task_types: [type], ...filter });
  const counts: [number, string, string, string][] = [
    [PENDING, "waiting", "", only({ statuses: ["PENDING"] })],
    [RUNNING, "running", "", only({ statuses: ["RUNNING"] })],
    [failed, "failed", "in the last hour", only({ statuses: ["FAILED"], ended_from: "1h" })],
  ];
  const shown = counts.filter(([value]) => value > 0);
  return (
    <li class={paused ? "type paused" : "type"}>
      <a
        class="type-name"
        data-stop
        href={hrefOf(view, { task_types: toggled(view.task_types, type), cursor: null, first: 1 })}
        aria-current={view.task_types.includes(type) ? "true" : undefined}
      >
        {title}
      </a>
      <span class="counts">
        {paused && <strong>Paused</strong>}
        {shown.map(([value, what, when, href]) => (
          <a
            key={what}
            data-stop
            class={what === "failed" ? "bad" : undefined}
            title={when && `Failed ${when}`}
            href={href}
          >
            {number(value)}
            {when && failed_capped && "+"} {what}
            {when && <span class="hidden">{when}</span>}
          </a>
        ))}
        {shown.length === 0 && !paused && <span class="muted">idle</span>}
      </span>
      <details class="menu js">
        <summary data-stop aria-label={`More about ${title}`}>
          <Icon name="more" />
        </summary>
        <div class="popup">
          <dl class="fields">
            <div>
              <dt>Failed (last hour)</dt>
              <dd>{number(failed)}</dd>
            </div>
            <div>
              <dt>p95 run time</dt>
              <dd>{run_p95 ? duration(run_p95) : "–"}</dd>
            </div>
          </dl>
          {paused && (
            <p class="meta">
              Paused by {paused.by}, {time(Date.parse(paused.at), store.now.value, store.preferences.value.time)}
              {paused.reason && `: ${paused.reason}`}
            </p>
          )}
          {can(store, "pause") && (
            <button
              type="button"
              role="switch"
              aria-checked={paused !== undefined}
              aria-label={`Pause ${title}`}
              onClick={(event) => {
                event.currentTarget.closest("details")!.open = false;
                void actions().setPaused(type, paused === undefined);
              }}
            >
              <Icon name={paused ? "play" : "pause"} />
              {paused ? "Resume this type" : "Pause this type…"}
            </button>
          )}
        </div>
      </details>
    </li>
  );
}

/** The strip above the list. */
export function Strip({ store }: { store: Store }): JSX.Element {
  const view = store.view.value;
  const { by_status, capped } = facetsOf(store);
  return (
    <div class="strip" role="toolbar" aria-label="Totals and task types">
      <ul class="totals">
        {STATUSES.map((status) => (
          <li key={status}>
            <a
              class={`total ${status.toLowerCase()}`}
              data-stop
              aria-current={view.statuses.includes(status) ? "true" : undefined}
              href={hrefOf(view, { statuses: toggled(view.statuses, status), cursor: null, first: 1 })}
            >
              <Icon name={status} />
              <span class="count">{number(by_status[status])}{capped && "+"}</span> {status}
            </a>
          </li>
        ))}
      </ul>
      <ul class="types">{store.types.map((info) => <TypeItem key={info.type} store={store} info={info} />)}</ul>
    </div>
  );
}
