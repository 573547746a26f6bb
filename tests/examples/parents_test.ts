/** Dependencies in a batch: a task starts when all its parents have succeeded, and reads their results. */

import * as z from "zod";
import { defineTask } from "../../queue/mod.ts";
import { assertEquals } from "../support/assert.ts";
import { reaches, withQueue } from "../support/queue.ts";

Deno.test("example: a batch of two pages and a report that waits for both", async () => {
  const page = defineTask({
    type: "page",
    title: "Page",
    description: "Counts the words of a text.",
    params: z.strictObject({ text: z.string() }),
    run: ({ params }) => Promise.resolve(params.text.split(" ").length),
  });
  const report = defineTask({
    type: "report",
    title: "Report",
    description: "Adds up what its parents have counted.",
    params: z.strictObject({}),
    async run(ctx) {
      const parents = await ctx.parents();
      return parents.reduce((sum, { result }) => sum + (result as number), 0);
    },
  });
  await withQueue({ definitions: [page, report] }, async (queue) => {
    const { tasks } = await queue.submitBatch([
      { task_type: "page", ref: "first", input_params: { text: "one two three" } },
      { task_type: "page", ref: "second", input_params: { text: "four five" } },
      { task_type: "report", depends_on: ["first", "second"] },
    ]);
    assertEquals((await reaches(queue, tasks[2].task.id, "SUCCESS")).task.result, 5);
  });
});
