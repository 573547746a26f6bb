import { assertEquals, assertMatch, ok } from "../../support/assert.ts";
import { reaches } from "../../support/queue.ts";
import { withApp } from "../../support/http/app.ts";

/** The answer to a GET, as JSON. */
const get = async (call: (path: string) => Promise<Response> | Response, path: string) =>
  await (await call(path)).json();

Deno.test("the suppression list is added to, read and taken from, by whatever way an address is written", async () => {
  await withApp({ worker: false }, async ({ send, call }) => {
    const added = await send("POST", "/api/suppressions", {
      addresses: ["Ana@Example.com", '"Doe, Jane" <jane@müller.example>'],
      reason: "asked",
    });
    assertEquals([added.status, await added.json()], [201, { added: 2 }]);
    const again = await send("POST", "/api/suppressions", { addresses: ["ana@example.com"] });
    assertEquals([again.status, await again.json()], [200, { added: 0 }]);
    const { suppressions, next } = await get(call, "/api/suppressions");
    assertEquals([suppressions.map(({ address, reason }: Record<string, string>) => [address, reason]), next], [
      [["ana@example.com", "asked"], ["jane@xn--mller-kva.example", "asked"]],
      null,
    ]);
    const { suppressions: rest } = await get(call, "/api/suppressions?after=ana@example.com");
    assertEquals(rest.length, 1);
    const remove = () => call(`/api/suppressions/${encodeURIComponent("Jane@müller.example")}`, { method: "DELETE" });
    const [first, second] = [await remove(), await remove()];
    await second.body?.cancel();
    assertEquals([first.status, second.status], [204, 404]);
    const refused = await send("POST", "/api/suppressions", { addresses: ["a@x.example", "nobody"] });
    assertEquals([refused.status, (await refused.json()).errors[0].pointer], [422, "/addresses/1"]);
  });
});

Deno.test("the page of the suppression list works without a script", async () => {
  await withApp({ worker: false }, async ({ call, queue }) => {
    const post = (path: string, fields: Record<string, string>) =>
      call(path, { method: "POST", body: new URLSearchParams(fields), redirect: "manual" });
    const added = await post("/suppressions", { addresses: "a@x.example\r\n<b>@x.example", reason: "" });
    const text = await added.text();
    assertEquals(added.status, 422);
    assertMatch(text, /Error: &lt;b(>|&gt;)@x\.example is not an address\./);
    ok(!text.includes("<b>@"));
    const right = await post("/suppressions", { addresses: "A@x.example\r\nb@x.example", reason: "<i>asked</i>" });
    await right.body?.cancel();
    assertEquals([right.status, right.headers.get("Location")], [303, "/suppressions"]);
    const page = await (await call("/suppressions")).text();
    assertMatch(page, /<th scope="row">a@x\.example<\/th><td>&lt;i>asked&lt;\/i><\/td>/);
    const removed = await post("/suppressions/remove", { address: "a@x.example" });
    await removed.body?.cancel();
    assertEquals(removed.status, 303);
    assertEquals((await queue.mail.suppressions(10)).suppressions.map(({ address }) => address), ["b@x.example"]);
  });
});

Deno.test("the form of a task retries only what failed, and leads to the new task", async () => {
  await withApp({}, async ({ submit, call, queue }) => {
    const { id } = await submit("email_sending", { num_emails: 1, delay_per_email: 0.5, failure_rate: 1 });
    await reaches(queue, id, "SUCCESS");
    const page = await (await call(`/?task=${id}`)).text();
    assertMatch(page, /<input type="hidden" name="only" value="failed"\/?>/);
    assertMatch(page, />Retry 1 failed<\/button>/);
    const body = new URLSearchParams({ only: "failed", back: "/" });
    const answer = await call(`/tasks/${id}/retry`, { method: "POST", body, redirect: "manual" });
    await answer.body?.cancel();
    const [, again] = /task=([0-9A-Z]{26})/.exec(answer.headers.get("Location")!)!;
    assertEquals([answer.status, (await queue.get(again)).task.retried_from], [303, id]);
  });
});

Deno.test("a retry of only what failed answers with a new task; where nothing is left, or with a place to begin, it is refused", async () => {
  await withApp({}, async ({ submit, send, call, queue }) => {
    const task = await submit("email_sending", { num_emails: 3, delay_per_email: 0.5, failure_rate: 1 });
    await reaches(queue, task.id, "SUCCESS");
    assertEquals((await get(call, `/api/tasks/${task.id}`)).redo, { failed: 3, unknown: 0 });
    const answer = await send("POST", `/api/tasks/${task.id}/retry`, { only: "failed" });
    const again = await answer.json();
    assertEquals([answer.status, answer.headers.get("Location")], [201, `/api/tasks/${again.id}`]);
    assertEquals([again.retried_from, again.input_params.recipients], [
      task.id,
      [1, 2, 3].map((n) => `person${n}@example.com`),
    ]);
    await reaches(queue, again.id, "SUCCESS");
    const sent = await get(call, `/api/tasks/${again.id}`);
    assertEquals([sent.result.sent, sent.redo], [3, { failed: 0, unknown: 0 }]);
    for (
      const [id, body, status] of [
        [again.id, { only: "failed" }, 409],
        [task.id, { only: "unknown" }, 409],
        [task.id, { only: "failed", from: "start" }, 422],
        [task.id, { only: "all" }, 422],
      ] as const
    ) {
      const refused = await send("POST", `/api/tasks/${id}/retry`, body);
      await refused.body?.cancel();
      assertEquals(refused.status, status);
    }
  });
});
