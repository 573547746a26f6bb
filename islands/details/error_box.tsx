/**
 * What went wrong: the message, the first line of the stack that is the handler's, and the whole stack on demand.
 *
 * @module
 */

import type { JSX } from "preact";
import type { TaskError } from "../../queue/task/record.ts";
import type { Task } from "../../queue/task/summary.ts";
import { actions } from "../app/actions.ts";
import { Icon } from "../shell/icons.tsx";

/** The first stack frame in the handler's own code. */
function ownFrame(stack: string): string | null {
  const frames = stack.split("\n").filter((line) => /^\s*at /.test(line));
  return (frames.find((line) => !/node_modules|ext:|node:|npm:/.test(line)) ?? frames[0])?.trim() ?? null;
}

/** The error of a task. */
export function ErrorBox({ task, error }: { task: Task; error: TaskError }): JSX.Element {
  const frame = error.stack ? ownFrame(error.stack) : null;
  return (
    <div class="error-box" role="group" aria-label="Error">
      <strong>{error.message}</strong>
      <span class="meta">{error.code} · attempt {task.attempt}</span>
      {frame && <code>{frame}</code>}
      {error.stack && (
        <details>
          <summary>Show full stack</summary>
          <pre tabIndex={0}>{error.stack}</pre>
        </details>
      )}
      <button type="button" class="quiet js" onClick={() => actions().copy(error.stack ?? error.message, "The error")}>
        <Icon name="copy" /> Copy error
      </button>
    </div>
  );
}
