/** Once only: an idempotency key for a submit that is sent again, a unique key for work that is under way. */

import * as z from "zod";
import { defineTask } from "../../queue/mod.ts";
import { assertEquals } from "../support/assert.ts";
import { withQueue } from "../support/queue.ts";

Deno.test("example: the same idempotency key and the same unique key make one task each", async () => {
  const invoice = defineTask({
    type: "invoice",
    title: "Invoice",
    description: "Writes an invoice.",
    params: z.strictObject({ order: z.int() }),
    run: ({ params }) => Promise.resolve(params.order),
  });
  await withQueue({ definitions: [invoice] }, async (queue) => {
    const submission = { task_type: "invoice", input_params: { order: 7 } };
    const key = { scope: "web shop", key: "order 7" };
    const first = await queue.submit(submission, key);
    const again = await queue.submit(submission, key);
    assertEquals([first.created, again.created, again.task.task.id], [true, false, first.task.task.id]);

    const unique = { ...submission, unique: { key: "order 8" } };
    const one = await queue.submit(unique);
    assertEquals((await queue.submit(unique)).task.task.id, one.task.task.id);
  });
});
