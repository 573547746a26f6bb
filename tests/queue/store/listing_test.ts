import { Queue } from "../../../queue/queue.ts";
import { assertEquals } from "../../support/assert.ts";
import { heldType, noop, reaches, withQueue } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

/** A store in which something happens once, right after the counters have been read. */
function afterCounters(kv: Deno.Kv): { kv: Deno.Kv; once(hook: () => Promise<unknown>): void } {
  let hook: (() => Promise<unknown>) | null = null;
  const hooked = new Proxy(kv, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      if (name !== "list") return value.bind(target);
      return async function* (selector: { prefix?: Deno.KvKey }, options: Deno.KvListOptions) {
        yield* target.list(selector as Deno.KvListSelector, options);
        const now = hook;
        if (selector.prefix?.[0] !== "lane" || !now) return;
        hook = null;
        await now();
      };
    },
  });
  return { kv: hooked, once: (next) => hook = next };
}

Deno.test("a task that ends between the reading of counters and of the index is in the list", async () => {
  const kv = await Deno.openKv(":memory:");
  const held = heldType();
  const hooked = afterCounters(kv);
  const queue = new Queue({ kv: hooked.kv, definitions: [held.definition] });
  await queue.start();
  const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
  const handler = await held.next();
  hooked.once(async () => {
    handler.finish();
    await reaches(queue, id, "SUCCESS");
  });
  assertEquals((await queue.list({}, 10)).states.map(({ task }) => task.id), [id]);
  await queue.stop(2_000);
  kv.close();
  await listeningEnds(kv);
});

Deno.test("a total is never less than the tasks on its page, also if some come while they are listed", async () => {
  const kv = await Deno.openKv(":memory:");
  const hooked = afterCounters(kv);
  const queue = new Queue({ kv: hooked.kv, definitions: [noop], worker: false });
  await queue.start();
  await queue.submit({ task_type: "noop" });
  hooked.once(() => queue.submitBatch([{ task_type: "noop" }, { task_type: "noop" }]));
  const { states, total } = await queue.list({}, 10);
  assertEquals([states.length, total], [3, 3]);
  await queue.stop(2_000);
  kv.close();
  await listeningEnds(kv);
});

Deno.test("paging shows every task once, newest first, while new ones arrive", async () => {
  await withQueue({ worker: false }, async (queue) => {
    const ids: string[] = [];
    for (let i = 0; i < 25; i++) ids.push((await queue.submit({ task_type: "noop" })).task.task.id);
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await queue.list({}, 10, cursor);
      seen.push(...page.states.map(({ task }) => task.id));
      cursor = page.next_cursor ?? undefined;
      await queue.submit({ task_type: "noop" });
    } while (cursor);
    assertEquals(seen, ids.toReversed());
  });
});

Deno.test("lists filter by status, by type, by both, by tag and by text, with exact totals", async () => {
  const held = heldType();
  await withQueue({ definitions: [held.definition, noop] }, async (queue) => {
    const nothing = (await queue.submit({ task_type: "noop", tags: ["red"] })).task.task.id;
    await reaches(queue, nothing, "SUCCESS");
    const running = (await queue.submit({ task_type: "held" })).task.task.id;
    const handler = await held.next();
    const later = (await queue.submit({ task_type: "held", run_at: Date.now() + 3_600_000 })).task.task.id;
    const ids = async (filter: Parameters<Queue["list"]>[0]) => {
      const page = await queue.list(filter, 10);
      assertEquals(page.total, page.states.length);
      return page.states.map(({ task }) => task.id);
    };
    assertEquals(await ids({}), [later, running, nothing]);
    assertEquals(await ids({ statuses: ["RUNNING"] }), [running]);
    assertEquals(await ids({ statuses: ["PENDING"] }), [later]);
    assertEquals(await ids({ statuses: ["PENDING", "SUCCESS"] }), [later, nothing]);
    assertEquals(await ids({ task_types: ["held"] }), [later, running]);
    assertEquals(await ids({ task_types: ["noop"], statuses: ["RUNNING"] }), []);
    assertEquals(await ids({ tag: "red" }), [nothing]);
    assertEquals(await ids({ q: running.toLowerCase() }), [running]);
    handler.finish();
    await reaches(queue, running, "SUCCESS");
    assertEquals(await ids({ statuses: ["RUNNING"] }), []);
  });
});
