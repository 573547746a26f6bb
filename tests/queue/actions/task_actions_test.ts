import { keys } from "../../../queue/store/keys.ts";
import { statusOf } from "../../../queue/task/record.ts";
import { assertEquals, assertRejects, ok } from "../../support/assert.ts";
import { turn } from "../../support/fake_clock.ts";
import { fullCount, heldType, nonZero, reaches, withQueue } from "../../support/queue.ts";

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
