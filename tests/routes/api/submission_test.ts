import type { Task } from "../../../queue/task/summary.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";

Deno.test("a task shows when it expires, its key, its parents and how long it is kept", async () => {
  await withApp({ worker: false }, async ({ submit, call }) => {
    const parent = await submit("noop");
    const task = await submit("noop", {}, {
      depends_on: [parent.id],
      expires_in: 3_600,
      retention: 60,
      concurrency_key: "customer 7",
      timeout: 30,
      unique: { key: "invoice 1", period: 86_400, states: ["PENDING"] },
    });
    assertEquals(
      [task.depends_on, task.concurrency_key, task.unique_key, task.timeout, task.wait_reason],
      [[parent.id], "customer 7", "invoice 1", 30, "blocked"],
    );
    assertEquals(Date.parse(task.expires_at!) - Date.parse(task.created_at), 3_600_000);
    const ended: Task = await (await call(`/api/tasks/${task.id}`, { method: "DELETE" })).json();
    assertEquals(Date.parse(ended.delete_at!) - Date.parse(ended.completed_at!), 60_000);
  });
});

Deno.test("a unique submit answers 200 with the task that there is", async () => {
  await withApp({ worker: false }, async ({ send }) => {
    const body = { task_type: "noop", unique: { key: "a" } };
    const first = await send("POST", "/api/tasks/submit", body);
    const second = await send("POST", "/api/tasks/submit", body);
    assertEquals([first.status, second.status], [201, 200]);
    const [one, two] = [await first.json(), await second.json()];
    assertEquals(one.id, two.id);
    assertEquals(second.headers.get("Location"), `/api/tasks/${one.id}`);
  });
});

Deno.test("tasks of a batch name each other by ref", async () => {
  await withApp({ worker: false }, async ({ send, call }) => {
    const answer = await send("POST", "/api/tasks/batch", {
      tasks: [{ task_type: "noop", ref: "load" }, { task_type: "noop", depends_on: ["load"] }],
    });
    assertEquals(answer.status, 201);
    const [first, second] = (await answer.json()).tasks;
    assertEquals([first.wait_reason, second.wait_reason], ["ready", "blocked"]);
    assertEquals((await (await call(`/api/tasks/${second.id}`)).json()).depends_on, [first.id]);
  });
});

Deno.test("a retry goes on from the checkpoint, or from the start on request, or is refused", async () => {
  await withApp({ worker: false }, async ({ submit, call, send }) => {
    const { id } = await submit("noop");
    await call(`/api/tasks/${id}`, { method: "DELETE" }).then((answer) => answer.body?.cancel());
    const wrong = await send("POST", `/api/tasks/${id}/retry`, { from: "middle" });
    assertEquals([wrong.status, (await wrong.json()).errors[0].pointer], [422, "/from"]);
    const answer = await send("POST", `/api/tasks/${id}/retry`, { from: "start" });
    assertEquals([answer.status, (await answer.json()).status], [202, "PENDING"]);
  });
});

Deno.test("a type is paused with who, when and why, and resumed", async () => {
  await withApp({}, async ({ call, send, submit, queue }) => {
    const paused = await send("POST", "/api/task-types/noop/pause", { reason: "the disk is full" });
    assertEquals(paused.status, 200);
    const info = await paused.json();
    assertEquals([info.type, info.paused.by, info.paused.reason], ["noop", "local", "the disk is full"]);
    ok(Math.abs(Date.parse(info.paused.at) - Date.now()) < 60_000);
    const { id } = await submit("noop");
    assertEquals((await queue.get(id)).run, null);
    const resumed = await call("/api/task-types/noop/resume", { method: "POST" });
    assertEquals((await resumed.json()).paused, null);
    const events = await call(`/api/tasks/${id}/events`, { headers: { Accept: "text/event-stream" } });
    ok((await events.text()).includes('"SUCCESS"'));
    const unknown = await call("/api/task-types/none/pause", { method: "POST" });
    assertEquals([unknown.status, (await unknown.json()).code], [404, "not_found"]);
  });
});

Deno.test("lists take a range of time and an order, and refuse what is none", async () => {
  await withApp({ worker: false }, async ({ submit, call }) => {
    const ids = [(await submit("noop")).id, (await submit("noop")).id];
    const list = async (query: string) => await (await call(`/api/tasks?${query}`)).json();
    assertEquals((await list("order=oldest")).tasks.map((task: Task) => task.id), ids);
    assertEquals((await list("created_from=2020-01-01")).total, 2);
    assertEquals((await list("created_to=2020-01-01T00:00:00Z")).total, 0);
    for (const [query, parameter] of [["order=best", "order"], ["created_from=soon", "created_from"]]) {
      const problem = await list(query);
      assertEquals([problem.status, problem.errors[0].parameter], [400, parameter]);
    }
  });
});
