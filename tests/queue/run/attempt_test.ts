import { keys } from "../../../queue/store/keys.ts";
import { statusOf } from "../../../queue/task/record.ts";
import { assertEquals } from "../../support/assert.ts";
import { fullCount, heldType, nonZero, reaches, withQueue } from "../../support/queue.ts";

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
