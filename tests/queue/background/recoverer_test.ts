import { Queue } from "../../../queue/queue.ts";
import { readTask } from "../../../queue/store/reads.ts";
import { statusOf } from "../../../queue/task/record.ts";
import { assertEquals, assertRejects, ok } from "../../support/assert.ts";
import { faulty, type FaultyKv } from "../../support/kv/faulty_kv.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { allReach, fullCount, heldType, nonZero, noop } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

interface Instance {
  queue: Queue;
  clock: FakeClock;
  held: ReturnType<typeof heldType>;
  store: FaultyKv;
}

/** Two instances on one store, each with its own clock: one can sleep while the other goes on. */
async function withTwo(
  test: (
    a: Instance,
    b: Instance,
    kv: Deno.Kv,
  ) => Promise<void>,
): Promise<void> {
  const kv = await Deno.openKv(":memory:");
  const make = (): Instance => {
    const clock = new FakeClock();
    const store = faulty(kv);
    const held = heldType("held", { deaf: true });
    const definitions = [held.definition, noop];
    const queue = new Queue({ kv: store.kv, clock, definitions, distributed: true, leaseMs: 15_000 });
    return { queue, clock, held, store };
  };
  const a = make();
  const b = make();
  await a.queue.start();
  try {
    await test(a, b, kv);
  } finally {
    const stopped = Promise.all([a.queue.stop(), b.queue.stop()]);
    for (let i = 0; i < 20; i++) await Promise.all([a.clock.advance(1_000), b.clock.advance(1_000)]);
    await stopped;
    kv.close();
    await listeningEnds(kv);
  }
}

Deno.test("an instance that was recovered while it slept cannot write its late results, and starts over", async () => {
  await withTwo(async (a, b, kv) => {
    const { task: { task: { id } } } = await a.queue.submit({ task_type: "held" });
    const sleeper = await a.held.next();
    const first = a.queue.instance;
    await b.queue.start();

    // Only b's time goes on: a sleeps past its lease.
    const taken = b.held.next();
    for (let i = 0; i < 10; i++) await b.clock.advance(3_000);
    const heir = await taken;
    assertEquals([heir.ctx.id, heir.ctx.attempt], [id, 2]);

    // a wakes up and finishes what it held.
    sleeper.finish({ late: true });
    await assertRejects(sleeper.ctx.checkpoint({ late: true }));
    while (a.queue.instance === first) await a.clock.advance(100);
    ok(sleeper.ctx.signal.aborted);
    const during = await b.queue.get(id);
    assertEquals([statusOf(during), during.run?.instance], ["RUNNING", b.queue.instance]);

    heir.finish({ result: "b" });
    while (statusOf(await b.queue.get(id)) === "RUNNING") await b.clock.advance(50);
    const ended = await b.queue.get(id);
    assertEquals([statusOf(ended), ended.task.result], ["SUCCESS", { result: "b" }]);
    assertEquals(ended.task.attempts.map(({ outcome }) => outcome), ["interrupted", "success"]);

    // a works again, under its new id.
    await a.queue.submit({ task_type: "noop" });
    while ((await a.queue.counts()).noop.SUCCESS !== 1) await a.clock.advance(50);
    assertEquals(nonZero(await a.queue.counts()), await fullCount(kv));
  });
});

Deno.test("a living instance is not recovered, whatever the wall clocks say", async () => {
  await withTwo(async (a, b) => {
    await a.queue.submit({ task_type: "held" });
    await a.held.next();
    b.clock.set(b.clock.now() + 365 * 24 * 3_600_000);
    await b.queue.start();
    const before = a.queue.instance;
    for (let i = 0; i < 20; i++) {
      await a.clock.advance(3_000);
      await b.clock.advance(3_000);
    }
    assertEquals(a.queue.instance, before);
    assertEquals(nonZero(await b.queue.counts()), { held: { RUNNING: 1 } });
  });
});

Deno.test("cancel reaches a task that another instance runs", async () => {
  await withTwo(async (a, b) => {
    const { task: { task: { id } } } = await a.queue.submit({ task_type: "held" });
    const handler = await a.held.next();
    await b.queue.start();
    const answer = b.queue.cancel(id);
    let cancelled: Awaited<typeof answer> | null = null;
    answer.then((state) => cancelled = state);
    for (let i = 0; i < 40 && !cancelled; i++) await Promise.all([a.clock.advance(50), b.clock.advance(50)]);
    assertEquals(statusOf(await answer), "CANCELLED");
    ok(handler.ctx.signal.aborted);
  });
});

Deno.test("cancel of a task whose holder sleeps is answered after 2 s as still running, and kept by the recovery", async () => {
  await withTwo(async (a, b) => {
    const { task: { task: { id } } } = await a.queue.submit({ task_type: "held" });
    await a.held.next();
    await b.queue.start();
    a.store.fault = () => "silent";
    const answer = b.queue.cancel(id);
    for (let i = 0; i < 50; i++) await b.clock.advance(50);
    assertEquals(statusOf(await answer), "RUNNING");
    for (let i = 0; i < 10; i++) await b.clock.advance(3_000);
    assertEquals(statusOf(await b.queue.get(id)), "CANCELLED");
    a.store.fault = () => null;
    a.store.release();
  });
});

Deno.test("a graceful stop hands unfinished tasks back and leaves nothing to recover", async () => {
  const kv = await Deno.openKv(":memory:");
  const held = heldType();
  const first = new Queue({ kv, definitions: [held.definition] });
  await first.start();
  const { task: { task: { id } } } = await first.submit({ task_type: "held" });
  const handler = await held.next();
  await handler.ctx.checkpoint({ done: 1 });
  await first.stop(2_000);
  assertEquals(statusOf((await readTask(kv, id))!), "PENDING");
  const left: Deno.KvKey[] = [];
  for (const prefix of ["run", "instance"]) {
    for await (const { key } of kv.list({ prefix: [prefix] })) left.push(key);
  }
  assertEquals(left, []);

  const second = new Queue({ kv, definitions: [held.definition] });
  await second.start();
  const resumed = await held.next();
  assertEquals([resumed.ctx.id, resumed.ctx.resume], [id, { done: 1 }]);
  resumed.finish();
  await allReach(second, 1, "SUCCESS");
  await second.stop();
  kv.close();
  await listeningEnds(kv);
});
