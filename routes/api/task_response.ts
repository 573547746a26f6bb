/**
 * A whole task as `GET /api/tasks/{id}` and the page show it.
 *
 * @module
 */

import { ALERT_TYPE } from "../../queue/alerts/rule.ts";
import { DELIVERY_TYPE } from "../../queue/task/callback_url.ts";
import type { Queue } from "../../queue/queue.ts";
import { foundOrNull } from "../../queue/task/errors.ts";
import type { Json, TaskError, TaskState } from "../../queue/task/record.ts";
import { type Task, taskOf } from "../../queue/task/summary.ts";
import { mayActAs } from "../access/auth.ts";
import type { Principal } from "../env.ts";

/** Related tasks whose titles are told. */
const NAMED = 40;

/** Reads a task with everything that belongs to it, as far as the reader may see it. */
export async function taskResponse(queue: Queue, state: TaskState, reader: Principal): Promise<Task> {
  const { id } = state.task;
  const { task_type, result, uploads } = state.task;
  const [artifacts, retriedAs, files] = await Promise.all([
    queue.artifacts.list(id),
    queue.retriedAs(id),
    uploads.length > 0 ? queue.uploads.infos(uploads) : [],
  ]);
  const { depends_on, retried_from, schedule_id } = state.task;
  const related = [...depends_on, ...retried_from ? [retried_from] : [], ...retriedAs].slice(0, NAMED);
  const [titles, schedule] = await Promise.all([
    related.length > 0 ? queue.titles(related) : {},
    schedule_id ? foundOrNull(queue.schedules.get(schedule_id)) : null,
  ]);
  const redo = result === null ? null : queue.registry.get(task_type)?.redo?.left(result) ?? null;
  return shownTo(
    reader,
    taskOf(state, artifacts, queue.retention, {
      retried_as: retriedAs,
      redo,
      files,
      titles,
      schedule_name: schedule?.name ?? null,
    }),
  );
}

/** A task without what only operators may see: stacks with paths, and secrets in the query of a URL. */
function shownTo(reader: Principal, whole: Task): Task {
  const task = whole.task_type === ALERT_TYPE && !mayActAs(reader, "admin") ? withoutChannel(whole) : whole;
  if (mayActAs(reader, "operator")) return task;
  const bare = (error: TaskError | null) => error && { code: error.code, message: error.message };
  const url = (task.input_params as { url?: Json } | null)?.url;
  return {
    ...task,
    error: bare(task.error),
    attempts: task.attempts.map((attempt) => ({ ...attempt, error: bare(attempt.error) })),
    callback_url: task.callback_url && withoutQuery(task.callback_url),
    input_params: task.task_type === DELIVERY_TYPE && typeof url === "string"
      ? { ...task.input_params as Record<string, Json>, url: withoutQuery(url) }
      : task.input_params,
  };
}

/** A notice without the address of its channel, which lets anyone write there. */
function withoutChannel(task: Task): Task {
  const { channel, ...rest } = task.input_params as { channel: { kind: string } };
  return { ...task, input_params: { ...rest, channel: { kind: channel.kind } } };
}

function withoutQuery(text: string): string {
  const url = URL.parse(text);
  if (!url) return "";
  return `${url.origin}${url.pathname}${url.search ? "?…" : ""}`;
}
