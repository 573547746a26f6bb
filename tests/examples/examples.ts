/** What the examples share: a queue on a store in memory, and a wait for the end of a task. */

import { type AnyTaskDefinition, Queue, statusOf, type TaskState } from "../../queue/mod.ts";

/** Runs an example with a started queue, and closes everything after it. */
export async function withQueue(
  definitions: AnyTaskDefinition[],
  example: (queue: Queue) => Promise<void>,
): Promise<void> {
  const kv = await Deno.openKv(":memory:");
  const queue = new Queue({ kv, definitions });
  await queue.start();
  try {
    await example(queue);
  } finally {
    await queue.stop();
    kv.close();
  }
}

/** Waits until a task has ended; its result is in `task.result`. */
export async function ended(queue: Queue, id: string): Promise<TaskState> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const isOver = (state: TaskState) => !["PENDING", "RUNNING"].includes(statusOf(state));
  const unsubscribe = await queue.stream.subscribe(({ changes }) => {
    if (changes.some((change) => change.id === id && change.state && isOver(change.state))) resolve();
  });
  try {
    if (!isOver(await queue.get(id))) await promise;
    return await queue.get(id);
  } finally {
    unsubscribe();
  }
}
