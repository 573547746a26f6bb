/**
 * The filters by status, type and time as drop-downs; without a script they are selects of the form.
 *
 * @module
 */

import type { ComponentChildren, JSX } from "preact";
import { useRef } from "preact/hooks";
import { STATUSES } from "../../queue/task/record.ts";
import { number } from "../app/format.ts";
import type { Store } from "../app/state.ts";
import { titleOf } from "../app/store.ts";
import { hrefOf, toggled, type View } from "../app/url.ts";
import { SavedViews } from "./saved_views.tsx";
import { facetsOf } from "./strip.tsx";

/** Times to choose from, as the address has them. */
const AGES = {
  "": "Any time",
  "15m": "Last 15 minutes",
  "1h": "Last hour",
  "24h": "Last 24 hours",
  "7d": "Last 7 days",
};

/** A change of the filter starts at the first page. */
export const FIRST = { cursor: null, first: 1 };

/** A drop-down; without a script it is a select of the form. */
function DropDown({ label, value, children }: {
  label: string;
  value: string;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <details class="menu drop-down js">
      <summary data-stop class={value ? "chosen" : undefined}>
        {label} {value && <strong>{value}</strong>} <span aria-hidden="true">▾</span>
      </summary>
      <div class="popup">{children}</div>
    </details>
  );
}

/** A choice of a drop-down. */
function Option({ href, chosen, children }: {
  href: string;
  chosen: boolean;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <a href={href} aria-current={chosen ? "true" : undefined}>
      <span class="tick" aria-hidden="true">{chosen && "✓"}</span>
      {children}
    </a>
  );
}

/** The same as a select, for a browser without scripts. */
function Select({ name, label, chosen, options }: {
  name: string;
  label: string;
  chosen: string;
  options: Record<string, string>;
}): JSX.Element {
  const all = chosen in options ? options : { ...options, [chosen]: "As now" };
  return (
    <select class="nojs" name={name} aria-label={label}>
      {Object.entries(all).map(([value, text]) => (
        <option key={value} value={value} selected={value === chosen}>{text}</option>
      ))}
    </select>
  );
}

/** Two times of the reader's day, as a filter. */
function CreatedRange({ zone, onSearch }: {
  /** The zone of the browser, which is that of the fields. */
  zone: string;
  onSearch?: (change: Partial<View>, typing: boolean) => void;
}): JSX.Element {
  const range = useRef<HTMLDivElement>(null);
  const apply = () => {
    const [from, to] = [...range.current!.querySelectorAll("input")].map(({ value }) =>
      value && new Date(value).toISOString()
    );
    range.current!.closest("details")!.open = false;
    // Nothing entered changes nothing.
    if (!from && !to) return;
    onSearch?.({ created_from: from, created_to: to, ...FIRST }, false);
  };
  return (
    <div
      ref={range}
      class="range"
      onKeyDown={(event) => {
        if (event.key !== "Enter") return;
        event.preventDefault();
        apply();
      }}
    >
      {["From", "To"].map((name) => (
        <label key={name}>
          {name} ({zone}) <input type="datetime-local" />
        </label>
      ))}
      <button type="button" onClick={apply}>Apply</button>
    </div>
  );
}

/** The drop-downs, with the saved views. */
export function DropDowns({ store, onSearch }: {
  store: Store;
  onSearch?: (change: Partial<View>, typing: boolean) => void;
}): JSX.Element {
  const view = store.view.value;
  const { by_status, capped } = facetsOf(store);
  const age = view.created_to ? "range" : view.created_from;
  return (
    <>
      <div class="tools" role="toolbar" aria-label="Filters">
        <DropDown label="Status" value={view.statuses.join(", ")}>
          {STATUSES.map((status) => (
            <Option
              key={status}
              chosen={view.statuses.includes(status)}
              href={hrefOf(view, { statuses: toggled(view.statuses, status), ...FIRST })}
            >
              {status} <span class="muted">{number(by_status[status])}{capped && "+"}</span>
            </Option>
          ))}
        </DropDown>
        <DropDown label="Type" value={view.task_types.map((type) => titleOf(store, type)).join(", ")}>
          {store.types.map(({ type, title }) => (
            <Option
              key={type}
              chosen={view.task_types.includes(type)}
              href={hrefOf(view, { task_types: toggled(view.task_types, type), ...FIRST })}
            >
              {title}
            </Option>
          ))}
        </DropDown>
        <DropDown label="Created" value={age && (AGES[age as keyof typeof AGES] ?? "Range")}>
          {Object.entries(AGES).map(([value, text]) => (
            <Option
              key={value}
              chosen={value === age}
              href={hrefOf(view, { created_from: value, created_to: "", ...FIRST })}
            >
              {text}
            </Option>
          ))}
          <CreatedRange zone={store.preferences.value.time.zone} onSearch={onSearch} />
        </DropDown>
        <SavedViews store={store} />
      </div>
      <Select
        name="status"
        label="Status"
        chosen={view.statuses.join(",")}
        options={{ "": "Any status", ...Object.fromEntries(STATUSES.map((status) => [status, status])) }}
      />
      <Select
        name="task_type"
        label="Type"
        chosen={view.task_types.join(",")}
        options={{ "": "Any type", ...Object.fromEntries(store.types.map(({ type, title }) => [type, title])) }}
      />
      <Select name="created_from" label="Created" chosen={view.created_from} options={AGES} />
    </>
  );
}
