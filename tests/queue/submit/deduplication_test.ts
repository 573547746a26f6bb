import { fingerprint } from "../../../queue/submit/deduplication.ts";
import { statusOf } from "../../../queue/task/record.ts";
import { assertEquals, assertRejects, ok } from "../../support/assert.ts";
import { turn } from "../../support/fake_clock.ts";
import { heldType, withFakeClock } from "../../support/queue.ts";

Deno.test("a unique key answers the task that there is, within its period and its states", async () => {
  const held = heldType("held", { maxAttempts: 1 });
  await withFakeClock({ definitions: [held.definition] }, async (queue, clock, kv) => {
    const submit = (unique: object = {}) => queue.submit({ task_type: "held", unique: { key: "report", ...unique } });
    const answers = await Promise.all(Array.from({ length: 8 }, () => submit()));
    assertEquals(new Set(answers.map(({ task }) => task.task.id)).size, 1);
    assertEquals(answers.filter(({ created }) => created).length, 1);
    const first = answers[0].task.task.id;
    const handler = await held.next();
    clock.set(clock.now() + 3_600_000);
    assertEquals((await submit()).task.task.id, first);
    const later = await submit({ period_ms: 3_600_000 });
    ok(later.created);
    handler.finish();
    (await held.next()).fail(new Error("no"));
    const second = later.task.task.id;
    while (statusOf(await queue.get(second)) !== "FAILED") await turn();
    // The newest has FAILED, which does not count unless one says so.
    assertEquals((await submit({ states: ["FAILED"] })).task.task.id, second);
    const third = await submit();
    ok(third.created);
    // With an idempotency key too: the key remembers what was answered.
    const key = { scope: "", key: "k" };
    const known = await queue.submit({ task_type: "held", unique: { key: "report" } }, key);
    assertEquals([known.created, known.task.task.id], [false, third.task.task.id]);
    await queue.cancel(third.task.task.id);
    assertEquals(
      (await queue.submit({ task_type: "held", unique: { key: "report" } }, key)).task.task.id,
      third.task.task.id,
    );
    await queue.delete(third.task.task.id);
    for await (const { key } of kv.list({ prefix: ["unique"] })) throw new Error(`left: ${key.join()}`);
  });
});

Deno.test("a retry does not make a second task beside the one that has its unique key now", async () => {
  await withFakeClock({ worker: false }, async (queue) => {
    const submit = async () => (await queue.submit({ task_type: "noop", unique: { key: "u" } })).task.task.id;
    const first = await submit();
    await queue.cancel(first);
    const second = await submit();
    await assertRejects(queue.retry(first), /has the same unique key and has not ended/);
    await queue.cancel(second);
    await queue.retry(first);
    assertEquals(await submit(), first);
  });
});

Deno.test("members in another order are the same request, items in another order are another", () => {
  const one = fingerprint({ task_type: "a", input_params: { x: 1, y: { b: [1, 2], a: null } } });
  assertEquals(fingerprint({ input_params: { y: { a: null, b: [1, 2] }, x: 1 }, task_type: "a" }), one);
  ok(fingerprint({ task_type: "a", input_params: { x: 1, y: { b: [2, 1], a: null } } }) !== one);
  const own = JSON.parse('{"__proto__": 1}');
  ok(fingerprint({ task_type: "a", input_params: own }) !== fingerprint({ task_type: "a", input_params: {} }));
});
