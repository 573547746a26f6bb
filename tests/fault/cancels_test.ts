/** Cancels of many tasks while many instances claim them. */

import { Queue } from "../../queue/queue.ts";
import { IllegalTransitionError } from "../../queue/task/errors.ts";
import { statusOf, type TaskState } from "../../queue/task/record.ts";
import { readTasks } from "../../queue/store/reads.ts";
import { checkStore } from "../../queue/tools/check.ts";
import { assertEquals, ok } from "../support/assert.ts";
import { allReach, noop } from "../support/queue.ts";
import { listeningEnds } from "../../queue/watch/messages.ts";

const TASKS = 10_000;
const INSTANCES = 8;
/** Cancels at once. */
const AT_ONCE = 200;

Deno.test(`${TASKS} tasks are cancelled while ${INSTANCES} instances claim them: each ends as it was answered, and once`, async () => {
  const kv = await Deno.openKv(":memory:");
  const runs = new Map<string, number>();
  const counted = {
    ...noop,
    concurrency: 2,
    run: async (ctx: { id: string }) => {
      runs.set(ctx.id, (runs.get(ctx.id) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, 1));
      return null;
    },
  };
  const shared = { kv, definitions: [counted], distributed: true };
  const asker = new Queue({ ...shared, worker: false });
  await asker.start();
  const ids: string[] = [];
  for (let i = 0; i < TASKS; i += 200) {
    const { tasks } = await asker.submitBatch(Array.from({ length: 200 }, () => ({ task_type: "noop" })));
    ids.push(...tasks.map(({ task }) => task.id));
  }
  const queues = Array.from({ length: INSTANCES }, () => new Queue(shared));
  await Promise.all(queues.map((queue) => queue.start()));
  const answers = new Map<string, TaskState | null>();
  const left = ids.toReversed();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let id = left.pop(); id !== undefined; id = left.pop()) {
      answers.set(
        id,
        await asker.cancel(id).catch((error) => {
          // It has ended before.
          if (error instanceof IllegalTransitionError) return null;
          throw error;
        }),
      );
    }
  }));
  await allReach(asker, TASKS, "SUCCESS", "CANCELLED");
  const ended = (await readTasks(kv, ids)).map((state) => state!);
  for (const state of ended) {
    const { id } = state.task;
    const answer = answers.get(id);
    if (answer === null) assertEquals([statusOf(state), runs.get(id)], ["SUCCESS", 1]);
    else if (answer!.run === null) assertEquals([id, statusOf(state)], [id, "CANCELLED"]);
    ok((runs.get(id) ?? 0) <= 1);
    if (statusOf(state) === "SUCCESS") assertEquals(runs.get(id), 1);
  }
  const cancelled = ended.filter((state) => statusOf(state) === "CANCELLED").length;
  ok(cancelled > 0 && cancelled < TASKS, `${cancelled} of ${TASKS} were cancelled`);
  await Promise.all([...queues, asker].map((queue) => queue.stop()));
  assertEquals((await checkStore(kv, Date.now())).problems, []);
  kv.close();
  await listeningEnds(kv);
});
