import { assertEquals, assertMatch, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";

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

Deno.test("a schedule is changed in part: times, parameters, options; what is wrong changes nothing", async () => {
  await withApp({}, async ({ call, send }) => {
    const made = await (await send("POST", "/api/schedules", {
      ...nightly,
      task_type: "held",
      input_params: { n: 1 },
      max_attempts: 2,
      timeout: 60,
      callback_url: "https://example.com/?key=secret",
      unique: { key: "report", period: 60 },
    })).json();
    const path = `/api/schedules/${made.id}`;
    const change = async (body: unknown) => {
      const answer = await send("PATCH", path, body);
      return { status: answer.status, ...await answer.json() };
    };
    assertEquals(await change({}), { ...made, status: 200 });
    const moved = await change({ cron: "30 7 * * 1-5", name: "Weekdays" });
    assertEquals([moved.cron, moved.name, moved.timezone, moved.input_params], [
      "30 7 * * 1-5",
      "Weekdays",
      "Europe/Zurich",
      { n: 1 },
    ]);
    for (const time of moved.next_times) assertMatch(time, /T0[56]:30:00/);
    const other = await change({ input_params: { n: 2 }, priority: null, max_attempts: null, tags: ["day"] });
    assertEquals([other.input_params, other.priority, other.max_attempts, other.tags, other.timeout, other.unique], [
      { n: 2 },
      0,
      null,
      ["day"],
      60,
      made.unique,
    ]);
    assertEquals(other.next_times, moved.next_times);
    for (
      const [body, pointer] of [
        [{ cron: "x" }, "/cron"],
        [{ cron: null }, "/cron"],
        [{ task_type: "none" }, "/task_type"],
        [{ paused: true }, "/paused"],
        [{ priority: 10 }, "/priority"],
      ] as const
    ) {
      const refused = await change(body);
      assertEquals([refused.status, refused.errors[0].pointer], [422, pointer]);
    }
    assertEquals(await (await call(path)).json(), await (await call(path)).json());
    await (await call(`${path}/pause`, { method: "POST" })).body?.cancel();
    const paused = await change({ cron: "0 1 * * *" });
    assertEquals([paused.paused, paused.next_times], [true, []]);
    const resumed = await (await call(`${path}/resume`, { method: "POST" })).json();
    for (const time of resumed.next_times) assertMatch(time, /T(23|00):00:00/);
    const run = await (await call(`${path}/trigger`, { method: "POST" })).json();
    assertEquals([run.input_params, run.callback_url, run.tags], [
      { n: 2 },
      "https://example.com/?key=secret",
      ["day"],
    ]);
    const gone = await send("PATCH", "/api/schedules/01ARZ3NDEKTSV4RRFFQ69G5FAV", {});
    assertEquals([gone.status, (await gone.json()).code], [404, "not_found"]);
  });
});

Deno.test("a changed schedule keeps its new files and lets go of the old ones", async () => {
  await withApp({}, async ({ call, send, kv }) => {
    const upload = async (name: string) => {
      const answer = await call(`/api/uploads?name=${name}`, { method: "POST", body: "a,b\n1,2\n" });
      return (await answer.json()).upload_id as string;
    };
    const [first, second] = [await upload("a.csv"), await upload("b.csv")];
    const refs = async () =>
      (await Array.fromAsync(kv.list({ prefix: ["upload_ref"] }))).map(({ key }) => key[1]).sort();
    const body = { cron: "0 2 * * *", task_type: "csv_processing", input_params: { upload_id: first } };
    const made = await (await send("POST", "/api/schedules", body)).json();
    assertEquals(await refs(), [first]);
    const path = `/api/schedules/${made.id}`;
    const changed = await (await send("PATCH", path, { input_params: { upload_id: second } })).json();
    assertEquals([changed.input_params.upload_id, await refs()], [second, [second]]);
    const missing = await send("PATCH", path, { input_params: { upload_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV" } });
    assertEquals([missing.status, (await missing.json()).errors[0].pointer], [422, "/input_params/upload_id"]);
    assertEquals(await refs(), [second]);
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

Deno.test("the same Idempotency-Key makes one schedule, one triggered task, one upload and one bulk task", async () => {
  await withApp({}, async ({ call, send, queue }) => {
    const key = { "Idempotency-Key": "once" };
    const twice = async (ask: () => Promise<Response>) => {
      const answers = [await ask(), await ask()];
      return {
        statuses: answers.map(({ status }) => status),
        bodies: await Promise.all(answers.map((one) => one.json())),
      };
    };
    const schedules = await twice(() => send("POST", "/api/schedules", nightly, key));
    assertEquals(schedules.statuses, [201, 200]);
    assertEquals(schedules.bodies[0].id, schedules.bodies[1].id);
    assertEquals((await (await call("/api/schedules")).json()).schedules.length, 1);
    const other = await send("POST", "/api/schedules", { ...nightly, name: "Another" }, key);
    assertEquals([other.status, (await other.json()).code], [422, "idempotency_mismatch"]);

    const path = `/api/schedules/${schedules.bodies[0].id}/trigger`;
    const triggered = await twice(() => call(path, { method: "POST", headers: { "Idempotency-Key": "now" } }));
    assertEquals(triggered.statuses, [201, 200]);
    assertEquals(triggered.bodies[0].id, triggered.bodies[1].id);

    const upload = await twice(() => call("/api/uploads?name=a.csv", { method: "POST", headers: key, body: "a\n1\n" }));
    assertEquals(upload.bodies[0].upload_id, upload.bodies[1].upload_id);
    const changed = await call("/api/uploads?name=a.csv", { method: "POST", headers: key, body: "a\n2\n" });
    assertEquals((await changed.json()).code, "idempotency_mismatch");

    await queue.pause("noop", "ana");
    for (let i = 0; i < 2; i++) {
      await queue.submitBatch(Array.from({ length: 150 }, () => ({ task_type: "noop" })));
    }
    const as_of = await queue.stream.head();
    const body = { action: "cancel", filter: { status: "PENDING" }, as_of };
    const bulk = await twice(() => send("POST", "/api/tasks/bulk", body, { "Idempotency-Key": "all" }));
    if (bulk.bodies.every(({ task }) => task)) assertEquals(bulk.bodies[0].task.id, bulk.bodies[1].task.id);
    assertEquals(bulk.statuses[0], 202);
  });
});

Deno.test("changes of a schedule at the same time keep each other", async () => {
  await withApp({}, async ({ call, send }) => {
    const { id } = await (await send("POST", "/api/schedules", nightly)).json();
    const changes = [{ name: "B" }, { cron: "0 7 * * *" }, { priority: 7 }, { tags: ["x"] }];
    for (const answer of await Promise.all(changes.map((body) => send("PATCH", `/api/schedules/${id}`, body)))) {
      assertEquals(answer.status, 200);
      await answer.body?.cancel();
    }
    const { name, cron, priority, tags } = await (await call(`/api/schedules/${id}`)).json();
    assertEquals([name, cron, priority, tags], ["B", "0 7 * * *", 7, ["x"]]);
  });
});
