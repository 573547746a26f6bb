import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";

const later = { delay: 3_600 };

Deno.test("bulk acts on ids at once, and on a filter as of the list that was seen", async () => {
  await withApp({}, async ({ call, send, submit }) => {
    const ids = [await submit("noop", {}, later), await submit("noop", {}, later)].map(({ id }) => id);
    const { as_of } = await (await call("/api/tasks")).json();
    const late = await submit("noop", {}, later);
    const byFilter = await send("POST", "/api/tasks/bulk", {
      action: "cancel",
      filter: { status: "pending", task_type: ["noop"] },
      as_of,
    });
    assertEquals(byFilter.status, 200);
    assertEquals((await byFilter.json()).outcomes, ids.map((id) => ({ id, outcome: "done" })));
    assertEquals((await (await call(`/api/tasks/${late.id}`)).json()).status, "PENDING");
    const retried = await send("POST", "/api/tasks/bulk/", { action: "retry", ids: [ids[0], late.id] });
    const { outcomes } = await retried.json();
    assertEquals(outcomes[0], { id: ids[0], outcome: "done" });
    assertEquals([outcomes[1].outcome, typeof outcomes[1].detail], ["illegal_transition", "string"]);
  });
});

Deno.test("a set of more than 200 is answered with 202 and the task that deals with it", async () => {
  await withApp({}, async ({ call, send }) => {
    const tasks = Array.from({ length: 150 }, () => ({ task_type: "noop", ...later }));
    for (let i = 0; i < 2; i++) {
      const stored = await send("POST", "/api/tasks/batch", { tasks });
      assertEquals([stored.status, (await stored.json()).tasks.length], [201, 150]);
    }
    const { as_of } = await (await call("/api/tasks")).json();
    const answer = await send("POST", "/api/tasks/bulk", { action: "cancel", filter: {}, as_of });
    assertEquals(answer.status, 202);
    const { task } = await answer.json();
    assertEquals(answer.headers.get("Location"), `/api/tasks/${task.id}`);
    const events = await call(`/api/tasks/${task.id}/events`, { headers: { Accept: "text/event-stream" } });
    ok((await events.text()).includes('"SUCCESS"'));
    assertEquals((await (await call(`/api/tasks/${task.id}`)).json()).result.done, 300);
    const types = (await (await call("/api/task-types")).json()).task_types;
    ok(types.every(({ type }: { type: string }) => type !== "bulk"));
  });
});

Deno.test("a wrong bulk call is refused with a pointer", async () => {
  await withApp({}, async ({ send }) => {
    const id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    const as_of = "0".repeat(20);
    for (
      const [body, pointer] of [
        [{ action: "burn", ids: [id] }, "/action"],
        [{ action: "cancel" }, ""],
        [{ action: "cancel", ids: [id], filter: {}, as_of }, "/filter"],
        [{ action: "cancel", filter: { status: ["DONE"] }, as_of }, "/filter/status/0"],
        [{ action: "cancel", ids: ["x"] }, "/ids/0"],
        [{ action: "cancel", filter: {} }, "/as_of"],
        [{ action: "cancel", filter: {}, as_of: "now" }, "/as_of"],
        [{ action: "cancel", filter: { colour: "red" }, as_of }, "/filter/colour"],
      ] as const
    ) {
      const answer = await send("POST", "/api/tasks/bulk", body);
      assertEquals(answer.status, 422, JSON.stringify(body));
      assertEquals((await answer.json()).errors[0].pointer, pointer);
    }
  });
});

Deno.test("an operator cancels and retries in bulk; deleting is for an admin", async () => {
  const tokens = [{ name: "olga", role: "operator" as const, secret: "operator-secret-01" }];
  await withApp({ tokens }, async ({ send }) => {
    const headers = { Authorization: "Bearer operator-secret-01" };
    const ids = ["01ARZ3NDEKTSV4RRFFQ69G5FAV"];
    const cancel = await send("POST", "/api/tasks/bulk", { action: "cancel", ids }, headers);
    assertEquals((await cancel.json()).outcomes[0].outcome, "not_found");
    const remove = await send("POST", "/api/tasks/bulk", { action: "delete", ids }, headers);
    assertEquals([remove.status, (await remove.json()).code], [403, "forbidden"]);
  });
});
