import { allReach, type Held, heldType, noop, reaches, withQueue } from "../../support/queue.ts";
import type { Callbacks } from "../../../queue/actions/callbacks.ts";
import type { Core } from "../../../queue/core.ts";
import { silent } from "../../../queue/log.ts";
import { Queue } from "../../../queue/queue.ts";
import { EffectWorker } from "../../../queue/background/effect_worker.ts";
import { totalOf } from "../../../queue/store/listing.ts";
import { statusOf } from "../../../queue/task/record.ts";
import { assertEquals, assertRejects, ok } from "../../support/assert.ts";
import { FakeClock, turn } from "../../support/fake_clock.ts";
import { countingReads } from "../../support/kv/reads_kv.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

const idOf = (submitted: { task: { task: { id: string } } }) => submitted.task.task.id;

/** Keys of the store below these prefixes. */
async function left(kv: Deno.Kv, ...prefixes: string[]): Promise<Deno.KvKey[]> {
  const found: Deno.KvKey[] = [];
  for (const prefix of prefixes) for await (const { key } of kv.list({ prefix: [prefix] })) found.push(key);
  return found;
}

Deno.test("a task waits until all its parents are SUCCESS and reads their results in its order", async () => {
  const held = heldType();
  await withQueue({ definitions: [held.definition] }, async (queue, kv) => {
    const { tasks: [a, b, child] } = await queue.submitBatch([
      { task_type: "held", ref: "a" },
      { task_type: "held", ref: "b" },
      { task_type: "held", ref: "c", depends_on: ["b", "a"] },
    ]);
    const first = await held.next();
    const second = await held.next();
    assertEquals((await queue.get(child.task.id)).task.placement, { kind: "blocked", unmet: 2 });
    first.finish({ n: first.ctx.id === a.task.id ? "a" : "b" });
    await reaches(queue, first.ctx.id, "SUCCESS");
    assertEquals(statusOf(await queue.get(child.task.id)), "PENDING");
    second.finish({ n: second.ctx.id === a.task.id ? "a" : "b" });
    const handler = await held.next();
    assertEquals(handler.ctx.id, child.task.id);
    assertEquals((await handler.ctx.parents()).map(({ id, result }) => [id, result]), [
      [b.task.id, { n: "b" }],
      [a.task.id, { n: "a" }],
    ]);
    // A parent is kept while something that depends on it has not ended.
    await assertRejects(queue.delete(a.task.id), { code: "illegal_transition" });
    handler.finish();
    await reaches(queue, child.task.id, "SUCCESS");
    assertEquals(await left(kv, "child", "effect", "blocked"), []);
    await queue.delete(a.task.id);
  });
});

Deno.test("when a parent ends otherwise, all that depend on it are CANCELLED with that reason, down the line", async () => {
  const held = heldType("held", { maxAttempts: 1 });
  await withQueue({ definitions: [held.definition] }, async (queue, kv) => {
    const { tasks: states } = await queue.submitBatch([
      { task_type: "held", ref: "a" },
      { task_type: "held", ref: "b", depends_on: ["a"] },
      { task_type: "held", ref: "c", depends_on: ["b"] },
      { task_type: "held", depends_on: ["c", "a"] },
    ]);
    const ids = states.map(({ task }) => task.id);
    (await held.next()).fail(new Error("no"));
    const ends = await Promise.all(ids.slice(1).map((id) => reaches(queue, id, "CANCELLED")));
    assertEquals(ends.map(({ task }) => task.error?.code), Array(3).fill("dependency_failed"));
    assertEquals(ends[0].task.error?.message, "Cancelled because “Held” failed.");
    assertEquals(await left(kv, "child", "blocked"), []);

    // Retried from the top: the first runs again, the second waits for it once more.
    await queue.retry(ids[0]);
    await queue.retry(ids[1]);
    assertEquals((await queue.get(ids[1])).task.placement, { kind: "blocked", unmet: 1 });
    (await held.next()).finish(1);
    const again = await held.next();
    assertEquals([again.ctx.id, (await again.ctx.parents())[0].result], [ids[1], 1]);
    again.finish();
    await reaches(queue, ids[1], "SUCCESS");
  });
});

Deno.test("a task may depend on one that waits, runs, has succeeded or has failed already", async () => {
  const held = heldType("held", { maxAttempts: 1 });
  await withQueue({ definitions: [held.definition, noop] }, async (queue) => {
    const done = idOf(await queue.submit({ task_type: "noop" }));
    await reaches(queue, done, "SUCCESS");
    const failed = idOf(await queue.submit({ task_type: "held" }));
    (await held.next()).fail(new Error("no"));
    await reaches(queue, failed, "FAILED");
    const later = idOf(await queue.submit({ task_type: "noop", run_at: Date.now() + 3_600_000 }));
    const running = idOf(await queue.submit({ task_type: "held" }));
    const handler = await held.next();

    const children = await Promise.all(
      [done, failed, later, running].map((parent) => queue.submit({ task_type: "noop", depends_on: [parent] })),
    );
    const [ofDone, ofFailed, ofLater, ofRunning] = children.map(idOf);
    await reaches(queue, ofDone, "SUCCESS");
    await reaches(queue, ofFailed, "CANCELLED");
    assertEquals(statusOf(await queue.get(ofRunning)), "PENDING");
    handler.finish();
    await reaches(queue, ofRunning, "SUCCESS");
    await queue.cancel(later);
    assertEquals((await reaches(queue, ofLater, "CANCELLED")).task.error?.code, "dependency_failed");
  });
});

Deno.test("circles, unknown parents, refs that are there twice or nowhere are refused and store nothing", async () => {
  await withQueue({ worker: false }, async (queue, kv) => {
    const nobody = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    const pointers = async (work: Promise<unknown>) => {
      let found: string[] = [];
      await assertRejects(work, (error: unknown) => {
        found = (error as { issues: { pointer: string }[] }).issues.map(({ pointer }) => pointer);
        return true;
      });
      return found;
    };
    const batch = (...tasks: { ref?: string; depends_on?: string[] }[]) =>
      queue.submitBatch(tasks.map((task) => ({ task_type: "noop", ...task })));
    assertEquals(
      await pointers(batch({ ref: "a", depends_on: ["b"] }, { ref: "b", depends_on: ["a"] })),
      ["/tasks/0/depends_on"],
    );
    assertEquals(await pointers(batch({ ref: "a", depends_on: ["a"] })), ["/tasks/0/depends_on"]);
    assertEquals(await pointers(batch({ ref: "a" }, { ref: "a" })), ["/tasks/1/ref"]);
    assertEquals(await pointers(batch({}, { depends_on: ["x"] })), ["/tasks/1/depends_on/0"]);
    assertEquals(await pointers(batch({}, { depends_on: [nobody] })), ["/tasks/1/depends_on/0"]);
    assertEquals(await pointers(queue.submit({ task_type: "noop", depends_on: [nobody] })), ["/depends_on/0"]);
    assertEquals(await left(kv, "task", "child", "effect"), []);
  });
});

Deno.test("a parent with 500 dependents lets all of them go", async () => {
  const held = heldType();
  await withQueue({ definitions: [held.definition, noop] }, async (queue) => {
    const parent = idOf(await queue.submit({ task_type: "held" }));
    const handler = await held.next();
    for (let i = 0; i < 5; i++) {
      await queue.submitBatch(Array.from({ length: 100 }, () => ({ task_type: "noop", depends_on: [parent] })));
    }
    handler.finish();
    await allReach(queue, 501, "SUCCESS");
  });
});

Deno.test("tasks with one concurrency key run one after another, in order; other keys beside them", async () => {
  const held = heldType();
  await withQueue({ definitions: [held.definition] }, async (queue, kv) => {
    const submit = async (key: string, priority = 0) =>
      idOf(await queue.submit({ task_type: "held", concurrency_key: key, priority }));
    const first = await submit("ana");
    const one = await held.next();
    assertEquals(one.ctx.id, first);
    const second = await submit("ana");
    const third = await submit("ana");
    const urgent = await submit("ana", 9);
    const other = await submit("ben");
    const beside = await held.next();
    assertEquals(beside.ctx.id, other);
    assertEquals((await queue.get(second)).task.placement?.kind, "limited");
    const order: string[] = [];
    let current: Held = one;
    for (let i = 0; i < 3; i++) {
      current.finish();
      current = await held.next();
      order.push(current.ctx.id);
    }
    assertEquals(order, [urgent, second, third]);
    current.finish();
    beside.finish();
    await allReach(queue, 5, "SUCCESS");
    // Cancelled before it could start: it must not keep its key.
    await queue.pause("held", "test");
    await queue.cancel(await submit("cleo"));
    await queue.resume("held");
    const last = await submit("cleo");
    (await held.next()).finish();
    await reaches(queue, last, "SUCCESS");
    // The key is given back after the end of its last task.
    while ((await left(kv, "key_holders", "key_waiting", "effect")).length > 0) await turn();
  });
});

Deno.test("between its attempts a task gives its concurrency key away, and takes it back in turn", async () => {
  const held = heldType("held", { backoff: { base: 1, factor: 1, cap: 1 } });
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    const first = idOf(await queue.submit({ task_type: "held", concurrency_key: "k" }));
    const one = await held.next();
    const second = idOf(await queue.submit({ task_type: "held", concurrency_key: "k" }));
    one.fail(new Error("again"));
    const seen: string[] = [];
    for (let i = 0; i < 2; i++) {
      const handler = await held.next();
      seen.push(handler.ctx.id);
      handler.finish();
      await reaches(queue, handler.ctx.id, "SUCCESS");
    }
    assertEquals(seen.sort(), [first, second].sort());
  });
});

Deno.test("a type may run several tasks of one key at once, and never more", async () => {
  const held = heldType("held", { concurrencyPerKey: 3 });
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    await queue.submitBatch(Array.from({ length: 30 }, () => ({ task_type: "held", concurrency_key: "k" })));
    const running = [await held.next(), await held.next(), await held.next()];
    for (let i = 3; i < 30; i++) {
      assertEquals(totalOf(await queue.counts(), { statuses: ["RUNNING"] }), 3);
      running.shift()!.finish();
      running.push(await held.next());
    }
    for (const handler of running) handler.finish();
    await allReach(queue, 30, "SUCCESS");
  });
});

Deno.test("what waits for a key or a parent survives a restart", async () => {
  const kv = await Deno.openKv(":memory:");
  const held = heldType();
  const first = new Queue({ kv, definitions: [held.definition] });
  await first.start();
  await first.submitBatch([
    { task_type: "held", ref: "a", concurrency_key: "k" },
    { task_type: "held", concurrency_key: "k" },
    { task_type: "held", depends_on: ["a"] },
  ]);
  await held.next();
  await first.stop(2_000);

  const second = new Queue({ kv, definitions: [held.definition] });
  await second.start();
  for (let i = 0; i < 3; i++) (await held.next()).finish();
  await allReach(second, 3, "SUCCESS");
  await second.stop(2_000);
  kv.close();
  await listeningEnds(kv);
});

Deno.test("60 tasks that each depend on the same 60 are notified without rereading each other, and run", async () => {
  const kv = await Deno.openKv(":memory:");
  let reads = 0;
  const counted = countingReads(kv, () => reads++);
  const queue = new Queue({ kv: counted, definitions: [noop] });
  await queue.start();
  await queue.pause("noop", "test");
  const parents = Array.from({ length: 60 }, () => ({ task_type: "noop" }));
  const { tasks } = await queue.submitBatch(parents);
  const depends_on = tasks.map(({ task }) => task.id);
  for (let i = 0; i < 6; i++) {
    await queue.submitBatch(Array.from({ length: 10 }, () => ({ task_type: "noop", depends_on })));
  }
  reads = 0;
  await queue.resume("noop");
  await allReach(queue, 120, "SUCCESS");
  // A task is read a few times for each round in which some of its parents have ended, not once for each parent.
  ok(reads < 20_000, `${reads} reads`);
  await queue.stop();
  kv.close();
  await listeningEnds(kv);
});

Deno.test("a retry of what was never started for its parents names the one to retry first; one that was started needs none", async () => {
  const held = heldType("held", { maxAttempts: 1 });
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    const { tasks: [a, b] } = await queue.submitBatch([
      { task_type: "held", ref: "a" },
      { task_type: "held", depends_on: ["a"] },
    ]);
    (await held.next()).fail(new Error("no"));
    await reaches(queue, b.task.id, "CANCELLED");
    await assertRejects(queue.retry(b.task.id), /is FAILED: retry it first/);
    await queue.retry(a.task.id);
    (await held.next()).finish(1);
    await reaches(queue, a.task.id, "SUCCESS");
    await queue.retry(b.task.id);
    (await held.next()).fail(new Error("no"));
    await reaches(queue, b.task.id, "FAILED");
    await queue.delete(a.task.id);
    await queue.retry(b.task.id);
    const last = await held.next();
    assertEquals(await last.ctx.parents(), []);
    last.finish();
    await reaches(queue, b.task.id, "SUCCESS");
  });
});

Deno.test("a task whose parent was retried before it was notified waits for the next end", async () => {
  const kv = await Deno.openKv(":memory:");
  const held = heldType("held", { maxAttempts: 1 });
  // Without a worker nobody tells anybody: the mark of the failure is still there when the parent runs again.
  const front = new Queue({ kv, definitions: [held.definition], worker: false });
  await front.start();
  const { tasks: [parent, child] } = await front.submitBatch([
    { task_type: "held", ref: "p" },
    { task_type: "held", depends_on: ["p"] },
  ]);
  await front.cancel(parent.task.id);
  await front.retry(parent.task.id);
  await front.stop();
  const queue = new Queue({ kv, definitions: [held.definition] });
  await queue.start();
  (await held.next()).finish(1);
  (await held.next()).finish(2);
  await reaches(queue, child.task.id, "SUCCESS", "CANCELLED");
  assertEquals(statusOf(await queue.get(child.task.id)), "SUCCESS");
  await queue.stop(2_000);
  kv.close();
  await listeningEnds(kv);
});

Deno.test("a running parent is watched only until another instance has released its dependents", async () => {
  const held = heldType();
  await withQueue({ definitions: [held.definition] }, async (queue, kv) => {
    const parent = idOf(await queue.submit({ task_type: "held" }));
    const handler = await held.next();
    await queue.submit({ task_type: "held", depends_on: [parent] });
    const clock = new FakeClock();
    // It has nothing to write: the other instance is faster.
    const core = {
      kv,
      clock,
      log: silent,
      registry: queue.registry,
      notifier: { on: () => () => {} },
    } as unknown as Core;
    const other = new EffectWorker(core, null as unknown as Callbacks);
    const untilWatching = async (count: number) => {
      for (let turns = 0; turns < 1_000 && other.watching !== count; turns++) await turn();
      assertEquals(other.watching, count);
    };
    other.start();
    await untilWatching(1);
    handler.finish();
    (await held.next()).finish();
    while ((await left(kv, "effect")).length > 0) await turn();
    await clock.advance(60_000);
    await untilWatching(0);
    await other.stop();
  });
});
