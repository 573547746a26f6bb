/**
 * The five totals. Each is a filter.
 *
 * @module
 */

import type { JSX } from "preact";
import { STATUSES } from "../../queue/task/record.ts";
import { number } from "../app/format.ts";
import { Icon } from "../shell/icons.tsx";
import type { Store } from "../app/state.ts";
import { hrefOf, toggled } from "../app/url.ts";

/** Counts by status. */
export function Totals({ store }: { store: Store }): JSX.Element {
  const view = store.view.value;
  const counts = store.stats.value.by_status;
  return (
    <ul class="totals">
      {STATUSES.map((status) => (
        <li key={status}>
          <a
            class={`total ${status.toLowerCase()}`}
            aria-current={view.statuses.includes(status) ? "true" : undefined}
            href={hrefOf(view, { statuses: toggled(view.statuses, status), cursor: null, first: 1 })}
          >
            <span class="count">{number(counts[status])}</span>
            <span class="name">
              <Icon name={status} />
              {status}
            </span>
          </a>
        </li>
      ))}
    </ul>
  );
}
