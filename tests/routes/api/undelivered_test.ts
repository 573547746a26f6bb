import { taskMessage } from "../../../queue/submit/inbox.ts";
import { assertEquals, assertMatch, ok } from "../../support/assert.ts";
import { turn } from "../../support/fake_clock.ts";
import { reaches } from "../../support/queue.ts";
import { type Served, withApp } from "../../support/http/app.ts";

/** Has messages refused. */
async function refuse({ kv, queue }: Served, ...types: string[]): Promise<void> {
  for (const task_type of types) await kv.enqueue(...taskMessage({ task_type, input_params: { text: "<b>x</b>" } }));
  while (await queue.inbox.count(100) < types.length) await turn();
}

Deno.test("undelivered messages are counted, listed with their reasons, retried and discarded", async () => {
  await withApp({}, async (served) => {
    const { call, send, queue } = served;
    await refuse(served, "unknown_type", "noop");
    assertEquals((await (await call("/api/stats")).json()).undelivered, 2);
    const { undelivered, next } = await (await call("/api/undelivered")).json();
    assertEquals(next, null);
    const wrong = await call(`/api/undelivered?after=${"x".repeat(3_000)}`);
    assertEquals([wrong.status, (await wrong.json()).errors[0].parameter], [400, "after"]);
    const of = (type: string) =>
      undelivered.find(({ submission }: { submission: { task_type: string } }) => submission.task_type === type);
    assertEquals(of("noop").refusal.errors, [{ pointer: "/input_params/text", detail: "Unknown field." }]);
    const refused = await send("POST", `/api/undelivered/${of("unknown_type").id}/retry`, {});
    assertEquals([refused.status, (await refused.json()).errors[0].pointer], [422, "/task_type"]);
    const remove = () => call(`/api/undelivered/${of("noop").id}`, { method: "DELETE" });
    const [first, second] = [await remove(), await remove()];
    await second.body?.cancel();
    assertEquals([first.status, second.status, await queue.inbox.count(10)], [204, 404, 1]);
  });
});

Deno.test("a message is retried into a task, whose address is answered", async () => {
  await withApp({}, async ({ kv, send, queue }) => {
    const [message, { keysIfUndelivered: [key] }] = taskMessage({ task_type: "noop" });
    await kv.set(key, message);
    const answer = await send("POST", `/api/undelivered/${key[1] as string}/retry`, {});
    const { id, task_type } = await answer.json();
    assertEquals([answer.status, answer.headers.get("Location"), task_type], [201, `/api/tasks/${id}`, "noop"]);
    await reaches(queue, id, "SUCCESS");
    assertEquals(await queue.inbox.count(10), 0);
  });
});

Deno.test("the page of undelivered messages works without a script and escapes what it shows", async () => {
  await withApp({}, async (served) => {
    const { call, queue } = served;
    assertMatch(await (await call("/undelivered")).text(), /There are none\./);
    await refuse(served, "unknown_type");
    const page = await (await call("/undelivered")).text();
    assertMatch(page, /<h2>unknown_type<\/h2>/);
    assertMatch(page, /<code>\/task_type<\/code> Unknown task type/);
    ok(!page.includes("<b>x</b>"));
    const [{ id }] = (await queue.inbox.list(10)).messages;
    const post = (action: string) =>
      call("/undelivered", { method: "POST", body: new URLSearchParams({ id, action }), redirect: "manual" });
    const refused = await post("retry");
    assertEquals(refused.status, 422);
    assertMatch(await refused.text(), /role="alert">Error: .* was refused again/);
    for (let i = 0; i < 2; i++) {
      const discarded = await post("discard");
      await discarded.body?.cancel();
      assertEquals([discarded.status, discarded.headers.get("Location")], [303, "/undelivered"]);
    }
    assertEquals(await queue.inbox.count(10), 0);
  });
});
