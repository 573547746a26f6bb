import * as z from "zod";
import { defineTask } from "../../../queue/define.ts";
import { statusOf } from "../../../queue/task/record.ts";
import { assertEquals, assertRejects, ok } from "../../support/assert.ts";
import { allReach, fullCount, heldType, nonZero, reaches, withFakeClock, withQueue } from "../../support/queue.ts";

const withUpload = defineTask({
  type: "with_upload",
  title: "With an upload",
  description: "Names a file.",
  params: z.strictObject({ upload_id: z.string().meta({ "x-file": {} }) }),
  run: () => Promise.resolve(null),
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
  await withFakeClock({ worker: false }, async (queue, clock) => {
    const key = { scope: "", key: "k" };
    ok((await queue.submit({ task_type: "noop" }, key)).created);
    clock.set(clock.now() + 24 * 3_600_000 - 1);
    ok(!(await queue.submit({ task_type: "noop" }, key)).created);
    clock.set(clock.now() + 1);
    ok((await queue.submit({ task_type: "noop" }, key)).created);
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
