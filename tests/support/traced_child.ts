/** A program with a queue of its own whose one task has two steps, one of which fails once. */

import * as z from "zod";
import { defineTask, Queue } from "../../queue/mod.ts";
import { reaches } from "./queue.ts";

let fails = true;
const stepped = defineTask({
  type: "stepped",
  title: "Stepped",
  description: "Has two steps.",
  params: z.strictObject({}),
  backoff: { base: 0, factor: 1, cap: 0 },
  async run(ctx) {
    await ctx.step("first", () => 1);
    await ctx.step("second", () => {
      if (fails) throw new Error(`failed: ${fails = false}`);
      return 2;
    });
    return null;
  },
});
const kv = await Deno.openKv(":memory:");
const queue = new Queue({ kv, definitions: [stepped], tracing: true });
await queue.start();
const traceparent = Deno.args[0];
const { task: { task } } = await queue.submit({ task_type: "stepped", traceparent });
await reaches(queue, task.id, "SUCCESS");
await queue.stop();
kv.close();
