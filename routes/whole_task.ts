/**
 * A whole task as `GET /api/tasks/{id}` and the page show it.
 *
 * @module
 */

import type { Queue } from "../queue/queue.ts";
import { type Task, taskOf, type TaskState } from "../queue/task.ts";

/** Reads what belongs to a task beside its record. */
export async function wholeTask(queue: Queue, state: TaskState): Promise<Task> {
  const { id } = state.task;
  const [artifacts, retriedAs] = await Promise.all([queue.artifacts(id), queue.retriedAs(id)]);
  return taskOf(state, artifacts, queue.retention, retriedAs);
}
