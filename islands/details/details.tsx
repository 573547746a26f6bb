/**
 * The open task, in sections: overview, timeline, logs, output, attempts, raw.
 *
 * @module
 */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Task } from "../../queue/task/summary.ts";
import { actions } from "../app/actions.ts";
import { canBe } from "../../queue/task/actions.ts";
import { label } from "../app/bulk_actions.ts";
import { absolute, duration, number, shortId } from "../app/format.ts";
import { Icon } from "../shell/icons.tsx";
import { StatusBadge } from "../list/status.tsx";
import type { Store } from "../app/state.ts";
import { can, titleOf } from "../app/store.ts";
import { hrefOf, type Tab, TABS } from "../app/url.ts";
import { Log } from "./log.tsx";
import { Dependencies } from "./dependencies.tsx";
import { Output } from "./output.tsx";
import { Overview } from "./overview.tsx";
import { Timeline } from "./timeline.tsx";

const NAMES: Record<Tab, string> = {
  overview: "Overview",
  timeline: "Timeline",
  logs: "Logs",
  output: "Output",
  attempts: "Attempts",
  graph: "Dependencies",
  raw: "Raw",
};

/** The parts of a task that can be done again by a new task. */
const REDO = [
  { only: "failed", title: "A new task does what this one could not do." },
  { only: "unknown", title: "A new task does it again; it may be done already." },
] as const;

function Actions({ task, store }: { task: Task; store: Store }): JSX.Element {
  const view = store.view.value;
  const back = hrefOf(view, {});
  const requested = store.requested.value.get(task.id);
  const doable = (["cancel", "retry"] as const).filter((action) => canBe(action, task) && can(store, action));
  const known = store.types.some(({ type }) => type === task.task_type);
  const offline = store.connection.value === "offline";
  return (
    <div class="buttons">
      {requested && <span class="muted">{requested.verb}… {duration(store.clock.value - requested.since)}</span>}
      {!requested && doable.map((action) => (
        <form key={action} method="post" action={`tasks/${task.id}/${action}`}>
          <input type="hidden" name="back" value={back} />
          <button
            type="submit"
            class={action === "cancel" ? "danger-quiet" : undefined}
            disabled={offline}
            title={offline ? "You are offline." : undefined}
            onClick={(event) => {
              event.preventDefault();
              if (action === "cancel") void actions().cancel(task);
              else void actions().retry(task);
            }}
          >
            {label(action)}
          </button>
        </form>
      ))}
      {can(store, "submit") && REDO.map(({ only, title }) =>
        task.redo && task.redo[only] > 0 && (
          <form key={only} method="post" action={`tasks/${task.id}/retry`}>
            <input type="hidden" name="only" value={only} />
            <input type="hidden" name="back" value={back} />
            <button type="submit" disabled={offline} title={title}>Retry {number(task.redo[only])} {only}</button>
          </form>
        )
      )}
      {can(store, "submit") && known && (
        <a class="button" href={hrefOf(view, { form: task.task_type, from: task.id })}>
          Duplicate and edit
        </a>
      )}
      {can(store, "delete") && canBe("delete", task) && (
        <button
          type="button"
          class="danger-quiet js"
          disabled={offline}
          onClick={() => actions().delete(task)}
        >
          Delete
        </button>
      )}
      <button
        type="button"
        class="quiet js"
        onClick={() => actions().copy(new URL(hrefOf(view, { form: null }), location.href).href, "The link")}
      >
        <Icon name="copy" /> Copy link
      </button>
    </div>
  );
}

function Attempts({ task, store }: { task: Task; store: Store }): JSX.Element {
  const style = store.preferences.value.time;
  if (task.attempts.length === 0 && task.status !== "RUNNING") return <p class="muted">Not started yet.</p>;
  return (
    <ol class="attempt-list">
      {task.status === "RUNNING" && (
        <li>
          <strong>Attempt {task.attempt}</strong> is running on {task.instance && shortId(task.instance)} since{" "}
          {absolute(Date.parse(task.started_at!), style)}
        </li>
      )}
      {task.attempts.toReversed().map((attempt) => (
        <li key={attempt.attempt}>
          <strong>Attempt {attempt.attempt}</strong>: {attempt.outcome} after{" "}
          {duration(Date.parse(attempt.completed_at) - Date.parse(attempt.started_at))}
          <span class="meta">
            {absolute(Date.parse(attempt.started_at), style)} · instance {shortId(attempt.instance)}
          </span>
          {attempt.error && <p class="bad">{attempt.error.code}: {attempt.error.message}</p>}
        </li>
      ))}
    </ol>
  );
}

function Raw({ task }: { task: Task }): JSX.Element {
  const text = JSON.stringify(task, null, 2);
  return (
    <section aria-label="Raw">
      <p class="result-line">
        <a href={`api/tasks/${task.id}`}>As JSON</a>
        <button type="button" class="quiet js" onClick={() => actions().copy(text, "The task")}>
          <Icon name="copy" /> Copy
        </button>
      </p>
      <pre class="raw" tabIndex={0}>{text}</pre>
    </section>
  );
}

function Tabs({ store }: { store: Store }): JSX.Element {
  const view = store.view.value;
  const [focused, setFocused] = useState<Tab>(view.tab);
  useEffect(() => setFocused(view.tab), [view.tab]);
  const onKeyDown = (event: KeyboardEvent & { currentTarget: HTMLElement }) => {
    const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, Home: -99, End: 99 };
    const step = steps[event.key];
    if (event.key === " ") {
      event.preventDefault();
      (event.target as HTMLElement).click();
    }
    if (!step) return;
    event.preventDefault();
    const at = TABS.indexOf(focused);
    const next = Math.abs(step) > 1 ? (step < 0 ? 0 : TABS.length - 1) : (at + step + TABS.length) % TABS.length;
    setFocused(TABS[next]);
    event.currentTarget.querySelectorAll<HTMLElement>("a")[next].focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label="Sections of the task" onKeyDown={onKeyDown}>
      {TABS.map((tab) => (
        <a
          key={tab}
          id={`tab-${tab}`}
          role="tab"
          aria-selected={tab === view.tab}
          aria-controls="tab-panel"
          tabIndex={tab === focused ? 0 : -1}
          href={hrefOf(view, { tab })}
        >
          {NAMES[tab]}
        </a>
      ))}
    </div>
  );
}

/** The open task, or why there is none. */
export function TaskDetails({ store, loaded, onClose }: {
  store: Store;
  /** The task that the page was loaded with: the user did not navigate to it. */
  loaded?: string | null;
  onClose?: () => void;
}): JSX.Element | null {
  const view = store.view.value;
  const open = store.open.value;
  const heading = useRef<HTMLHeadingElement>(null);
  const task = store.task.value;
  const id = view.task;
  const known = useRef(loaded);
  // Opening a task moves the focus to it; loading its page starts at the top.
  useEffect(() => {
    if (known.current !== id) heading.current?.focus({ preventScroll: true });
    if (known.current !== id) known.current = null;
  }, [id, task !== null]);
  if (!id || !open) return null;
  const close = (
    <a
      class="button quiet close"
      href={hrefOf(view, { task: null, tab: "overview" })}
      onClick={(event) => {
        if (!onClose) return;
        event.preventDefault();
        onClose();
      }}
    >
      <Icon name="back" />
      Back to the list
    </a>
  );
  const wide = (
    <a class="button quiet wide" href={hrefOf(view, { full: !view.full })}>{view.full ? "Show the list" : "Expand"}</a>
  );
  if (!task) {
    return (
      <article class="details">
        {close}
        <h2 ref={heading} tabIndex={-1}>
          {"missing" in open ? "Not found" : "failed" in open ? "Could not be loaded" : "Loading…"}
        </h2>
        {"missing" in open && <p>Task {open.missing} was not found or has expired.</p>}
        {"failed" in open && <p>{open.failed}</p>}
      </article>
    );
  }
  return (
    <article class="details">
      <p class="line details-tools">
        {close}
        {wide}
      </p>
      <header>
        <StatusBadge status={task.status} />
        <h2 ref={heading} tabIndex={-1} id="details-title">{task.title}</h2>
        <p class="meta">
          {titleOf(store, task.task_type)} · <code>{task.id}</code>
          <button
            type="button"
            class="quiet js"
            aria-label="Copy the id"
            onClick={() => actions().copy(task.id, "The id")}
          >
            <Icon name="copy" />
          </button>
        </p>
        <Actions task={task} store={store} />
      </header>
      <Tabs store={store} />
      <div id="tab-panel" role="tabpanel" aria-labelledby={`tab-${view.tab}`} class="panel">
        {view.tab === "overview" && <Overview task={task} store={store} />}
        {view.tab === "timeline" && <Timeline task={task} store={store} />}
        {view.tab === "logs" && <Log key={task.id} task={task} store={store} />}
        {view.tab === "output" && <Output task={task} store={store} />}
        {view.tab === "attempts" && <Attempts task={task} store={store} />}
        {view.tab === "graph" && <Dependencies key={task.id} task={task} store={store} />}
        {view.tab === "raw" && <Raw task={task} />}
      </div>
    </article>
  );
}
