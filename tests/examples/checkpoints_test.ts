/** Checkpoints: a later attempt goes on where the last one had come to. */

import * as z from "zod";
import { defineTask } from "../../queue/mod.ts";
import { assertEquals } from "../support/assert.ts";
import { reaches, withQueue } from "../support/queue.ts";

Deno.test("example: an attempt resumes from the checkpoint of the one before", async () => {
  const read: number[] = [];
  const sum = defineTask({
    type: "sum",
    title: "Sum",
    description: "Adds up numbers.",
    params: z.strictObject({ numbers: z.array(z.int()) }),
    checkpoint: z.strictObject({ next: z.int(), total: z.int() }),
    backoff: { base: 1, factor: 1, cap: 1 },
    async run(ctx) {
      let { next, total } = ctx.resume ?? { next: 0, total: 0 };
      for (; next < ctx.params.numbers.length; next++) {
        if (next === 2 && ctx.attempt === 1) throw new Error("The network broke.");
        read.push(next);
        total += ctx.params.numbers[next];
        await ctx.checkpoint({ next: next + 1, total });
      }
      return total;
    },
  });
  await withQueue({ definitions: [sum] }, async (queue) => {
    const { task } = await queue.submit({ task_type: "sum", input_params: { numbers: [1, 2, 3, 4] } });
    assertEquals((await reaches(queue, task.task.id, "SUCCESS")).task.result, 10);
    assertEquals(read, [0, 1, 2, 3]);
  });
});
