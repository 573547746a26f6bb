/**
 * The header: the connection state, pausing and resuming the page, and appearance settings.
 *
 * @module
 */

import type { JSX } from "preact";
import { actions } from "../app/actions.ts";
import { clockTime, count, duration } from "../app/format.ts";
import { Icon } from "./icons.tsx";
import { savePreferences } from "./preferences.ts";
import type { Connection, Preferences, Store } from "../app/state.ts";
import { can } from "../app/store.ts";
import { hrefOf } from "../app/url.ts";

const WORDS: Record<Connection, string> = {
  connecting: "Connecting…",
  live: "Live",
  catching_up: "Catching up…",
  reconnecting: "Reconnecting",
  polling: "Live (every 5 s)",
  offline: "Offline",
  signed_out: "Signed out",
};

/** The connection state in words, as it also appears in the title. */
export function connectionWords(store: Store): string {
  const state = store.connection.value;
  const age = (since: number) => `data ${duration(store.clock.value - since)} old`;
  if (store.paused.value !== null) return `Frozen · ${age(store.paused.value)}`;
  const stale = state === "reconnecting" || state === "offline";
  return stale && store.outage.value ? `${WORDS[state]} · ${age(store.outage.value.since)}` : WORDS[state];
}

/** The pill in the header. */
function ConnectionPill({ store }: { store: Store }): JSX.Element {
  const state = store.paused.value !== null ? "paused" : store.connection.value;
  return (
    <span class={`pill js ${state}`}>
      <span class="dot" aria-hidden="true" />
      {connectionWords(store)}
    </span>
  );
}

function set(store: Store, change: Partial<Preferences>): void {
  store.preferences.value = { ...store.preferences.value, ...change };
  savePreferences(store.preferences.value);
}

function Choice<T extends string>({ name, label, value, options, onChoose }: {
  name: string;
  label: string;
  value: T;
  options: Record<T, string>;
  onChoose: (value: T) => void;
}): JSX.Element {
  return (
    <fieldset class="choice">
      <legend>{label}</legend>
      {(Object.entries(options) as [T, string][]).map(([option, text]) => (
        <label key={option}>
          <input
            type="radio"
            name={name}
            value={option}
            checked={option === value}
            onChange={() => onChoose(option)}
          />
          {text}
        </label>
      ))}
    </fieldset>
  );
}

function Settings({ store }: { store: Store }): JSX.Element {
  const { theme, density, time, announce } = store.preferences.value;
  const { undelivered } = store.stats.value;
  return (
    <details class="menu settings">
      <summary aria-label="Settings" title="Settings">
        <Icon name="gear" />
      </summary>
      <div class="popup">
        <Places store={store} className="narrow-only" />
        <Choice
          name="time"
          label="Times"
          value={time.format}
          options={{ relative: "Relative", local: "Local", utc: "UTC" }}
          onChoose={(format) => set(store, { time: { ...time, format } })}
        />
        <Choice
          name="theme"
          label="Theme"
          value={theme}
          options={{ system: "System", light: "Light", dark: "Dark" }}
          onChoose={(theme) => set(store, { theme })}
        />
        <Choice
          name="density"
          label="Rows"
          value={density}
          options={{ comfortable: "Comfortable", compact: "Compact" }}
          onChoose={(density) => set(store, { density })}
        />
        <Choice
          name="announce"
          label="Screen reader announcements"
          value={announce}
          options={{ all: "My tasks", errors: "Errors only", off: "Off" }}
          onChoose={(announce) => set(store, { announce })}
        />
        {can(store, "submit") && <a href="suppressions">Suppression list</a>}
        {can(store, "submit") && <a href="undelivered">Undelivered messages{undelivered > 0 && ` (${undelivered})`}</a>}
        {can(store, "delete") && <a href="alerts">Alerts</a>}
        {can(store, "delete") && <a href="audit">Audit log</a>}
        <a href="docs">API</a>
        <button type="button" onClick={() => store.help.value = true}>Keyboard shortcuts</button>
        <p class="meta">{store.caller.name}, {store.caller.role}</p>
        {store.signedIn && (
          <form method="post" action="logout">
            <button type="submit">Sign out</button>
          </form>
        )}
      </div>
    </details>
  );
}

/** What else the page can show. */
function Places({ store, className }: { store: Store; className: string }): JSX.Element {
  const view = store.view.value;
  return (
    <>
      <a
        class={`js ${className}`}
        href={hrefOf(view, { charts: view.charts ? null : "1h" })}
        aria-current={view.charts ? "true" : undefined}
      >
        <Icon name="chart" />
        Charts
      </a>
      <a class={className} href="schedules">
        <Icon name="clock" />
        Schedules
      </a>
    </>
  );
}

/** The header's controls. */
export function Header({ store, onPause }: { store: Store; onPause?: () => void }): JSX.Element {
  const view = store.view.value;
  const paused = store.paused.value !== null;
  const held = store.held.value;
  const [first] = store.types;
  return (
    <>
      <a class="brand" href="./">Millrace</a>
      <ConnectionPill store={store} />
      <button
        type="button"
        class="js quiet"
        aria-pressed={paused}
        onClick={onPause}
        title={paused ? "Unfreeze (p)" : "Freeze (p)"}
      >
        <Icon name={paused ? "play" : "pause"} />
        <span class="wide-only">
          {paused ? `Unfreeze${held > 0 ? ` (${count(held, "change")} waiting)` : ""}` : "Freeze view"}
        </span>
        <span class="hidden narrow-only">{paused ? "Unfreeze view" : "Freeze view"}</span>
      </button>
      <span class="space" />
      <Places store={store} className="quiet button wide-only" />
      {can(store, "submit") && first
        ? (
          <a class="button primary" href={hrefOf(view, { form: first.type, from: null })} title="New task (n)">
            <Icon name="plus" />
            <span class="wide-only">New task</span>
            <span class="narrow-only">New</span>
          </a>
        )
        : <span class="muted">Read-only access</span>}
      <Settings store={store} />
    </>
  );
}

/** The banner above everything while something is wrong. */
export function Banner({ store, onRetry }: { store: Store; onRetry?: () => void }): JSX.Element | null {
  const { clock, outage, connection, preferences, view } = store;
  if (connection.value === "signed_out") {
    return (
      <div class="banner error">
        <span>
          You were signed out at {clockTime(store.freshAt.value, preferences.value.time)}. The data is out of date.
        </span>
        <a class="button" href={`login?back=${encodeURIComponent(hrefOf(view.value, {}))}`}>Sign in</a>
      </div>
    );
  }
  const lost = outage.value;
  if (lost && clock.value - lost.since >= 5_000) {
    const left = Math.max(0, Math.ceil((lost.next - clock.value) / 1000));
    return (
      <div class="banner warn">
        <span>
          Live connection lost at {clockTime(lost.since, preferences.value.time)}. Retrying
          {left > 0 ? ` in ${left} s` : " now"} (attempt {lost.tries}).
        </span>
        <button type="button" onClick={onRetry}>Retry now</button>
      </div>
    );
  }
  const types = Object.entries(store.stats.value.paused).filter(([type]) =>
    view.value.task_types.length === 0 || view.value.task_types.includes(type)
  );
  if (types.length === 0) return null;
  return (
    <>
      {types.map(([type, info]) => {
        const title = store.types.find((one) => one.type === type)?.title ?? type;
        const waiting = store.stats.value.by_type[type]?.PENDING ?? 0;
        return (
          <div class="banner" key={type}>
            <span>
              <strong>{title}</strong> is paused — {count(waiting, "task")} waiting.{info.reason && ` ${info.reason}`}
            </span>
            {can(store, "pause") && (
              <button type="button" class="js" onClick={() => actions().setPaused(type, false)}>Resume</button>
            )}
          </div>
        );
      })}
    </>
  );
}
