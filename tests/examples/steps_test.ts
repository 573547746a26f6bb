/** Steps: what has finished once is not done again by a later attempt. */

import * as z from "zod";
import { defineTask } from "../../queue/mod.ts";
import { assertEquals } from "../support/assert.ts";
import { reaches, withQueue } from "../support/queue.ts";

Deno.test("example: a step runs once per task, however often the task is tried", async () => {
  const charged: string[] = [];
  const order = defineTask({
    type: "order",
    title: "Order",
    description: "Charges a card and ships a parcel.",
    params: z.strictObject({ customer: z.string() }),
    backoff: { base: 1, factor: 1, cap: 1 },
    async run(ctx) {
      const receipt = await ctx.step("charge", () => {
        charged.push(ctx.params.customer);
        return `receipt for ${ctx.params.customer}`;
      });
      if (ctx.attempt === 1) throw new Error("The carrier did not answer.");
      return { receipt, shipped: true };
    },
  });
  await withQueue({ definitions: [order] }, async (queue) => {
    const { task } = await queue.submit({ task_type: "order", input_params: { customer: "Ada" } });
    const { task: { result, attempt } } = await reaches(queue, task.task.id, "SUCCESS");
    assertEquals([result, attempt, charged], [{ receipt: "receipt for Ada", shipped: true }, 2, ["Ada"]]);
  });
});
