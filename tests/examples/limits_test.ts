/** Concurrency keys and rate limits: how many tasks of a kind run at once, and how many start in a time. */

import * as z from "zod";
import { defineTask } from "../../queue/mod.ts";
import { assertEquals } from "../support/assert.ts";
import { reaches, withQueue } from "../support/queue.ts";

Deno.test("example: tasks with one concurrency key run one after another", async () => {
  const running = new Map<string, number>();
  const most = new Map<string, number>();
  const sync = defineTask({
    type: "sync",
    title: "Sync",
    description: "Synchronizes a customer.",
    params: z.strictObject({ customer: z.string() }),
    async run({ params: { customer } }) {
      const now = (running.get(customer) ?? 0) + 1;
      running.set(customer, now);
      most.set(customer, Math.max(now, most.get(customer) ?? 0));
      await Promise.resolve();
      running.set(customer, now - 1);
      return null;
    },
  });
  await withQueue({ definitions: [sync] }, async (queue) => {
    const { tasks } = await queue.submitBatch(["a", "a", "b", "a"].map((customer) => ({
      task_type: "sync",
      input_params: { customer },
      concurrency_key: customer,
    })));
    for (const { task } of tasks) await reaches(queue, task.id, "SUCCESS");
    assertEquals([...most].sort(), [["a", 1], ["b", 1]]);
  });
});

Deno.test("example: a rate limit lets two tasks start in an hour; the third waits", async () => {
  const call = defineTask({
    type: "call",
    title: "Call",
    description: "Calls an API that allows two calls an hour.",
    params: z.strictObject({}),
    rateLimit: "2/h",
    run: () => Promise.resolve(null),
  });
  await withQueue({ definitions: [call] }, async (queue) => {
    const { tasks } = await queue.submitBatch(Array(3).fill({ task_type: "call" }));
    await reaches(queue, tasks[0].task.id, "SUCCESS");
    await reaches(queue, tasks[1].task.id, "SUCCESS");
    assertEquals(await queue.counts(), { call: { SUCCESS: 2, PENDING: 1 } });
  });
});
