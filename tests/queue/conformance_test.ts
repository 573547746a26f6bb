/** What the queue promises, on every store that it runs on. */

import type { AnyTaskDefinition } from "../../queue/define.ts";
import type { QueueOptions } from "../../queue/options.ts";
import { Queue } from "../../queue/queue.ts";
import { CONNECT_LIMITS, FILE_LIMITS } from "../../queue/store/commit/atomic_size.ts";
import { totalOf } from "../../queue/store/listing.ts";
import { checkStore } from "../../queue/tools/check.ts";
import { statusOf, type TaskState } from "../../queue/task/record.ts";
import { assertEquals, assertRejects, ok } from "../support/assert.ts";
import { turn } from "../support/fake_clock.ts";
import { allReach, type Held, heldType, noop, reaches } from "../support/queue.ts";
import { type Store, STORES } from "../support/kv/stores.ts";

interface Rig {
  kv: Deno.Kv;
  held: ReturnType<typeof heldType>;
  /** A started queue; the first one is there already as `queue`. */
  start(options?: Partial<QueueOptions>): Promise<Queue>;
  queue: Queue;
  distributed: boolean;
}

const idOf = (submitted: { task: TaskState }) => submitted.task.task.id;

async function withRig(
  store: Store,
  layout: Partial<QueueOptions>,
  test: (rig: Rig) => Promise<void>,
): Promise<void> {
  const { kv, distributed } = store;
  const held = heldType("held", { maxAttempts: 2, backoff: { base: 1, factor: 1, cap: 1 } });
  const definitions: AnyTaskDefinition[] = [held.definition, noop];
  const queues: Queue[] = [];
  const start = async (options: Partial<QueueOptions> = {}) => {
    const queue = new Queue({ kv, distributed, definitions, ...layout, ...options });
    queues.push(queue);
    await queue.start();
    return queue;
  };
  const queue = await start();
  try {
    await test({ kv, held, start, queue, distributed });
  } finally {
    await Promise.all(queues.map((queue) => queue.stop(2_000)));
    const { problems } = await checkStore(kv, Date.now());
    await store.close();
    assertEquals(problems.map(({ key, detail }) => [...key, detail]), []);
  }
}

const PROMISES: Record<string, (rig: Rig) => Promise<void>> = {
  "a task is stored, runs and ends with its result, log and files": async ({ queue, held }) => {
    const id = idOf(await queue.submit({ task_type: "held", input_params: { a: "ä" }, tags: ["t"] }));
    const { ctx, finish } = await held.next();
    assertEquals([ctx.params, statusOf(await queue.get(id))], [{ a: "ä" }, "RUNNING"]);
    ctx.log.info("a line");
    ctx.progress(40, "on it");
    await ctx.artifact("file.bin", new Uint8Array(200_000).fill(7), "application/octet-stream");
    finish({ text: "x".repeat(30_000) });
    const { task } = await reaches(queue, id, "SUCCESS");
    assertEquals((task.result as { text: string }).text.length, 30_000);
    assertEquals((await queue.logs.read(id)).lines.map(({ text }) => text), ["a line"]);
    const { read, size } = await queue.artifacts.open(id, "file.bin");
    const bytes = await new Response(read()).bytes();
    assertEquals([size, bytes.length, bytes.every((byte) => byte === 7)], [200_000, 200_000, true]);
  },
  "500 tasks submitted at once, alone and in batches, all end once": async ({ queue }) => {
    const batch = Array.from({ length: 100 }, () => ({ task_type: "noop" }));
    await Promise.all([
      ...Array.from({ length: 200 }, () => queue.submit({ task_type: "noop" })),
      ...Array.from({ length: 3 }, () => queue.submitBatch(batch)),
    ]);
    await allReach(queue, 500, "SUCCESS");
    const { states } = await queue.list({}, 200);
    ok(states.every(({ task }) => task.attempts.length === 1));
  },
  "one idempotency key makes one task, and one unique key": async ({ queue }) => {
    const key = { scope: "s", key: "k" };
    const same = await Promise.all(Array.from({ length: 6 }, () => queue.submit({ task_type: "noop" }, key)));
    assertEquals(new Set(same.map(idOf)).size, 1);
    const unique = { task_type: "noop", unique: { key: "u" } };
    const again = await Promise.all(Array.from({ length: 6 }, () => queue.submit(unique)));
    assertEquals(new Set(again.map(idOf)).size, 1);
    await allReach(queue, 2, "SUCCESS");
  },
  "cancel is final, waiting and running": async ({ queue, held }) => {
    const waiting = idOf(await queue.submit({ task_type: "noop", run_at: Date.now() + 1e9 }));
    assertEquals(statusOf(await queue.cancel(waiting)), "CANCELLED");
    const running = idOf(await queue.submit({ task_type: "held" }));
    const { ctx } = await held.next();
    assertEquals(statusOf(await queue.cancel(running)), "CANCELLED");
    ok(ctx.signal.aborted);
    await assertRejects(ctx.checkpoint(1), { code: "cancelled" });
    await assertRejects(queue.cancel(running), { code: "illegal_transition" });
  },
  "checkpoints of every size and steps outlive attempts and a retry": async ({ queue, held }) => {
    const id = idOf(await queue.submit({ task_type: "held" }));
    const first = await held.next();
    await first.ctx.checkpoint({ text: "x".repeat(150_000) });
    assertEquals(await first.ctx.step("once", () => 1), 1);
    first.fail(new Error("again"));
    const second = await held.next();
    assertEquals((second.ctx.resume as { text: string }).text.length, 150_000);
    assertEquals(await second.ctx.step("once", () => 2), 1);
    second.fail(new Error("no"));
    await reaches(queue, id, "FAILED");
    await queue.retry(id, "start");
    const third = await held.next();
    assertEquals([third.ctx.resume, await third.ctx.step("once", () => 3)], [undefined, 3]);
    third.finish();
    await reaches(queue, id, "SUCCESS");
    await queue.clean();
  },
  "dependents, concurrency keys, delays and priorities are kept": async ({ queue, held }) => {
    const { tasks: [a, b, c] } = await queue.submitBatch([
      { task_type: "held", ref: "a", concurrency_key: "k" },
      { task_type: "held", ref: "b", concurrency_key: "k" },
      { task_type: "held", depends_on: ["a", "b"], run_at: Date.now() + 20, priority: 9 },
    ]);
    const order: string[] = [];
    for (let i = 0; i < 3; i++) {
      const { ctx, finish } = await held.next();
      order.push(ctx.id);
      finish({ i });
    }
    assertEquals(order, [a, b, c].map(({ task }) => task.id));
    await allReach(queue, 3, "SUCCESS");
  },
  "a paused type starts nothing until it is resumed": async ({ queue, held }) => {
    await queue.pause("held", "test");
    const id = idOf(await queue.submit({ task_type: "held" }));
    await queue.submit({ task_type: "noop" });
    await allReach(queue, 1, "SUCCESS");
    assertEquals(statusOf(await queue.get(id)), "PENDING");
    await queue.resume("held");
    (await held.next()).finish();
    await reaches(queue, id, "SUCCESS");
  },
  "bulk, lists, totals and the stream tell the same": async ({ queue }) => {
    await queue.pause("noop", "test");
    const since = await queue.stream.head();
    for (let i = 0; i < 3; i++) {
      await queue.submitBatch(Array.from({ length: 80 }, () => ({ task_type: "noop", tags: [`n${i}`] })));
    }
    const page = await queue.list({ tag: "n1" }, 200, undefined, "oldest");
    assertEquals([page.total, page.states.length], [80, 80]);
    const asOf = await queue.stream.head();
    const bulk = await queue.bulk.byFilter("cancel", {}, asOf) as TaskState;
    await reaches(queue, bulk.task.id, "SUCCESS", "FAILED");
    assertEquals(totalOf(await queue.counts(), { statuses: ["CANCELLED"] }), 240);
    const replay = await queue.stream.replay(since);
    assertEquals(replay!.changes.filter(({ state }) => state?.task.status === "CANCELLED").length, 240);
    await queue.bulk.byIds("delete", page.states.map(({ task }) => task.id));
    assertEquals((await queue.list({ tag: "n1" }, 10)).total, 0);
  },
};

/** Promises that need several instances on one store. */
const SHARED: Record<string, (rig: Rig) => Promise<void>> = {
  "three instances share 600 tasks and start each once": async ({ queue, start }) => {
    await start();
    await start();
    for (let i = 0; i < 6; i++) {
      await queue.submitBatch(Array.from({ length: 100 }, () => ({ task_type: "noop" })));
    }
    await allReach(queue, 600, "SUCCESS");
    const { states } = await queue.list({}, 200);
    ok(states.every(({ task }) => task.attempts.length === 1));
  },
  "cancel, pause and a concurrency key reach over instances": async ({ queue, start, held }) => {
    const other = await start({ worker: false });
    const id = idOf(await other.submit({ task_type: "held" }));
    const { ctx } = await held.next();
    assertEquals(statusOf(await other.cancel(id)), "CANCELLED");
    ok(ctx.signal.aborted);
    await other.pause("held", "other");
    const waiting = idOf(await other.submit({ task_type: "held", concurrency_key: "k" }));
    while ((await queue.get(waiting)).task.placement?.kind !== "ready") await turn();
    assertEquals((await queue.pauses()).get("held")?.by, "other");
    await other.resume("held");
    const second: Held = await held.next();
    assertEquals(second.ctx.id, waiting);
    second.finish();
    await reaches(other, waiting, "SUCCESS");
  },
};

/** Other shards and checks than those that a store has by default. */
const LAYOUTS: Record<string, Partial<QueueOptions>[]> = {
  "in memory": [{ shards: 16, limits: CONNECT_LIMITS }],
  "in memory, shared": [{ shards: 1, limits: FILE_LIMITS }],
  "over KV Connect": [{ shards: 1 }],
};

for (const [name, open] of Object.entries(STORES)) {
  if (!open) console.warn(`Skipped for want of denokv (cargo install denokv): the queue ${name}`);
  const shared = name === "in memory, shared" || name === "over KV Connect";
  for (const layout of [{}, ...LAYOUTS[name] ?? []]) {
    const { shards, limits } = layout;
    const also = [shards && `${shards} shards`, limits && `${limits.checks} checks`].filter(Boolean).join(", ");
    for (const [promise, test] of Object.entries({ ...PROMISES, ...shared ? SHARED : {} })) {
      Deno.test({
        name: `${name}${also && ` (${also})`}: ${promise}`,
        ignore: !open,
        fn: async () => await withRig(await open!(), layout, test),
      });
    }
  }
}
