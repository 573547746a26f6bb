/**
 * The schedules: what is submitted repeatedly, when next, and controls to pause and resume it.
 *
 * @module
 */

import "../app/shared.ts";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { actions } from "../app/actions.ts";
import { absolute, relative } from "../app/format.ts";
import { problemOf } from "../app/navigate.ts";
import type { Store } from "../app/state.ts";
import { can, titleOf, toast } from "../app/store.ts";
import { hrefOf } from "../app/url.ts";

interface ShownSchedule {
  id: string;
  name: string;
  cron: string;
  timezone: string;
  paused: boolean;
  next_times: string[];
  last_at: string | null;
  last_task_id: string | null;
  last_error: string | null;
  task_type: string;
  created_by: string;
}

function Schedule({ schedule, store, onAct }: {
  schedule: ShownSchedule;
  store: Store;
  onAct: (path: string, method: string, done: string) => void;
}): JSX.Element {
  const { id, name, cron, timezone, paused, next_times, last_at, last_task_id, last_error, task_type } = schedule;
  const style = { ...store.preferences.value.time };
  const now = store.clock.value;
  const full = (at: string) => absolute(Date.parse(at), style.format === "utc" ? style : { ...style, format: "local" });
  return (
    <li class="schedule">
      <h3>{name}</h3>
      <p class="meta">
        {titleOf(store, task_type)} · <code>{cron}</code> · {timezone} · by {schedule.created_by}
      </p>
      {paused ? <p class="note">Paused</p> : (
        <details>
          <summary>
            {next_times[0]
              ? <>Next {relative(Date.parse(next_times[0]), now)}, {full(next_times[0])}</>
              : "No upcoming times"}
          </summary>
          <ol class="times">{next_times.map((at) => <li key={at}>{full(at)}</li>)}</ol>
        </details>
      )}
      {last_at && (
        <p class="meta">
          Last {relative(Date.parse(last_at), now)}
          {last_task_id && (
            <>
              : <a href={hrefOf(store.view.value, { task: last_task_id, tab: "overview" })}>its task</a>
            </>
          )}
        </p>
      )}
      {last_error && <p class="bad">{last_error}</p>}
      {can(store, "schedule") && (
        <div class="buttons">
          <button type="button" onClick={() => onAct(`${id}/trigger`, "POST", `${name}: task submitted.`)}>
            Run now
          </button>
          <button
            type="button"
            onClick={() =>
              onAct(`${id}/${paused ? "resume" : "pause"}`, "POST", `${name} is ${paused ? "resumed" : "paused"}.`)}
          >
            {paused ? "Resume" : "Pause"}
          </button>
          <button
            type="button"
            class="danger-quiet"
            onClick={async () => {
              const sure = await actions().requests.confirm({
                title: `Delete the schedule “${name}”?`,
                lines: ["Tasks already created are kept."],
                yes: "Delete schedule",
                danger: true,
              });
              if (sure) onAct(id, "DELETE", `${name} was deleted.`);
            }}
          >
            Delete
          </button>
        </div>
      )}
    </li>
  );
}

/** All schedules. */
export function Schedules({ store }: { store: Store }): JSX.Element | null {
  const view = store.view.value;
  const [schedules, setSchedules] = useState<ShownSchedule[] | null>(null);
  const [failed, setFailed] = useState<string | null>(null);
  const read = async () => {
    try {
      const answer = await fetch("api/schedules");
      if (!answer.ok) throw new Error(await problemOf(answer));
      setSchedules((await answer.json()).schedules);
      setFailed(null);
    } catch (error) {
      setFailed((error as Error).message);
    }
  };
  useEffect(() => {
    if (!view.schedules) return;
    void read();
    const timer = setInterval(() => document.hidden || store.paused.value !== null || void read(), 10_000);
    return () => clearInterval(timer);
  }, [view.schedules]);
  if (!view.schedules) return null;
  const onAct = async (path: string, method: string, done: string) => {
    try {
      const answer = await fetch(`api/schedules/${path}`, { method });
      if (!answer.ok) throw new Error(await problemOf(answer));
      await answer.body?.cancel();
      toast(store, { kind: "done", text: done });
    } catch (error) {
      toast(store, { kind: "error", text: (error as Error).message });
    }
    await read();
  };
  const [first] = store.types;
  return (
    <section class="panel-box" aria-labelledby="schedules-title">
      <header class="dialog-head">
        <h2 id="schedules-title">Schedules</h2>
        {can(store, "schedule") && first && (
          <a class="button" href={hrefOf(view, { form: view.task_types[0] ?? first.type, from: null })}>New schedule</a>
        )}
        <a class="button quiet" href={hrefOf(view, { schedules: false })}>Close</a>
      </header>
      {failed && <p class="banner error">Schedules could not be loaded: {failed}</p>}
      {schedules === null
        ? !failed && <p class="muted">Loading…</p>
        : schedules.length === 0
        ? <p class="muted">No schedules yet. Create one in a task's form: More options, Repeat.</p>
        : (
          <ul class="schedules">
            {schedules.map((schedule) => (
              <Schedule
                key={schedule.id}
                schedule={schedule}
                store={store}
                onAct={onAct}
              />
            ))}
          </ul>
        )}
    </section>
  );
}
