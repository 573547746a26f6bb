/**
 * A process with a queue on a file, for tests that kill it. Arguments: store, side-effect log, how many tasks to
 * submit, how many tasks finish before the rest hang. It prints a line when it hangs with full slots, and one when
 * every task has ended.
 */

import * as z from "zod";
import { defineTask } from "../../queue/define.ts";
import { prepareStore } from "../../queue/tools/store_file.ts";
import { lockStore } from "../../queue/tools/owner_lock.ts";
import { Queue } from "../../queue/queue.ts";
import { readTasks } from "../../queue/store/reads.ts";
import { allReach, until } from "../support/queue.ts";

const [path, log, submit, finish] = Deno.args;
let left = Number(finish);
const hanging: string[] = [];
const SLOTS = 50;

const effect = defineTask({
  type: "effect",
  title: "Effect",
  description: "Appends a line.",
  params: z.strictObject({}),
  concurrency: SLOTS,
  async run(ctx) {
    if (left <= 0) {
      if (hanging.push(ctx.id) === SLOTS) void announce();
      await new Promise(() => {});
    }
    left--;
    await Deno.writeTextFile(log, `${ctx.id} ${ctx.attempt}\n`, { append: true });
    return { done: true };
  },
});

/** Says that the tasks hang, once the store says so too. */
async function announce(): Promise<void> {
  await until(queue, async () => {
    const states = await readTasks(kv, hanging);
    return states.every((state) => state?.run && !state.run.waiting) ? true : null;
  });
  console.log("hanging");
}

await prepareStore(path);
await lockStore(path);
const kv = await Deno.openKv(path);
const queue = new Queue({ kv, definitions: [effect] });
await queue.start();
for (let n = Number(submit); n > 0; n -= 50) {
  await queue.submitBatch(Array.from({ length: Math.min(50, n) }, () => ({ task_type: "effect" })));
}
console.log(`submitted`);
const total = Object.values((await queue.counts()).effect ?? {}).reduce((sum, n) => sum + n, 0);
await allReach(queue, total, "SUCCESS", "FAILED", "CANCELLED");
await queue.stop();
kv.close();
console.log("ended");
Deno.exit(0);
