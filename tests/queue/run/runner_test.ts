import { keys } from "../../../queue/store/keys.ts";
import { Queue } from "../../../queue/queue.ts";
import { statusOf } from "../../../queue/task/record.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { FakeClock, turn } from "../../support/fake_clock.ts";
import { faulty } from "../../support/kv/faulty_kv.ts";
import { allReach, heldType, noop, reaches, withQueue } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

const batchOf = (count: number) => Array.from({ length: count }, () => ({ task_type: "noop" }));

Deno.test("a submitted task runs and ends in SUCCESS with its result", async () => {
  const held = heldType();
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    const { task } = await queue.submit({ task_type: "held", input_params: { a: 1 } });
    const handler = await held.next();
    assertEquals(handler.ctx.params, { a: 1 });
    assertEquals(statusOf(await queue.get(task.task.id)), "RUNNING");
    handler.finish({ answer: 42 });
    const ended = await reaches(queue, task.task.id, "SUCCESS");
    assertEquals(ended.task.result, { answer: 42 });
    assertEquals(ended.task.progress, 100);
    assertEquals(ended.task.attempts.map(({ outcome }) => outcome), ["success"]);
  });
});

Deno.test("a no-op task that starts with its submit costs 7 mutations from submit to SUCCESS", async () => {
  await withQueue({ concurrency: { noop: 200 } }, async (queue) => {
    // Once it has looked, the queue knows that nothing waits.
    await queue.submit({ task_type: "noop" });
    await allReach(queue, 1, "SUCCESS");
    const before = queue.commitStats.mutations;
    for (let i = 1; i <= 5; i++) {
      await queue.submitBatch(batchOf(200));
      await allReach(queue, 1 + 200 * i, "SUCCESS");
    }
    // What the store has told of already may not have been answered yet.
    await queue.stop();
    assertEquals((queue.commitStats.mutations - before) / 1_000, 7);
  });
});

Deno.test("a no-op task that waits for a slot costs 9 mutations from submit to SUCCESS", async () => {
  await withQueue({}, async (queue) => {
    await queue.pause("noop", "test");
    const before = queue.commitStats.mutations;
    for (let i = 0; i < 5; i++) await queue.submitBatch(batchOf(200));
    await queue.resume("noop");
    // The pause that goes, and the mark of it.
    const resumed = 2;
    await allReach(queue, 1_000, "SUCCESS");
    await queue.stop();
    // Each claim rewrites one fence, for all its tasks.
    const { committed } = queue.claimStats;
    ok(committed <= 1_000 / 64 + 10, `${committed} claims of 64 slots`);
    assertEquals((queue.commitStats.mutations - before - resumed - committed) / 1_000, 9);
  });
});

Deno.test("a slot is free as soon as its handler has returned, though its end is not committed yet", async () => {
  const kv = await Deno.openKv(":memory:");
  const rig = faulty(kv);
  const held = heldType("held", { concurrency: 1 });
  const queue = new Queue({ kv: rig.kv, definitions: [held.definition] });
  await queue.start();
  await queue.submit({ task_type: "held" });
  const first = await held.next();
  let stall = true;
  rig.fault = () => stall ? "silent" : null;
  first.finish();
  await turn();
  assertEquals(queue.slots(held.definition), { total: 1, running: 0 });
  stall = false;
  rig.release();
  await queue.submit({ task_type: "held" });
  (await held.next()).finish();
  await allReach(queue, 2, "SUCCESS");
  await queue.stop(2_000);
  kv.close();
  await listeningEnds(kv);
});

Deno.test("an answered pause holds, also for submits that were on their way", async () => {
  const held = heldType();
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    for (let i = 0; i < 50; i++) {
      const submit = queue.submit({ task_type: "held" }, { scope: "", key: `${i}` });
      for (let turns = 0; turns < i % 7; turns++) await Promise.resolve();
      await queue.pause("held", "test");
      const running = queue.slots(held.definition).running;
      const { task } = await submit;
      await turn();
      assertEquals(queue.slots(held.definition).running, running);
      await queue.cancel(task.task.id);
      await queue.resume("held");
    }
  });
});

Deno.test("a slot that was kept for a submit which made nothing is given to what waits", async () => {
  const held = heldType("held", { concurrency: 1 });
  await withQueue({ definitions: [held.definition, noop] }, async (queue) => {
    const later = await queue.submit({ task_type: "held", run_at: Date.now() + 1e9, unique: { key: "u" } });
    const [known] = await Promise.all([
      queue.submit({ task_type: "held", unique: { key: "u" } }, { scope: "", key: "k" }),
      queue.submit({ task_type: "held" }),
    ]);
    assertEquals([known.created, known.task.task.id], [false, later.task.task.id]);
    // Long before the next poll.
    (await held.next()).finish();
    await allReach(queue, 1, "SUCCESS");
  });
});

Deno.test("a higher priority goes first, and within one priority the older", async () => {
  const held = heldType("held", { concurrency: 1 });
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    await queue.submit({ task_type: "held", input_params: { n: 0 } });
    const first = await held.next();
    for (const [n, priority] of [[1, 0], [2, 5], [3, 5], [4, 9]]) {
      await queue.submit({ task_type: "held", input_params: { n }, priority });
    }
    const order: unknown[] = [];
    let current = first;
    for (let i = 0; i < 4; i++) {
      current.finish();
      current = await held.next();
      order.push((current.ctx.params as { n: number }).n);
    }
    current.finish();
    assertEquals(order, [4, 2, 3, 1]);
  });
});

Deno.test("a task runs at its run_at and not before", async () => {
  const clock = new FakeClock();
  const held = heldType();
  await withQueue({ definitions: [held.definition], clock }, async (queue) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held", run_at: clock.now() + 60_000 });
    await clock.advance(59_999);
    assertEquals((await queue.get(id)).task.placement?.kind, "scheduled");
    await clock.advance(2);
    const handler = await held.next();
    assertEquals(handler.ctx.id, id);
    handler.finish();
    // The queue stops on the same clock: let its waits pass.
    queue.stop();
    await clock.advance(10_000);
  });
});

Deno.test("an entry of ready without its task is removed and keeps nothing from running", async () => {
  await withQueue({}, async (queue, kv) => {
    await queue.pause("noop", "test");
    const orphan = keys.ready("noop", 0, 0, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    await kv.set(orphan, new TextEncoder().encode("0"));
    const { task: { task: { id } } } = await queue.submit({ task_type: "noop" });
    await queue.resume("noop");
    await reaches(queue, id, "SUCCESS");
    assertEquals((await kv.get(orphan)).value, null);
  });
});
