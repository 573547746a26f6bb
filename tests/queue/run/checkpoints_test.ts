import * as z from "zod";
import { keys } from "../../../queue/store/keys.ts";
import { Queue } from "../../../queue/queue.ts";
import { NonRetryableError } from "../../../queue/task/errors.ts";
import { assertEquals, assertRejects, ok } from "../../support/assert.ts";
import { allReach, heldType, reaches, withQueue } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

const once = { backoff: { base: 1, factor: 1, cap: 1 } };

async function blobsOf(kv: Deno.Kv): Promise<Set<string>> {
  const blobs = new Set<string>();
  for await (const { key } of kv.list({ prefix: ["blob"] })) blobs.add(key[1] as string);
  return blobs;
}

Deno.test("a checkpoint over 60 KB is kept whole, its predecessors are deleted, and it goes with the task's success", async () => {
  const held = heldType("held", once);
  await withQueue({ definitions: [held.definition] }, async (queue, kv) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
    const first = await held.next();
    for (const n of [1, 2, 3]) await first.ctx.checkpoint({ n, text: "é".repeat(100_000) });
    first.fail(new Error("again"));
    const second = await held.next();
    assertEquals(second.ctx.resume, { n: 3, text: "é".repeat(100_000) });
    await queue.clean();
    assertEquals((await blobsOf(kv)).size, 1);
    await second.ctx.checkpoint("small");
    second.fail(new Error("again"));
    const third = await held.next();
    assertEquals(third.ctx.resume, "small");
    await third.ctx.checkpoint({ text: "x".repeat(70_000) });
    third.finish();
    await reaches(queue, id, "SUCCESS");
    await queue.clean();
    assertEquals((await blobsOf(kv)).size, 0);
    assertEquals((await kv.get(keys.checkpoint(id))).value, null);
  });
});

Deno.test("a retry goes on from the checkpoint and its steps, or on request from the start", async () => {
  const held = heldType("held", { maxAttempts: 1 });
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
    const runs: string[] = [];
    const step = (ctx: Awaited<ReturnType<typeof held.next>>["ctx"], name: string) =>
      ctx.step(name, () => {
        runs.push(name);
        return { by: ctx.attempt };
      });
    const first = await held.next();
    assertEquals(await step(first.ctx, "charge"), { by: 1 });
    assertEquals(await step(first.ctx, "charge"), { by: 1 });
    await first.ctx.checkpoint({ at: 1 });
    first.fail(new Error("no"));
    await reaches(queue, id, "FAILED");

    await queue.retry(id);
    const second = await held.next();
    assertEquals(second.ctx.resume, { at: 1 });
    assertEquals([await step(second.ctx, "charge"), await step(second.ctx, "ship")], [{ by: 1 }, { by: 2 }]);
    second.fail(new Error("no"));
    await reaches(queue, id, "FAILED");

    await queue.retry(id, "start");
    const third = await held.next();
    assertEquals(third.ctx.resume, undefined);
    assertEquals(await step(third.ctx, "charge"), { by: 3 });
    third.finish();
    await reaches(queue, id, "SUCCESS");
    assertEquals(runs, ["charge", "ship", "charge"]);
  });
});

Deno.test("a step that throws is not remembered; at once, one step runs once; what is no JSON is refused", async () => {
  const held = heldType();
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    await queue.submit({ task_type: "held" });
    const { ctx, finish } = await held.next();
    await assertRejects(ctx.step("a", () => Promise.reject(new Error("no"))), /no/);
    let runs = 0;
    const both = await Promise.all([ctx.step("a", () => ++runs), ctx.step("a", () => ++runs)]);
    assertEquals([both, runs], [[1, 1], 1]);
    await assertRejects(ctx.step("", () => 1), { code: "invalid_input" });
    await assertRejects(ctx.step("big", () => "x".repeat(70_000)), { code: "invalid_input" });
    await assertRejects(ctx.step("bad", () => 1n as never), TypeError);
    finish();
    await allReach(queue, 1, "SUCCESS");
  });
});

Deno.test("a handler of another checkpointVersion does not get the old checkpoint and steps, and the log says so", async () => {
  const kv = await Deno.openKv(":memory:");
  const old = heldType();
  const first = new Queue({ kv, definitions: [old.definition] });
  await first.start();
  const { task: { task: { id } } } = await first.submit({ task_type: "held" });
  const before = await old.next();
  await before.ctx.checkpoint({ shape: "old" });
  await before.ctx.step("a", () => "old");
  await first.stop(2_000);

  const now = heldType("held", { checkpointVersion: 2 });
  const second = new Queue({ kv, definitions: [now.definition] });
  await second.start();
  const after = await now.next();
  assertEquals([after.ctx.resume, await after.ctx.step("a", () => "new")], [undefined, "new"]);
  after.finish();
  await reaches(second, id, "SUCCESS");
  const { lines } = await second.logs.read(id);
  ok(lines.some(({ text }) => text.includes("checkpoint is of version 1")));
  await second.stop(2_000);
  kv.close();
  await listeningEnds(kv);
});

Deno.test("a checkpoint that does not fit the schema of its definition is not used, and the log says so", async () => {
  const held = heldType("held", {
    checkpoint: z.strictObject({ row: z.int() }),
    backoff: { base: 1, factor: 1, cap: 1 },
  });
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
    const seen: unknown[] = [];
    for (const state of [{ row: 7 }, { row: "seven" }, null]) {
      const { ctx, fail, finish } = await held.next();
      seen.push(ctx.resume);
      if (state === null) finish();
      else {
        await ctx.checkpoint(state);
        fail(new Error("again"));
      }
    }
    await reaches(queue, id, "SUCCESS");
    assertEquals(seen, [undefined, { row: 7 }, undefined]);
    const { lines } = await queue.logs.read(id);
    assertEquals(lines.map(({ text }) => text), ["The checkpoint does not match its schema and is ignored."]);
  });
});

Deno.test("NonRetryableError fails at once; other errors show themselves and the next start while they wait", async () => {
  const held = heldType("held", { backoff: { base: 3_600_000, factor: 1, cap: 3_600_000 } });
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
    (await held.next()).fail(new NonRetryableError("no use"));
    const failed = await reaches(queue, id, "FAILED");
    assertEquals([failed.task.error?.code, failed.task.attempts.length], ["non_retryable", 1]);

    const other = await queue.submit({ task_type: "held" });
    (await held.next()).fail(new Error("again"));
    const waiting = await reaches(queue, other.task.task.id, "PENDING");
    assertEquals([waiting.task.placement?.kind, waiting.task.error?.message], ["scheduled", "again"]);
    ok(waiting.task.run_at! > waiting.task.created_at);
    const [attempt] = waiting.task.attempts;
    assertEquals([attempt.outcome, attempt.error?.message, attempt.instance], ["failed", "again", queue.instance]);
    ok(attempt.error?.stack?.includes("checkpoints_test.ts"));
  });
});

Deno.test("after a timeout the next attempt goes on from the checkpoint and the steps", async () => {
  const held = heldType("held", { timeoutMs: 20, backoff: { base: 1, factor: 1, cap: 1 } });
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
    const first = await held.next();
    await first.ctx.checkpoint({ at: 7 });
    const second = await held.next();
    assertEquals(second.ctx.resume, { at: 7 });
    second.finish();
    const ended = await reaches(queue, id, "SUCCESS");
    assertEquals(ended.task.attempts.map(({ outcome }) => outcome), ["timeout", "success"]);
  });
});
