import { delay, systemClock } from "../../../queue/task/clock.ts";
import { assertEquals, assertRejects } from "../../support/assert.ts";
import { heldType, noop, reaches, withQueue } from "../../support/queue.ts";

async function keysOf(kv: Deno.Kv, ...names: string[]): Promise<Deno.KvKey[]> {
  const found: Deno.KvKey[] = [];
  for (const name of names) for await (const { key } of kv.list({ prefix: [name] })) found.push(key);
  return found;
}

Deno.test("a task that left nothing is deleted without a look for it; one that logged is deleted with its log", async () => {
  const held = heldType();
  await withQueue(
    { definitions: [held.definition, noop], retention: { SUCCESS: 0, FAILED: 0, CANCELLED: 0 } },
    async (queue, kv) => {
      const bare = (await queue.submit({ task_type: "noop" })).task.task.id;
      await reaches(queue, bare, "SUCCESS");
      assertEquals((await queue.get(bare)).task.record_only, true);
      const logging = (await queue.submit({ task_type: "held" })).task.task.id;
      const handler = await held.next();
      handler.ctx.log.info("something");
      handler.finish();
      await reaches(queue, logging, "SUCCESS");
      assertEquals((await queue.get(logging)).task.record_only, false);
      // Whoever is submitted in the place of one that left nothing leaves an entry with it.
      await queue.submit({ task_type: "noop", retried_from: bare, run_at: Date.now() + 3_600_000 });
      await delay(systemClock, 5);
      await queue.clean();
      assertEquals((await keysOf(kv, "log", "retried_as", "tombstone", "index")).length, 1);
      await assertRejects(queue.get(bare), { code: "not_found" });
    },
  );
});
