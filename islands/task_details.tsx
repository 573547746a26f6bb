/**
 * The open task: what it is, how far it is, what it was asked, what came out.
 *
 * @module
 */

import type { JSX } from "preact";
import type { Json, Task } from "../queue/task.ts";
import { bytes, duration, relative } from "./format.ts";
import { Fields } from "./result.tsx";
import { Progress, StatusBadge } from "./status.tsx";
import type { Store } from "./store.ts";
import { hrefOf } from "./url.ts";

function Actions({ task, store }: { task: Task; store: Store }): JSX.Element | null {
  if (!store.data.principal.may_operate) return null;
  const back = hrefOf(store.data.view, { task: task.id });
  const action = task.status === "PENDING" || task.status === "RUNNING"
    ? "cancel"
    : task.status !== "SUCCESS"
    ? "retry"
    : null;
  if (!action) return null;
  return (
    <form method="post" action={`/tasks/${task.id}/${action}`}>
      <input type="hidden" name="back" value={back} />
      <button type="submit" class={action === "cancel" ? "danger" : undefined}>
        {action === "cancel" ? "Cancel task" : "Retry task"}
      </button>
    </form>
  );
}

function Times({ task, now }: { task: Task; now: number }): JSX.Element {
  return (
    <ol class="timeline">
      <li>
        Created <time dateTime={task.created_at}>{relative(task.created_at, now)}</time>
      </li>
      {task.attempts.map((attempt) => (
        <li key={attempt.attempt}>
          Attempt {attempt.attempt}: {attempt.outcome} after{" "}
          {duration(Date.parse(attempt.completed_at) - Date.parse(attempt.started_at))}
          {attempt.error && attempt.error.message !== task.error?.message && <>– {attempt.error.message}</>}
        </li>
      ))}
      {task.status === "RUNNING" && (
        <li>
          Attempt {task.attempt}: running for {duration(now - Date.parse(task.started_at!))}
        </li>
      )}
      {task.status === "PENDING" && task.run_at && <li>Starts {relative(task.run_at, now)}</li>}
    </ol>
  );
}

function Files({ task }: { task: Task }): JSX.Element | null {
  if (task.artifacts.length === 0) return null;
  const address = (name: string) => `/api/tasks/${task.id}/artifacts/${encodeURIComponent(name)}`;
  const images = task.artifacts.filter(({ media_type }) => /^image\/(png|jpeg|webp)$/.test(media_type));
  return (
    <section>
      <h3>Files</h3>
      {images.length > 0 && (
        <ul class="images">
          {images.map(({ name, size }) => (
            <li key={name}>
              <a href={address(name)}>
                <img src={address(name)} alt={`${name}, ${bytes(size)}`} width="96" height="72" loading="lazy" />
              </a>
            </li>
          ))}
        </ul>
      )}
      <ul class="files">
        {task.artifacts.map(({ name, size, media_type }) => (
          <li key={name}>
            <a href={address(name)} download={name}>{name}</a>
            <span class="meta">{media_type} · {bytes(size)}</span>
          </li>
        ))}
      </ul>
      {task.artifacts.length > 1 && <a href={`/api/tasks/${task.id}/artifacts.zip`}>All as a zip</a>}
    </section>
  );
}

function Log({ store }: { store: Store }): JSX.Element {
  const lines = store.log.value;
  if (lines.length === 0) return <p class="muted">No log lines.</p>;
  return (
    <pre class="log" tabIndex={0} aria-label="Log">
      {lines.map((line) => (
        <span key={`${line.attempt}:${line.line}`} class={`line ${line.level}`}>
          <span class="muted">{line.at.slice(11, 23)}</span> {line.text}
          {"\n"}
        </span>
      ))}
    </pre>
  );
}

/** The open task, or that there is none by this id. */
export function TaskDetails({ store }: { store: Store }): JSX.Element | null {
  const { view, open } = store.data;
  const close = hrefOf(view, { task: null });
  if (open && "missing" in open) {
    return (
      <article class="details">
        <a class="close" href={close}>Back to the list</a>
        <h2 tabIndex={-1}>Not found</h2>
        <p>There is no task {open.missing}. It may have been deleted after its retention.</p>
      </article>
    );
  }
  const task = store.open.value;
  if (!task) return null;
  return (
    <article class="details">
      <a class="close" href={close}>Back to the list</a>
      <header>
        <StatusBadge status={task.status} />
        <h2 tabIndex={-1}>{task.title}</h2>
        <p class="meta">
          {task.task_type} · <code>{task.id}</code>
        </p>
      </header>
      {task.error && (
        <div class="error-box" role="group" aria-label="Error">
          <strong>{task.error.message}</strong>
          <span class="meta">{task.error.code}, attempt {task.attempt} of {task.max_attempts}</span>
          {task.error.stack && (
            <details>
              <summary>Stack</summary>
              <pre>{task.error.stack}</pre>
            </details>
          )}
        </div>
      )}
      <Progress task={task} />
      <Actions task={task} store={store} />
      <Times task={task} now={store.now.value} />
      {task.result !== null && (
        <section>
          <h3>Result</h3>
          <Fields of={task.result as { [key: string]: Json }} />
        </section>
      )}
      <Files task={task} />
      <section>
        <h3>Parameters</h3>
        <Fields of={task.input_params as { [key: string]: Json }} />
      </section>
      <section>
        <h3>Log</h3>
        <Log store={store} />
      </section>
    </article>
  );
}
