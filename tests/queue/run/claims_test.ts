/** Claims of many tasks with one check, and what else happens to ready tasks meanwhile. */

import * as z from "zod";
import { defineTask } from "../../../queue/define.ts";
import { Queue } from "../../../queue/queue.ts";
import { CONNECT_LIMITS, FILE_LIMITS } from "../../../queue/store/commit/atomic_size.ts";
import { keys } from "../../../queue/store/keys.ts";
import { type Json, statusOf } from "../../../queue/task/record.ts";
import { checkStore } from "../../../queue/tools/check.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { turn } from "../../support/fake_clock.ts";
import { allReach, heldType, nonZero, noop, reaches, withFakeClock, withQueue } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

const batch = (count: number, more = {}) => Array.from({ length: count }, () => ({ task_type: "held", ...more }));

/** Submits tasks that wait because their type is paused. */
async function waiting(queue: Queue, count: number, more = {}): Promise<string[]> {
  await queue.pause("held", "test");
  const ids: string[] = [];
  for (let left = count; left > 0; left -= 200) {
    const { tasks } = await queue.submitBatch(batch(Math.min(200, left), more));
    ids.push(...tasks.map(({ task }) => task.id));
  }
  return ids;
}

for (const [limits, shards, most] of [[FILE_LIMITS, 1, 3], [CONNECT_LIMITS, 16, 16]] as const) {
  Deno.test(`1,000 tasks are claimed by at most ${most} commits (${limits.checks} checks an atomic, ${shards} shards)`, async () => {
    const held = heldType("held", { concurrency: 1_000 });
    await withQueue({ definitions: [held.definition], limits, shards }, async (queue) => {
      await waiting(queue, 1_000);
      await queue.resume("held");
      const all = await Promise.all(Array.from({ length: 1_000 }, () => held.next()));
      const { committed, refused } = queue.claimStats;
      ok(committed <= most, `${committed} claims`);
      assertEquals(refused, 0);
      for (const { finish } of all) finish();
      await allReach(queue, 1_000, "SUCCESS");
    });
  });
}

Deno.test("tasks that could expire, with long names and keys, are claimed in commits that fit", async () => {
  const type = "t".repeat(64);
  const held = heldType(type, { concurrency: 1_000 });
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    await queue.pause(type, "test");
    for (let i = 0; i < 4; i++) {
      await queue.submitBatch(
        Array.from({ length: 150 }, () => ({ task_type: type, expires_in_ms: 1e9, tags: ["x".repeat(64)] })),
      );
    }
    await queue.resume(type);
    for (const { finish } of await Promise.all(Array.from({ length: 600 }, () => held.next()))) finish();
    await allReach(queue, 600, "SUCCESS");
  });
});

/** A KV that calls `onRead` after each list of ready tasks of the type `held`, before it hands out what it has found. */
function afterReading(kv: Deno.Kv, onRead: () => Promise<void>): Deno.Kv {
  return new Proxy(kv, {
    get(target, name) {
      if (name !== "list") {
        const value = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      }
      return async function* (...[selector, options]: Parameters<Deno.Kv["list"]>) {
        const found = await Array.fromAsync(target.list(selector, options));
        if ("prefix" in selector && selector.prefix.join() === "ready,held") await onRead();
        yield* found;
      };
    },
  });
}

/** Runs a test with tasks that another instance has submitted, and a worker whose reads of ready tasks can be watched. */
async function withReads(
  shards: number,
  submit: (other: Queue) => Promise<string[]>,
  onRead: (other: Queue, ids: string[]) => Promise<void>,
  test: (rig: { queue: Queue; ids: string[]; held: ReturnType<typeof heldType>; kv: Deno.Kv }) => Promise<void>,
): Promise<void> {
  const kv = await Deno.openKv(":memory:");
  const held = heldType("held", { concurrency: 100 });
  const shared = { definitions: [held.definition], distributed: true, shards };
  const other = new Queue({ kv, ...shared, worker: false });
  await other.start();
  const ids = await submit(other);
  const queue = new Queue({ kv: afterReading(kv, () => onRead(other, ids)), ...shared });
  await queue.start();
  try {
    await test({ queue, ids, held, kv });
    await queue.stop(2_000);
    assertEquals((await checkStore(kv, Date.now())).problems, []);
  } finally {
    await queue.stop(2_000);
    await other.stop();
    kv.close();
    await listeningEnds(kv);
  }
}

async function submitAll(queue: Queue, count: number, more = {}): Promise<string[]> {
  const { tasks } = await queue.submitBatch(batch(count, more));
  return tasks.map(({ task }) => task.id);
}

for (const shards of [1, 16]) {
  for (const again of [false, true]) {
    const what = again ? "cancelled and retried" : "cancelled";
    Deno.test(`a claim is refused if one of its tasks was ${what} since it was read; the next is right (${shards} shards)`, async () => {
      let acted = false;
      const onRead = async (other: Queue, ids: string[]) => {
        if (acted) return;
        acted = true;
        await other.cancel(ids[7]);
        if (again) await other.retry(ids[7]);
      };
      await withReads(shards, (other) => submitAll(other, 20), onRead, async ({ queue, ids, held }) => {
        const started = await Promise.all(Array.from({ length: again ? 20 : 19 }, () => held.next()));
        if (shards === 1) ok(queue.claimStats.refused > 0);
        assertEquals(started.map(({ ctx }) => ctx.id).toSorted(), ids.filter((_, i) => again || i !== 7).toSorted());
        for (const { finish } of started) finish();
        for (const [i, id] of ids.entries()) await reaches(queue, id, i === 7 && !again ? "CANCELLED" : "SUCCESS");
      });
    });
  }
}

Deno.test("cancels that never cease do not keep a claim from its tasks: it checks each of them instead", async () => {
  let next = 199;
  let stop = false;
  // Each time the queue is read, a task at its end is cancelled.
  const onRead = async (other: Queue, ids: string[]) => {
    if (!stop && next > 50) await other.cancel(ids[next--]);
  };
  await withReads(1, (other) => submitAll(other, 200), onRead, async ({ queue, held }) => {
    const started = await Promise.all(Array.from({ length: 24 }, () => held.next()));
    const { committed, refused } = queue.claimStats;
    ok(next > 50 && committed >= 3 && refused > committed, `${committed} claims, ${refused} refused, ${next} left`);
    stop = true;
    for (const { finish } of started) finish();
    const cancelled = 199 - next;
    for (let left = 200 - 24 - cancelled; left > 0; left--) (await held.next()).finish();
    await allReach(queue, 200, "SUCCESS", "CANCELLED");
    assertEquals(nonZero(await queue.counts()).held, { SUCCESS: 200 - cancelled, CANCELLED: cancelled });
  });
});

Deno.test("a task that is cancelled while a claim reads ahead is not started; the claim is committed by then", async () => {
  let reads = 0;
  const { promise: acted, resolve } = Promise.withResolvers<number | undefined>();
  const onRead = async (other: Queue, ids: string[]) => {
    if (++reads !== 2) return;
    const { RUNNING } = (await other.counts()).held;
    await other.cancel(ids[150]);
    resolve(RUNNING);
  };
  const submit = async (other: Queue) => [...await submitAll(other, 200), ...await submitAll(other, 100)];
  await withReads(1, submit, onRead, async ({ queue, ids, held }) => {
    const started = await Promise.all(Array.from({ length: 100 }, () => held.next()));
    // A cancel in the atomic of the claim itself would have been seen by what is read after it.
    assertEquals(await acted, 100);
    for (const { finish } of started) finish();
    for (let i = 100; i < 299; i++) {
      started.push(await held.next());
      started[i].finish();
    }
    assertEquals(started.map(({ ctx }) => ctx.id).toSorted(), ids.filter((_, i) => i !== 150).toSorted());
    assertEquals(statusOf(await queue.get(ids[150])), "CANCELLED");
    await allReach(queue, 300, "SUCCESS", "CANCELLED");
  });
});

Deno.test("a task of higher priority that becomes ready while a claim reads ahead goes first", async () => {
  const held = heldType("held", { concurrency: 200 });
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    await waiting(queue, 1_000);
    await queue.resume("held");
    const first = await Promise.all(Array.from({ length: 200 }, () => held.next()));
    const urgent = await queue.submit({ task_type: "held", priority: 9 });
    for (const { finish } of first) finish();
    assertEquals((await held.next()).ctx.id, urgent.task.task.id);
  });
});

Deno.test("tasks in shards that a store no longer has are claimed too, though other tasks wait", async () => {
  const kv = await Deno.openKv(":memory:");
  const before = new Queue({ kv, definitions: [noop], shards: 16, worker: false });
  await before.start();
  await before.submitBatch(Array.from({ length: 64 }, () => ({ task_type: "noop" })));
  await before.stop();
  const shards = await Array.fromAsync(kv.list({ prefix: keys.readyOf("noop") }), ({ key }) => key[2]);
  assertEquals(new Set(shards).size, 16);
  const queue = new Queue({ kv, definitions: [noop], concurrency: { noop: 1 } });
  await queue.start();
  await allReach(queue, 64, "SUCCESS");
  await queue.stop();
  kv.close();
  await listeningEnds(kv);
});

/** A type whose first tasks end at once and whose later ones are held: it is taken for fast when it becomes slow. */
function slowingType(fast: number) {
  const started: { id: string; attempt: number; finish(): void }[] = [];
  let left = fast;
  const definition = defineTask({
    type: "held",
    title: "Slowing",
    description: "Is fast, then slow.",
    params: z.looseObject({}),
    concurrency: 4,
    run: (ctx) =>
      left-- > 0 ? Promise.resolve<Json>(null) : new Promise<Json>((resolve, reject) => {
        started.push({ id: ctx.id, attempt: ctx.attempt, finish: () => resolve(null) });
        ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason));
      }),
  });
  return { definition, started };
}

for (const how of ["slow", "pause", "cancel", "stop"] as const) {
  Deno.test(`what was claimed ahead is no attempt until it is started: ${how}`, async () => {
    const { definition, started } = slowingType(300);
    await withFakeClock({ definitions: [definition] }, async (queue, clock, kv) => {
      const ids = await waiting(queue, 400);
      await queue.resume("held");
      while (started.length < 4) await turn();
      const states = () => Promise.all(ids.map((id) => queue.get(id)));
      const waits = async () => (await states()).filter(({ run }) => run?.waiting);
      // Of those that were claimed ahead and have a slot by now, the store is told.
      let ahead = await waits();
      while (ahead.length !== 96) {
        await turn();
        ahead = await waits();
      }
      assertEquals(queue.slots(definition).running, 4);
      if (how === "slow") await clock.advance(1_000);
      if (how === "pause") await queue.pause("held", "test");
      if (how === "stop") await queue.stop();
      if (how === "cancel") {
        const { task } = await queue.cancel(ahead[3].task.id);
        assertEquals([task.status, task.attempt, task.attempts], ["CANCELLED", 0, []]);
        for (const { finish } of started) finish();
        while (started.length < 8) await turn();
        assertEquals(started.some(({ id }) => id === task.id), false);
        return;
      }
      const back = (await states()).filter(({ task, run }) => !run && task.placement?.kind === "ready");
      assertEquals(back.filter(({ task }) => task.attempt === 0).length, 96);
      assertEquals((await waits()).length, 0);
      if (how !== "stop") { for (const { finish } of started) finish(); }
      if (how === "slow") {
        while (started.length < 8) await turn();
        assertEquals(started.slice(4).map(({ attempt }) => attempt), [1, 1, 1, 1]);
      }
      assertEquals((await checkStore(kv, clock.now())).problems, []);
    });
  });
}
