import { assertEquals, assertMatch, ok } from "../support/assert.ts";
import { withApp } from "../support/app.ts";

const nightly = {
  name: "Nightly report",
  cron: "0 2 * * *",
  timezone: "Europe/Zurich",
  missed: "once",
  task_type: "noop",
  priority: 3,
  tags: ["night"],
};

Deno.test("a schedule is created, listed, read, paused, resumed, triggered and deleted", async () => {
  await withApp({}, async ({ call, send }) => {
    const answer = await send("POST", "/api/schedules", nightly);
    assertEquals(answer.status, 201);
    const schedule = await answer.json();
    assertEquals(answer.headers.get("Location"), `/api/schedules/${schedule.id}`);
    assertEquals(
      [schedule.name, schedule.cron, schedule.timezone, schedule.missed, schedule.paused, schedule.created_by],
      ["Nightly report", "0 2 * * *", "Europe/Zurich", "once", false, "local"],
    );
    assertEquals(schedule.next_times.length, 5);
    for (const time of schedule.next_times) assertMatch(time, /^\d{4}-\d\d-\d\dT0[01]:00:00\.000Z$/);

    const path = `/api/schedules/${schedule.id}`;
    assertEquals((await (await call("/api/schedules")).json()).schedules, [schedule]);
    assertEquals(await (await call(`${path}/`)).json(), schedule);
    const paused = await (await call(`${path}/pause`, { method: "POST" })).json();
    assertEquals([paused.paused, paused.next_times], [true, []]);
    assertEquals((await (await call(`${path}/resume`, { method: "POST" })).json()).next_times, schedule.next_times);

    const triggered = await call(`${path}/trigger`, { method: "POST" });
    assertEquals(triggered.status, 201);
    const task = await triggered.json();
    assertEquals([task.schedule_id, task.priority, task.tags], [schedule.id, 3, ["night"]]);
    assertEquals(triggered.headers.get("Location"), `/api/tasks/${task.id}`);

    const deleted = await call(path, { method: "DELETE" });
    assertEquals([deleted.status, await deleted.text()], [204, ""]);
    for (const [method, at] of [["GET", path], ["DELETE", path], ["POST", `${path}/trigger`]]) {
      const gone = await call(at, { method });
      assertEquals([gone.status, (await gone.json()).code], [404, "not_found"]);
    }
  });
});

Deno.test("a wrong schedule is refused with a pointer to what is wrong", async () => {
  await withApp({}, async ({ send, call }) => {
    for (
      const [change, pointer] of [
        [{ cron: "61 * * * *" }, "/cron"],
        [{ timezone: "Mars" }, "/timezone"],
        [{ missed: "all" }, "/missed"],
        [{ task_type: "none" }, "/task_type"],
        [{ run_at: "2030-01-01T00:00:00Z" }, "/run_at"],
        [{ input_params: { extra: 1 } }, "/input_params/extra"],
        [{ cron: undefined }, "/cron"],
      ] as const
    ) {
      const answer = await send("POST", "/api/schedules", { ...nightly, ...change });
      assertEquals(answer.status, 422);
      assertEquals((await answer.json()).errors[0].pointer, pointer);
    }
    assertEquals((await (await call("/api/schedules")).json()).schedules, []);
  });
});

Deno.test("a viewer reads schedules and changes none", async () => {
  const tokens = [
    { name: "vera", role: "viewer" as const, secret: "viewer-secret-0123" },
    { name: "olga", role: "operator" as const, secret: "operator-secret-01" },
  ];
  await withApp({ tokens }, async ({ send, call }) => {
    const as = (secret: string) => ({ Authorization: `Bearer ${secret}` });
    const refused = await send("POST", "/api/schedules", nightly, as("viewer-secret-0123"));
    assertEquals([refused.status, (await refused.json()).code], [403, "forbidden"]);
    const made = await send("POST", "/api/schedules", nightly, as("operator-secret-01"));
    assertEquals((await made.json()).created_by, "olga");
    const list = await call("/api/schedules", { headers: as("viewer-secret-0123") });
    ok((await list.json()).schedules.length === 1);
  });
});
