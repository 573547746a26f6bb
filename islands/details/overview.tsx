/**
 * The overview of a task.
 *
 * @module
 */

import type { JSX } from "preact";
import { isTerminal, type Json } from "../../queue/task/record.ts";
import type { Task } from "../../queue/task/summary.ts";
import { count, duration, number, shortId, time } from "../app/format.ts";
import type { Store } from "../app/state.ts";
import { can } from "../app/store.ts";
import { hrefOf } from "../app/url.ts";
import type { Schema } from "../form/schema/schema.ts";
import { Progress } from "../list/status.tsx";
import { durations } from "../list/task_row.tsx";
import { ErrorBox } from "./error_box.tsx";
import { isImages, isMail, Outcomes } from "./outcomes.tsx";
import { FieldList } from "./value.tsx";

function summaryOf(result: Json): { [key: string]: Json } {
  if (typeof result !== "object" || result === null || Array.isArray(result)) return { result };
  const plain = Object.entries(result).filter(([, value]) => value === null || typeof value !== "object");
  return Object.fromEntries(plain.slice(0, 8));
}

/** The parameters that counted: those of sample data only without the user's own. */
function countedParams(params: { [key: string]: Json }, properties: Record<string, Schema>): { [key: string]: Json } {
  const isOwn = Object.keys(params).some((name) => properties[name]?.["x-data"] === "own");
  const entries = Object.entries(params).filter(([name]) => !isOwn || properties[name]?.["x-data"] !== "sample");
  return Object.fromEntries(entries);
}

/** "2 of 3", or how it came to more starts than it may fail. */
function attemptWords({ attempt, max_attempts, actions, attempts }: Task): string {
  const retries = actions.filter(({ action }) => action === "retry").length;
  const interrupted = attempts.filter(({ outcome }) => outcome === "interrupted").length;
  const why = [
    retries > 0 && `${count(retries, "retry", "retries")} by hand`,
    interrupted > 0 && `${number(interrupted)} interrupted`,
  ].filter(Boolean);
  return why.length > 0 ? `${number(attempt)} · ${why.join(", ")}` : `${number(attempt)} of ${number(max_attempts)}`;
}

/** Other tasks by their titles; those that cannot be read by their ids. */
function TaskLinks({ ids, titles, store, label }: {
  ids: string[];
  titles: Record<string, string>;
  store: Store;
  label: string;
}): JSX.Element | null {
  if (ids.length === 0) return null;
  return (
    <p class="note">
      {label} {ids.slice(0, 20).map((id, i) => (
        <span key={id}>
          {i > 0 && ", "}
          <a href={hrefOf(store.view.value, { task: id, tab: "overview" })}>
            {titles[id] ?? `task ${shortId(id)}`}
          </a>
        </span>
      ))}
      {ids.length > 20 && ` and ${number(ids.length - 20)} more`}
    </p>
  );
}

/** The overview: what went wrong, when it ran, its result and its parameters. */
export function Overview({ task, store }: { task: Task; store: Store }): JSX.Element {
  const view = store.view.value;
  const style = store.preferences.value.time;
  const now = store.now.value;
  const properties = (store.types.find(({ type }) => type === task.task_type)?.params.properties ?? {}) as Record<
    string,
    Schema
  >;
  const when = (at: string | null) => at === null ? null : time(Date.parse(at), now, style);
  const { wait, run } = durations(task, now);
  const facts: [string, JSX.Element | string | null][] = [
    ["Started", task.status === "PENDING" ? null : when(task.started_at)],
    ["Finished", when(task.completed_at)],
    ["Took", run === null ? null : duration(run)],
    [task.status === "PENDING" ? "Waiting" : "Waited", duration(wait)],
    ["Created", when(task.created_at)],
    ["Starts", task.status === "PENDING" ? when(task.run_at) : null],
    ["Attempts", attemptWords(task)],
    ["Priority", task.priority > 0 ? number(task.priority) : null],
    ["Timeout", duration(task.timeout * 1000)],
    ["Instance", task.instance && shortId(task.instance)],
    ["Submitted by", task.submitted_by],
    [
      "Schedule",
      task.schedule_id && (
        <a key="schedule" href={`schedules?id=${task.schedule_id}`}>
          {task.schedule_name ?? shortId(task.schedule_id)}
        </a>
      ),
    ],
    ["Tags", task.tags.join(", ") || null],
    ["Key", task.concurrency_key],
    ["Expires", when(task.expires_at)],
    ["Auto-deletes", when(task.delete_at)],
    ["Callback URL", task.callback_url],
  ];
  const files = new Map(
    task.files.map((
      file,
    ) => [file.id, { ...file, href: can(store, "submit") ? `api/tasks/${task.id}/files/${file.id}` : null }]),
  );
  return (
    <>
      {task.error && task.status !== "CANCELLED" && <ErrorBox task={task} error={task.error} />}
      {task.error && task.status === "CANCELLED" && <p class="note">{task.error.message}</p>}
      {(!task.error || !isTerminal(task.status)) && <Progress task={task} store={store} />}
      <TaskLinks ids={task.depends_on} titles={task.titles} store={store} label="Depends on" />
      <TaskLinks
        ids={task.retried_from ? [task.retried_from] : []}
        titles={task.titles}
        store={store}
        label="Copy of"
      />
      <TaskLinks ids={task.retried_as} titles={task.titles} store={store} label="Copied as" />
      <dl class="fields">
        {facts.filter(([, value]) => value !== null).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {task.result !== null && (
        <section>
          <h3>Result</h3>
          {isMail(task.result) || isImages(task.result)
            ? <Outcomes result={task.result} />
            : <FieldList of={summaryOf(task.result)} />}
          <p>
            <a href={hrefOf(view, { tab: "output" })}>
              View output{task.artifacts.length > 0 && ` (${count(task.artifacts.length, "file")})`}
            </a>
          </p>
        </section>
      )}
      <section>
        <h3>Parameters</h3>
        <FieldList
          of={countedParams(task.input_params as { [key: string]: Json }, properties)}
          schema={properties}
          files={files}
        />
      </section>
    </>
  );
}
