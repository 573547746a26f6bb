import type { QueueOptions } from "../../../queue/options.ts";
import { Queue } from "../../../queue/queue.ts";
import { assertEquals, assertRejects, ok } from "../../support/assert.ts";
import { decode } from "../../../queue/store/codec.ts";
import { driven, FakeClock } from "../../support/fake_clock.ts";
import { fullCount, nonZero, noop } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

const all = (ms: number) => ({ SUCCESS: ms, FAILED: ms, CANCELLED: ms });
const DAY = 24 * 3_600_000;

async function withClock(
  test: (queue: Queue, kv: Deno.Kv, clock: FakeClock) => Promise<void>,
  retentionMs = 7 * DAY,
  options: Partial<QueueOptions> = {},
): Promise<void> {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const queue = new Queue({ kv, clock, definitions: [noop], worker: false, retention: all(retentionMs), ...options });
  await queue.start();
  try {
    await test(queue, kv, clock);
  } finally {
    await queue.stop();
    kv.close();
    await listeningEnds(kv);
  }
}

async function keysOf(kv: Deno.Kv, ...names: string[]): Promise<Deno.KvKey[]> {
  const found: Deno.KvKey[] = [];
  for (const name of names) for await (const { key } of kv.list({ prefix: [name] })) found.push(key);
  return found;
}

Deno.test("an ended task is deleted after its retention with everything of it, and one that waits is kept", async () => {
  await withClock(async (queue, kv, clock) => {
    const ended = (await queue.submit({ task_type: "noop" })).task.task.id;
    const waiting = (await queue.submit({ task_type: "noop" })).task.task.id;
    await queue.cancel(ended);
    clock.set(clock.now() + 7 * DAY - 1_000);
    await queue.clean();
    assertEquals((await queue.get(ended)).task.id, ended);
    clock.set(clock.now() + 2_000);
    // A log of more pages than one atomic takes, and two who clean at once.
    for (let page = 0; page < 1_200; page++) await kv.set(["log", ended, 1, page], new Uint8Array(1));
    await Promise.all([queue.clean(), queue.clean()]);
    assertEquals(await keysOf(kv, "log"), []);
    await assertRejects(queue.get(ended), { code: "not_found" });
    assertEquals((await queue.get(waiting)).task.id, waiting);
    assertEquals(nonZero(await queue.counts()), await fullCount(kv));
    assertEquals((await keysOf(kv, "task", "index")).length, 2);
  });
});

Deno.test("the change feed is kept 15 minutes; a token from before then asks for a resync", async () => {
  await withClock(async (queue, _kv, clock) => {
    await queue.submit({ task_type: "noop" });
    const old = await queue.stream.head();
    await queue.submit({ task_type: "noop" });
    ok(await queue.stream.replay(old));
    // The newest commit is kept, however old: the one before it is what goes.
    await queue.submit({ task_type: "noop" });
    clock.set(clock.now() + 16 * 60_000);
    await queue.clean();
    assertEquals(await queue.stream.replay(old), null);
    const now = await queue.stream.head();
    assertEquals((await queue.stream.replay(now))?.changes, []);
  });
});

Deno.test("an upload that no task names goes after 24 hours with its chunks, and one that a task names stays", async () => {
  await withClock(async (queue, kv, clock) => {
    const stream = () => new Blob([new Uint8Array(200_000)]).stream();
    await queue.uploads.store("lost.csv", "text/csv", stream(), 1_000_000);
    const kept = await queue.uploads.store("kept.csv", "text/csv", stream(), 1_000_000);
    await kv.set(["upload_ref", kept.id, "some-task"], new Uint8Array());
    clock.set(clock.now() + DAY + 1);
    await queue.clean();
    assertEquals((await keysOf(kv, "upload")).map((key) => key[1]), [kept.id]);
    const blobs = await keysOf(kv, "blob", "blob_pending");
    assertEquals(new Set(blobs.map((key) => key[1])), new Set([kept.file.blob]));
  });
});

Deno.test("a file that was never finished is removed once its writer has been silent for 15 minutes", async () => {
  await withClock(async (queue, kv, clock) => {
    await kv.set(["blob_pending", "b"], new TextEncoder().encode(JSON.stringify({ at: clock.now() })));
    await kv.set(["blob", "b", 0], new Uint8Array(10));
    await queue.clean();
    assertEquals((await keysOf(kv, "blob")).length, 1);
    clock.set(clock.now() + 16 * 60_000);
    await queue.clean();
    assertEquals(await keysOf(kv, "blob", "blob_pending"), []);
  });
});

Deno.test("ended tasks that others still wait for do not stand in the way of those behind them", async () => {
  const options = { janitor: { tasks: { intervalMs: 60_000, batch: 3, limit: 5 } } };
  await withClock(
    async (queue, _kv, clock) => {
      const submit = async (depends_on?: string[]) =>
        (await queue.submit({ task_type: "noop", ...depends_on ? { depends_on } : {} })).task.task.id;
      const parents: string[] = [];
      for (let i = 0; i < 7; i++) parents.push(await submit());
      const child = await submit(parents);
      const free: string[] = [];
      for (let i = 0; i < 6; i++) free.push(await submit());
      for (const id of [...parents, ...free]) await queue.cancel(id);
      clock.set(clock.now() + 8 * DAY);
      await queue.clean();
      for (const id of free) await assertRejects(queue.get(id), { code: "not_found" });
      assertEquals((await queue.get(child)).task.status, "PENDING");
      assertEquals((await queue.get(parents[0])).task.status, "CANCELLED");
    },
    7 * DAY,
    options,
  );
});

Deno.test("uploads that tasks still need do not stand in the way of those behind them", async () => {
  const options = { janitor: { uploads: { intervalMs: 60_000, batch: 3, limit: 5 } } };
  await withClock(
    async (queue, kv, clock) => {
      const upload = async () => (await queue.uploads.store("a.txt", "text/plain", new Blob(["x"]).stream(), 100)).id;
      const needed: string[] = [];
      for (let i = 0; i < 7; i++) needed.push(await upload());
      for (const id of needed) await kv.set(["upload_ref", id, "01ARZ3NDEKTSV4RRFFQ69G5FAV"], new Uint8Array(1));
      for (let i = 0; i < 6; i++) await upload();
      clock.set(clock.now() + 2 * DAY);
      await queue.clean();
      assertEquals((await keysOf(kv, "upload")).map(([, id]) => id), needed);
    },
    7 * DAY,
    options,
  );
});

Deno.test("an idempotency key does not outlive its task", async () => {
  await withClock(async (queue, _kv, clock) => {
    const key = { scope: "", key: "k" };
    const { task: first } = await queue.submit({ task_type: "noop" }, key);
    await queue.cancel(first.task.id);
    clock.set(clock.now() + 3_600_000);
    await queue.clean();
    await assertRejects(queue.get(first.task.id), { code: "not_found" });
    ok((await queue.submit({ task_type: "noop" }, key)).created);
  }, 60_000);
});

Deno.test("a task that names one that is not there as the older one leaves no entry", async () => {
  await withClock(async (queue, kv) => {
    const nobody = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    const { task } = (await queue.submit({ task_type: "noop", retried_from: nobody })).task;
    assertEquals(task.retried_from, nobody);
    assertEquals(await keysOf(kv, "retried_as"), []);
  });
});

Deno.test("where a job of the janitor fails the others go on", async () => {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  let fails = false;
  const broken = new Proxy(kv, {
    get(target, name) {
      if (name === "list" && fails) {
        return (selector: Deno.KvListSelector, options?: Deno.KvListOptions) => {
          const prefix = "prefix" in selector ? selector.prefix : selector.start;
          if (prefix[0] === "upload") throw new Error("on purpose");
          return target.list(selector, options);
        };
      }
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const queue = new Queue({ kv: broken, clock, definitions: [noop], retention: all(DAY) });
  await queue.start();
  const { task } = await driven(clock, queue.submit({ task_type: "noop", run_at: clock.now() + 7 * DAY }));
  await driven(clock, queue.cancel(task.task.id));
  fails = true;
  clock.set(clock.now() + 2 * DAY);
  await clock.advance(61_000);
  for (let turns = 0; turns < 200 && (await kv.get(["task", task.task.id])).value; turns++) await clock.advance(10);
  await assertRejects(queue.get(task.task.id), { code: "not_found" });
  fails = false;
  await driven(clock, queue.stop());
  kv.close();
  await listeningEnds(kv);
});

Deno.test("of instances that share a store one does the janitor's work, and another takes over when it has gone", async () => {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const start = async () => {
    const queue = new Queue({ kv, clock, definitions: [noop], distributed: true, leaseMs: 3_600_000 });
    await driven(clock, queue.start());
    return queue;
  };
  const first = await start();
  await clock.advance(100);
  const second = await start();
  await clock.advance(100);
  const holder = async () => decode<string>((await kv.get(["role", "janitor"])).value);
  assertEquals(await holder(), first.instance);
  await clock.advance(10 * 60_000);
  assertEquals(await holder(), first.instance);
  await driven(clock, first.stop());
  await clock.advance(61_000);
  for (let turns = 0; turns < 100 && await holder() !== second.instance; turns++) await clock.advance(1_000);
  assertEquals(await holder(), second.instance);
  await driven(clock, second.stop());
  kv.close();
  await listeningEnds(kv);
});
