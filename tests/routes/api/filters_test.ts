import * as z from "zod";
import { defineTask } from "../../../queue/define.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { heldType, noop, reaches } from "../../support/queue.ts";

const breaks = defineTask({
  type: "breaks",
  title: "Breaks",
  description: "Fails with what it is told.",
  params: z.strictObject({ why: z.string() }),
  maxAttempts: 1,
  run: ({ params }) => Promise.reject(new Error(params.why)),
});

Deno.test("lists find tasks by error, by end and by schedule; facets count the others; bulk acts on the same", async () => {
  await withApp({ definitions: [breaks, noop] }, async ({ call, send, submit, queue }) => {
    const ids: string[] = [];
    for (const why of ["The disk is FULL.", "Connection refused", "The disk is full again"]) {
      const { id } = await submit("breaks", { why });
      await reaches(queue, id, "FAILED");
      ids.push(id);
    }
    const made = await (await send("POST", "/api/schedules", { cron: "0 0 1 1 *", task_type: "noop" })).json();
    const run = await (await call(`/api/schedules/${made.id}/trigger`, { method: "POST" })).json();
    const { task } = await reaches(queue, run.id, "SUCCESS");
    const list = async (query: string) => await (await call(`/api/tasks?${query}`)).json();
    const found = async (query: string) => {
      const { tasks, total } = await list(query);
      assertEquals(tasks.length, total);
      return tasks.map(({ id }: { id: string }) => id);
    };
    assertEquals(await found("error=disk+is+full"), [ids[2], ids[0]]);
    assertEquals(await found(`schedule=${made.id}`), [run.id]);
    const second = (await queue.get(ids[1])).task.completed_at!;
    const at = (ms: number) => new Date(ms).toISOString();
    assertEquals(await found(`ended_from=${at(second)}&status=FAILED`), [ids[2], ids[1]]);
    assertEquals(await found(`ended_from=${at(second)}&ended_to=${at(task.completed_at! + 1)}`), [
      run.id,
      ids[2],
      ids[1],
    ]);
    assertEquals(await found(`ended_to=${at(second)}`), [ids[0]]);

    const { facets, total } = await list("facets=status&status=FAILED&error=refused");
    assertEquals([total, facets], [1, {
      by_status: { PENDING: 0, RUNNING: 0, SUCCESS: 0, FAILED: 1, CANCELLED: 0 },
      capped: false,
    }]);
    assertEquals((await list("facets=status&status=SUCCESS")).facets.by_status.FAILED, 3);
    assertEquals("facets" in await list(""), false);
    const created = `created_from=${at(Date.now() - 60_000)}`;
    assertEquals((await list(`facets=status&${created}&task_type=noop`)).facets.by_status.SUCCESS, 1);

    for (
      const [query, parameter] of [
        ["schedule=x", "schedule"],
        ["ended_from=soon", "ended_from"],
        ["ended_from=2026-01-02&ended_to=2026-01-01", "ended_to"],
        ["facets=all", "facets"],
        [`error=${"x".repeat(201)}`, "error"],
      ]
    ) {
      const problem = await list(query);
      assertEquals([problem.status, problem.errors?.[0].parameter], [400, parameter]);
    }
    const { as_of } = await list("error=disk");
    const bulk = await send("POST", "/api/tasks/bulk", { action: "delete", filter: { error: "disk" }, as_of });
    const { outcomes } = await bulk.json();
    assertEquals(outcomes.map(({ id, outcome }: { id: string; outcome: string }) => [id, outcome]), [
      [ids[0], "done"],
      [ids[2], "done"],
    ]);
    assertEquals(await found("status=FAILED"), [ids[1]]);
  });
});

Deno.test("a failure of the last hour is counted at once, and the number is that of the list", async () => {
  await withApp({ definitions: [breaks] }, async ({ call, submit, queue }) => {
    const { id } = await submit("breaks", { why: "no" });
    await reaches(queue, id, "FAILED");
    const stats = await (await call("/api/stats")).json();
    assertEquals(stats.last_hour.breaks.failed, 1);
    const since = new Date(Date.now() - 3_600_000).toISOString();
    const { total } = await (await call(`/api/tasks?status=FAILED&task_type=breaks&ended_from=${since}`)).json();
    assertEquals(total, 1);
  });
});

Deno.test("a graph has all that depend on each other, also those that have ended, and names what was deleted", async () => {
  const held = heldType();
  await withApp({ definitions: [held.definition, noop] }, async ({ call, send, submit, queue }) => {
    const batch = await send("POST", "/api/tasks/batch", {
      tasks: [
        { task_type: "noop", ref: "a" },
        { task_type: "held", ref: "b", depends_on: ["a"] },
        { task_type: "held", ref: "c", depends_on: ["a"] },
        { task_type: "noop", depends_on: ["b", "c"] },
        { task_type: "noop" },
      ],
    });
    const { tasks } = await batch.json();
    const [a, b, c, d] = tasks.map(({ id }: { id: string }) => id);
    const later = (await submit("noop", {}, { depends_on: [a] })).id;
    const graph = async (id: string) => await (await call(`/api/tasks/${id}/graph`)).json();
    const edges = async (id: string) =>
      (await graph(id)).tasks.map((task: { id: string; depends_on: string[] }) => [task.id, task.depends_on]);
    const all = [[a, []], [b, [a]], [c, [a]], [d, [b, c]], [later, [a]]];
    await reaches(queue, later, "SUCCESS");
    for (const id of [a, b, d, later]) assertEquals(await edges(id), all);
    (await held.next()).finish();
    (await held.next()).finish();
    await reaches(queue, d, "SUCCESS");
    for (const id of [a, c, d]) assertEquals(await edges(id), all);
    const whole = await graph(d);
    assertEquals([whole.deleted, whole.partial, whole.tasks[3].status, whole.tasks[3].title], [
      [],
      false,
      "SUCCESS",
      "Nothing",
    ]);
    await queue.delete(a);
    const { deleted, tasks: left } = await graph(d);
    assertEquals([deleted, left.map(({ id }: { id: string }) => id)], [[a], [b, c, d, later]]);
    assertEquals(await edges(tasks[4].id), [[tasks[4].id, []]]);
    const missing = await call(`/api/tasks/${a}/graph`);
    assertEquals([missing.status, (await missing.json()).code], [404, "not_found"]);
  });
});

Deno.test("a graph of more tasks than it shows says so", async () => {
  await withApp({ worker: false }, async ({ send, submit, call }) => {
    const { id } = await submit("noop");
    for (let i = 0; i < 2; i++) {
      const tasks = Array.from({ length: 150 }, () => ({ task_type: "noop", depends_on: [id] }));
      await (await send("POST", "/api/tasks/batch", { tasks })).body?.cancel();
    }
    const { tasks, partial } = await (await call(`/api/tasks/${id}/graph`)).json();
    assertEquals([tasks.length, partial], [200, true]);
    ok(tasks.every((task: { id: string; depends_on: string[] }) => task.id === id || task.depends_on[0] === id));
  });
});

Deno.test("a dependent that stands before its parent in the batch is found after both have ended", async () => {
  await withApp({ definitions: [noop] }, async ({ call, send, queue }) => {
    // So many that the ids of the first and the last are of different milliseconds.
    const others = Array.from({ length: 198 }, () => ({ task_type: "noop" }));
    const batch = await send("POST", "/api/tasks/batch", {
      tasks: [{ task_type: "noop", depends_on: ["p"] }, ...others, { task_type: "noop", ref: "p" }],
    });
    const { tasks: made } = await batch.json();
    const [child, parent] = [made[0].id, made[199].id];
    await reaches(queue, child, "SUCCESS");
    const { tasks, partial } = await (await call(`/api/tasks/${parent}/graph`)).json();
    assertEquals([tasks.map(({ id }: { id: string }) => id).sort(), partial], [[child, parent].sort(), false]);
  });
});

Deno.test("while many searches wait, the statistics and an unfiltered page are still answered", async () => {
  await withApp({ worker: false }, async ({ call, submit }) => {
    await submit("noop");
    const searches = Array.from({ length: 24 }, (_, i) => call(`/api/tasks?q=${i}`));
    const answers = await Promise.all([call("/api/stats"), call("/"), ...searches]);
    for (const answer of answers) await answer.body?.cancel();
    assertEquals(answers.slice(0, 2).map(({ status }) => status), [200, 200]);
    ok(answers.some(({ status }) => status === 503), "some searches are refused");
  });
});
