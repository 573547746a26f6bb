import { Queue } from "../../../queue/queue.ts";
import { statusOf } from "../../../queue/task/record.ts";
import { assertEquals, assertRejects } from "../../support/assert.ts";
import { driven, turn } from "../../support/fake_clock.ts";
import { heldType, noop, withFakeClock } from "../../support/queue.ts";

Deno.test("a task that is not started by its expires_at is CANCELLED with that reason; one that was started is not", async () => {
  const held = heldType("held", { concurrency: 1 });
  await withFakeClock({ definitions: [held.definition] }, async (queue, clock, kv) => {
    const started = await queue.submit({ task_type: "held", expires_in_ms: 60_000 });
    const handler = await held.next();
    const waiting = await queue.submit({ task_type: "held", expires_in_ms: 60_000 });
    const blocked = await queue.submit({
      task_type: "held",
      expires_in_ms: 30_000,
      depends_on: [started.task.task.id],
    });
    const id = waiting.task.task.id;
    await clock.advance(59_999);
    assertEquals(statusOf(await queue.get(id)), "PENDING");
    while (statusOf(await queue.get(id)) === "PENDING") await clock.advance(1);
    const expired = await queue.get(id);
    assertEquals([statusOf(expired), expired.task.error?.code], ["CANCELLED", "expired"]);
    assertEquals(statusOf(await queue.get(blocked.task.task.id)), "CANCELLED");
    assertEquals(statusOf(await queue.get(handler.ctx.id)), "RUNNING");
    for await (const { key } of kv.list({ prefix: ["expiry"] })) throw new Error(`left: ${key.join()}`);
    handler.finish();
    const retried = await queue.retry(id);
    assertEquals(retried.task.expires_at, clock.now() + 60_000);
    (await held.next()).finish();
  });
});

Deno.test("a slot that becomes free after the expiry starts nothing that has expired", async () => {
  const held = heldType();
  await withFakeClock({ definitions: [held.definition, noop], worker: false }, async (queue, clock, kv) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held", expires_in_ms: 1_000 });
    clock.set(clock.now() + 2_000);
    const worker = new Queue({ kv, clock, definitions: [held.definition] });
    await worker.start();
    while (statusOf(await queue.get(id)) === "PENDING") await turn();
    assertEquals((await queue.get(id)).task.error?.code, "expired");
    await driven(clock, worker.stop());
  });
});

Deno.test("ended tasks are kept by their status, or for as long as they say themselves", async () => {
  const DAY = 86_400_000;
  const retention = { SUCCESS: DAY, FAILED: 3 * DAY, CANCELLED: 2 * DAY };
  await withFakeClock({ worker: false, retention }, async (queue, clock, kv) => {
    const cancelled = async (more = {}) => {
      const { task: { task: { id } } } = await queue.submit({ task_type: "noop", ...more });
      await queue.cancel(id);
      return id;
    };
    const plain = await cancelled();
    const short = await cancelled({ retention_ms: DAY });
    const long = await cancelled({ retention_ms: 5 * DAY });
    const there = async () => {
      await queue.clean();
      return (await queue.list({}, 10)).states.map(({ task }) => task.id).sort();
    };
    clock.set(clock.now() + DAY + 1);
    assertEquals(await there(), [plain, long].sort());
    await assertRejects(queue.get(short), { code: "not_found" });
    clock.set(clock.now() + DAY);
    assertEquals(await there(), [long]);
    clock.set(clock.now() + 3 * DAY);
    assertEquals(await there(), []);
    for await (const { key } of kv.list({ prefix: ["retention"] })) throw new Error(`left: ${key.join()}`);
  });
});
