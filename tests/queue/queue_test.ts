import * as z from "zod";
import { defineTask } from "../../queue/define.ts";
import { keys } from "../../queue/store/keys.ts";
import { Queue } from "../../queue/queue.ts";
import { statusOf } from "../../queue/task/record.ts";
import { assertEquals, assertRejects, ok } from "../support/assert.ts";
import { FakeClock, turn } from "../support/fake_clock.ts";
import { faulty } from "../support/kv/faulty_kv.ts";
import { allReach, fullCount, heldType, nonZero, noop, reaches, withQueue } from "../support/queue.ts";

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

const batchOf = (count: number) => Array.from({ length: count }, () => ({ task_type: "noop" }));

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
    assertEquals((queue.commitStats.mutations - before - resumed) / 1_000, 9);
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
});

Deno.test("a task that ends between the reading of counters and of the index is in the list", async () => {
  const kv = await Deno.openKv(":memory:");
  const held = heldType();
  let afterCounts: (() => Promise<void>) | null = null;
  const hooked = new Proxy(kv, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      if (name !== "list") return value.bind(target);
      return async function* (selector: { prefix?: Deno.KvKey }, options: Deno.KvListOptions) {
        yield* target.list(selector as Deno.KvListSelector, options);
        const hook = afterCounts;
        if (selector.prefix?.[0] !== "lane" || !hook) return;
        afterCounts = null;
        await hook();
      };
    },
  });
  const queue = new Queue({ kv: hooked, definitions: [held.definition] });
  await queue.start();
  const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
  const handler = await held.next();
  afterCounts = async () => {
    handler.finish();
    await reaches(queue, id, "SUCCESS");
  };
  assertEquals((await queue.list({}, 10)).states.map(({ task }) => task.id), [id]);
  await queue.stop(2_000);
  kv.close();
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

Deno.test("1,000 concurrent submits are all stored, all run, and share atomics", async () => {
  await withQueue({}, async (queue, kv) => {
    const submitted = await Promise.all(
      Array.from({ length: 1_000 }, () => queue.submit({ task_type: "noop" })),
    );
    assertEquals(new Set(submitted.map(({ task }) => task.task.id)).size, 1_000);
    await allReach(queue, 1_000, "SUCCESS");
    assertEquals(nonZero(await queue.counts()), await fullCount(kv));
    ok(queue.commitStats.atomics < 500, `${queue.commitStats.atomics} atomics`);
  });
});

Deno.test("an unknown type and wrong parameters are refused and store nothing", async () => {
  await withQueue({}, async (queue, kv) => {
    await assertRejects(queue.submit({ task_type: "none" }), { name: "InvalidInputError" });
    await assertRejects(queue.submit({ task_type: "noop", input_params: { extra: 1 } }), (error: unknown) => {
      assertEquals((error as { issues: unknown }).issues, [
        { pointer: "/input_params/extra", detail: "Unknown field." },
      ]);
      return true;
    });
    await assertRejects(queue.submitBatch([{ task_type: "noop" }, { task_type: "none" }]), {
      name: "InvalidInputError",
    });
    assertEquals(await fullCount(kv), {});
  });
});

Deno.test("the same idempotency key makes one task, also when sent at once; another body is refused", async () => {
  await withQueue({}, async (queue) => {
    const key = { scope: "ana", key: "k1" };
    const answers = await Promise.all(Array.from({ length: 10 }, () => queue.submit({ task_type: "noop" }, key)));
    assertEquals(new Set(answers.map(({ task }) => task.task.id)).size, 1);
    assertEquals(answers.filter(({ created }) => created).length, 1);
    await assertRejects(queue.submit({ task_type: "noop", priority: 1 }, key), { code: "idempotency_mismatch" });
    const other = await queue.submit({ task_type: "noop" }, { scope: "ben", key: "k1" });
    ok(other.created);
  });
});

Deno.test("an idempotency key is void after 24 hours by its own expiry", async () => {
  const clock = new FakeClock();
  await withQueueOnFakeClock(clock, async (queue) => {
    const key = { scope: "", key: "k" };
    ok((await queue.submit({ task_type: "noop" }, key)).created);
    clock.set(clock.now() + 24 * 3_600_000 - 1);
    ok(!(await queue.submit({ task_type: "noop" }, key)).created);
    clock.set(clock.now() + 1);
    ok((await queue.submit({ task_type: "noop" }, key)).created);
  });
});

async function withQueueOnFakeClock(clock: FakeClock, test: (queue: Queue, kv: Deno.Kv) => Promise<void>) {
  const kv = await Deno.openKv(":memory:");
  const queue = new Queue({ kv, definitions: [noop], clock, worker: false });
  await queue.start();
  try {
    await test(queue, kv);
  } finally {
    await queue.stop();
    kv.close();
  }
}

Deno.test("cancel of a PENDING task is final", async () => {
  await withQueue({ worker: false }, async (queue, kv) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "noop" });
    const cancelled = await queue.cancel(id);
    assertEquals(statusOf(cancelled), "CANCELLED");
    assertEquals((await kv.get(keys.index("OPEN", "noop", id))).value, null);
    await assertRejects(queue.cancel(id), { code: "illegal_transition" });
    assertEquals(nonZero(await queue.counts()), { noop: { CANCELLED: 1 } });
  });
});

Deno.test("cancel of a RUNNING task fires its signal before it answers, and late results are refused", async () => {
  const held = heldType("held", { deaf: true });
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
    const handler = await held.next();
    const cancelled = await queue.cancel(id);
    assertEquals(statusOf(cancelled), "CANCELLED");
    ok(handler.ctx.signal.aborted);
    await assertRejects(handler.ctx.checkpoint(1), { code: "cancelled" });
    handler.finish({ late: true });
    await turn();
    const now = await queue.get(id);
    assertEquals([statusOf(now), now.task.result], ["CANCELLED", null]);
  });
});

Deno.test("cancel and finish at the same moment end in one of the two, everywhere the same", async () => {
  const held = heldType();
  await withQueue({ definitions: [held.definition] }, async (queue, kv) => {
    for (let i = 0; i < 40; i++) {
      const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
      const handler = await held.next();
      if (i % 2) handler.finish();
      const answer = queue.cancel(id).then(statusOf, () => "SUCCESS" as const);
      if (!(i % 2)) handler.finish();
      const said = await answer;
      assertEquals(statusOf(await reaches(queue, id, "SUCCESS", "CANCELLED")), said);
      assertEquals(
        (await kv.get(keys.index(said === "SUCCESS" ? "SUCCESS" : "CANCELLED", "held", id))).value !== null,
        true,
      );
    }
    assertEquals(nonZero(await queue.counts()), await fullCount(kv));
  });
});

Deno.test("retry reopens FAILED and CANCELLED tasks with fresh attempts and refuses others", async () => {
  const held = heldType("held", { maxAttempts: 1 });
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
    const first = await held.next();
    await assertRejects(queue.retry(id), { code: "illegal_transition" });
    first.fail(new Error("no luck"));
    const failed = await reaches(queue, id, "FAILED");
    assertEquals(failed.task.error?.message, "no luck");
    assertEquals(statusOf(await queue.retry(id)), "PENDING");
    const second = await held.next();
    assertEquals(second.ctx.attempt, 2);
    await queue.cancel(id);
    await queue.retry(id);
    (await held.next()).finish();
    const ended = await reaches(queue, id, "SUCCESS");
    assertEquals(ended.task.attempts.map(({ outcome }) => outcome), ["failed", "cancelled", "success"]);
    await assertRejects(queue.retry(id), { code: "illegal_transition" });
    await assertRejects(queue.retry("01ARZ3NDEKTSV4RRFFQ69G5FAV"), { code: "not_found" });
  });
});

Deno.test("a failing task is tried again after a wait, with its error shown, until max_attempts", async () => {
  const held = heldType("held", { backoff: { base: 1, factor: 1, cap: 1 } });
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held", max_attempts: 2 });
    (await held.next()).fail(new Error("first"));
    (await held.next()).fail(new Error("second"));
    const failed = await reaches(queue, id, "FAILED");
    assertEquals(failed.task.attempts.map(({ error }) => error?.message), ["first", "second"]);
    assertEquals(failed.task.error?.code, "error");
  });
});

Deno.test("progress only grows within an attempt, and is committed", async () => {
  const held = heldType();
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
    const handler = await held.next();
    const seen: number[] = [];
    let onProgress: (progress: number) => void = () => {};
    const unsubscribe = await queue.stream.subscribe(({ changes }) => {
      for (const { state } of changes) {
        if (!state?.run) continue;
        seen.push(state.run.progress);
        onProgress(state.run.progress);
      }
    });
    const shows = (wanted: number) =>
      new Promise<void>((resolve) => onProgress = (progress) => progress === wanted && resolve());
    const forty = shows(40);
    handler.ctx.progress(40, "row 4");
    handler.ctx.progress(20);
    await forty;
    const fifty = shows(50);
    handler.ctx.progress(50, "row 5");
    await fifty;
    unsubscribe();
    assertEquals(seen, seen.toSorted((a, b) => a - b));
    handler.finish();
    const ended = await reaches(queue, id, "SUCCESS");
    assertEquals([ended.task.progress, ended.task.message], [100, "row 5"]);
  });
});

Deno.test("a checkpoint is what the next attempt resumes from", async () => {
  const held = heldType("held", { backoff: { base: 1, factor: 1, cap: 1 } });
  await withQueue({ definitions: [held.definition] }, async (queue, kv) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
    const first = await held.next();
    assertEquals(first.ctx.resume, undefined);
    await first.ctx.checkpoint({ done: 3 });
    first.fail(new Error("again"));
    const second = await held.next();
    assertEquals(second.ctx.resume, { done: 3 });
    second.finish();
    await reaches(queue, id, "SUCCESS");
    assertEquals((await kv.get(keys.checkpoint(id))).value, null);
  });
});

Deno.test("log lines and artifacts of a task are kept and read back", async () => {
  const held = heldType();
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
    const handler = await held.next();
    for (let i = 0; i < 500; i++) handler.ctx.log.info(`line ${i} ${"é".repeat(200)}`);
    const bytes = crypto.getRandomValues(new Uint8Array(60_000));
    await handler.ctx.artifact("a.bin", new Blob([bytes, bytes, bytes]).stream(), "application/octet-stream");
    handler.finish();
    await reaches(queue, id, "SUCCESS");
    const { lines, next } = await queue.logs.read(id);
    assertEquals(lines.map(({ line }) => line), Array.from({ length: 500 }, (_, i) => i));
    assertEquals(lines[499].text.startsWith("line 499 "), true);
    assertEquals(next, { attempt: 1, line: 500 });
    const later = await queue.logs.read(id, { attempt: 1, line: 498 });
    assertEquals(later.lines.map(({ line }) => line), [498, 499]);
    const file = await queue.artifacts.open(id, "a.bin");
    assertEquals(
      new Uint8Array(await new Response(file.read()).arrayBuffer()),
      new Uint8Array([...bytes, ...bytes, ...bytes]),
    );
    assertEquals((await queue.artifacts.list(id)).map(({ name, size }) => [name, size]), [["a.bin", 180_000]]);
  });
});

Deno.test("a result over 32 KB fails the task; results and parameters at their limits are kept whole", async () => {
  const held = heldType();
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    const full = { text: "x".repeat(32 * 1024 - 11) };
    const { task: { task: { id } } } = await queue.submit({ task_type: "held", input_params: full });
    (await held.next()).finish(full);
    const ended = await reaches(queue, id, "SUCCESS");
    assertEquals([ended.task.result, ended.task.input_params], [full, full]);
    const over = await queue.submit({ task_type: "held" });
    (await held.next()).finish({ text: "x".repeat(32 * 1024) });
    const failed = await reaches(queue, over.task.task.id, "FAILED", "PENDING");
    assertEquals([statusOf(failed), failed.task.error?.code], ["FAILED", "result_too_large"]);
    await assertRejects(queue.submit({ task_type: "held", input_params: { text: "x".repeat(40_000) } }), {
      code: "invalid_input",
    });
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

Deno.test("a result that is no JSON fails its task instead of leaving it running", async () => {
  const held = heldType("held", { maxAttempts: 1 });
  await withQueue({ definitions: [held.definition] }, async (queue, kv) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
    (await held.next()).finish({ big: 1n } as never);
    const failed = await reaches(queue, id, "FAILED", "SUCCESS");
    assertEquals([statusOf(failed), failed.task.error?.code], ["FAILED", "unstorable"]);
    assertEquals(nonZero(await queue.counts()), await fullCount(kv));
  });
});

Deno.test("a record stays storable with full parameters and 25 long failures", async () => {
  const held = heldType("held", { backoff: { base: 1, factor: 1, cap: 1 } });
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    const input_params = { text: "x".repeat(32_000) };
    const { task: { task: { id } } } = await queue.submit({ task_type: "held", input_params, max_attempts: 25 });
    for (let i = 0; i < 25; i++) (await held.next()).fail(new Error("失".repeat(2_000)));
    const failed = await reaches(queue, id, "FAILED");
    assertEquals([failed.task.attempts.length, failed.task.error?.message.length], [25, 1_000]);
    assertEquals(failed.task.input_params, input_params);
  });
});

Deno.test("submits at once that name one upload are all stored, with and without a key", async () => {
  await withQueue({ definitions: [withUpload], worker: false }, async (queue) => {
    const { id } = await queue.uploads.store("a", "text/plain", new Blob(["a"]).stream(), 10);
    const submission = { task_type: "with_upload", input_params: { upload_id: id } };
    await Promise.all([
      ...Array.from({ length: 5 }, (_, i) => queue.submit(submission, { scope: "", key: `k${i}` })),
      ...Array.from({ length: 5 }, () => queue.submit(submission)),
      queue.submitBatch([submission, submission]),
    ]);
    assertEquals((await queue.list({}, 100)).total, 12);
  });
});

const withUpload = defineTask({
  type: "with_upload",
  title: "With an upload",
  description: "Names a file.",
  params: z.strictObject({ upload_id: z.string().meta({ "x-file": {} }) }),
  run: () => Promise.resolve(null),
});

Deno.test("an entry of ready without its task is removed and keeps nothing from running", async () => {
  await withQueue({}, async (queue, kv) => {
    await queue.pause("noop", "test");
    const orphan = keys.ready("noop", 0, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    await kv.set(orphan, new TextEncoder().encode("0"));
    const { task: { task: { id } } } = await queue.submit({ task_type: "noop" });
    await queue.resume("noop");
    await reaches(queue, id, "SUCCESS");
    assertEquals((await kv.get(orphan)).value, null);
  });
});
