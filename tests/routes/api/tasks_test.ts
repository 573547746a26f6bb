import type { Task } from "../../../queue/task/summary.ts";
import { assertEquals, assertMatch, ok } from "../../support/assert.ts";
import { type Served, withApp } from "../../support/http/app.ts";
import { allReach, reaches } from "../../support/queue.ts";
import { chunked, rawRequest } from "../../support/http/raw_http.ts";

interface ProblemBody {
  type: string;
  status: number;
  code: string;
  detail: string;
  errors?: { pointer?: string; parameter?: string; detail: string }[];
}

async function assertProblem(answer: Response, status: number, pointers: string[] = []): Promise<ProblemBody> {
  assertEquals(answer.headers.get("Content-Type"), "application/problem+json");
  const body: ProblemBody = await answer.json();
  assertEquals([answer.status, body.status], [status, status], JSON.stringify(body));
  assertEquals((body.errors ?? []).map(({ pointer, parameter }) => pointer ?? parameter).sort(), pointers.toSorted());
  ok(body.detail.length > 0);
  return body;
}

for (
  const [type, params] of [
    ["csv_processing", { num_rows: 100, processing_time: 5 }],
    ["email_sending", { num_emails: 1, delay_per_email: 0.5 }],
    ["image_processing", { num_images: 1, target_width: 100, target_height: 100 }],
  ] as const
) {
  Deno.test(`submission of ${type} answers 201 with the task and its address`, async () => {
    await withApp({ worker: false }, async ({ send, call }) => {
      const answer = await send("POST", "/api/tasks/submit", { task_type: type, input_params: params });
      assertEquals(answer.status, 201);
      const task: Task = await answer.json();
      assertEquals([task.status, task.task_type, task.wait_reason], ["PENDING", type, "ready"]);
      for (const [name, value] of Object.entries(params)) {
        assertEquals((task.input_params as Record<string, unknown>)[name], value);
      }
      const read = await call(answer.headers.get("Location")!);
      assertEquals(await read.json(), task);
    });
  });
}

Deno.test("defaults of each type are filled in", async () => {
  await withApp({ worker: false }, async ({ submit }) => {
    const params = async (type: string) => (await submit(type)).input_params as Record<string, unknown>;
    assertEquals(await params("csv_processing"), {
      num_rows: 1_000,
      processing_time: 10,
      header: true,
      max_bad_rows: 100_000,
      cleaned: false,
      cleaned_as: "csv",
      drop_bad_rows: true,
      escape_formulas: false,
    });
    const { body: _, ...email } = await params("email_sending");
    assertEquals(email, {
      num_emails: 10,
      subject: "Hello from Millrace",
      delay_per_email: 1,
      failure_rate: 0,
      dry_run: false,
    });
    assertEquals(await params("image_processing"), {
      num_images: 3,
      target_width: 800,
      target_height: 600,
      fit: "cover",
      position: "centre",
      format: "png",
      animation: "keep",
      quality: 85,
      sharpen: 0,
      keep_metadata: false,
      keep_profile: false,
      watermark_position: "bottom-right",
      watermark_width: 0.25,
      watermark_opacity: 0.7,
    });
  });
});

Deno.test("an unknown type is 422 at /task_type", async () => {
  await withApp({ worker: false }, async ({ send }) => {
    const answer = await send("POST", "/api/tasks/submit", { task_type: "laundry" });
    const { errors } = await assertProblem(answer, 422, ["/task_type"]);
    assertMatch(errors![0].detail, /csv_processing/);
  });
});

/** Each parameter with its range: least, greatest, one below, one above. */
const RANGES: [type: string, name: string, least: number, greatest: number, below: number, above: number][] = [
  ["csv_processing", "num_rows", 100, 10_000, 99, 10_001],
  ["csv_processing", "processing_time", 5, 60, 4.9, 60.1],
  ["email_sending", "num_emails", 1, 100, 0, 101],
  ["email_sending", "delay_per_email", 0.5, 5, 0.4, 5.1],
  ["email_sending", "failure_rate", 0, 1, -0.1, 1.1],
  ["image_processing", "num_images", 1, 20, 0, 21],
  ["image_processing", "target_width", 100, 2_000, 99, 2_001],
  ["image_processing", "target_height", 100, 2_000, 99, 2_001],
];

for (const [type, name, least, greatest, below, above] of RANGES) {
  Deno.test(`${type}.${name} takes ${least} to ${greatest} and refuses ${below} and ${above}`, async () => {
    await withApp({ worker: false }, async ({ send, queue }) => {
      const submit = (value: unknown) =>
        send("POST", "/api/tasks/submit", { task_type: type, input_params: { [name]: value } });
      for (const value of [least, greatest]) {
        const answer = await submit(value);
        assertEquals(answer.status, 201);
        await answer.body!.cancel();
      }
      for (const value of [below, above, "many", null]) {
        await assertProblem(await submit(value), 422, [`/input_params/${name}`]);
      }
      assertEquals((await queue.list({}, 10)).total, 2);
    });
  });
}

Deno.test("unknown fields, wrong types and values out of range of a submit are named by pointer", async () => {
  await withApp({ worker: false }, async ({ send }) => {
    const bad = (body: unknown) => send("POST", "/api/tasks/submit", body);
    await assertProblem(await bad({ task_type: "noop", colour: 1 }), 422, ["/colour"]);
    await assertProblem(await bad({ task_type: "noop", input_params: { a: 1 } }), 422, ["/input_params/a"]);
    await assertProblem(await bad({ task_type: 7, priority: 10, tags: [""], max_attempts: 0 }), 422, [
      "/task_type",
      "/priority",
      "/tags/0",
      "/max_attempts",
    ]);
    await assertProblem(await bad({ task_type: "noop", run_at: "tomorrow" }), 422, ["/run_at"]);
    await assertProblem(await bad({ task_type: "noop", run_at: "2999-01-01T00:00:00Z" }), 422, ["/run_at"]);
    await assertProblem(await bad({ task_type: "noop", run_at: "2030-01-01T00:00:00Z", delay: 1 }), 422, ["/delay"]);
    await assertProblem(await bad([]), 422, [""]);
    await assertProblem(await bad({ task_type: "held", input_params: { "a/b~c": "x".repeat(40_000) } }), 422, [
      "/input_params",
    ]);
    await assertProblem(
      await bad({ task_type: "csv_processing", input_params: { upload_id: "0".repeat(26) } }),
      422,
      ["/input_params/upload_id"],
    );
  });
});

Deno.test("broken JSON is 400, another content type 415, a body over the limit 413", async () => {
  await withApp({ worker: false }, async ({ call, send, origin }) => {
    const post = (body: BodyInit, type: string) =>
      call("/api/tasks/submit", { method: "POST", body, headers: { "Content-Type": type } });
    await assertProblem(await post("{", "application/json"), 400);
    await assertProblem(await post(new Uint8Array([0x22, 0xff, 0x22]), "application/json"), 400);
    await assertProblem(await post("{}", "text/plain"), 415);
    await assertProblem(await send("POST", "/api/tasks/submit", { x: "x".repeat(800_000) }), 413);
    const head = "POST /api/tasks/submit HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked";
    const endless = await rawRequest(origin, head, () => chunked(new Uint8Array(50_000)));
    assertEquals(endless.status, 413);
  });
});

Deno.test("unknown ids are 404, unknown addresses 404, other methods 405 with Allow", async () => {
  await withApp({ worker: false }, async ({ call }) => {
    const id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for (const path of ["", "/events", "/logs", "/artifacts/a.txt"]) {
      await assertProblem(await call(`/api/tasks/${id}${path}`), 404);
    }
    await assertProblem(await call(`/api/tasks/${id}`, { method: "DELETE" }), 404);
    await assertProblem(await call(`/api/tasks/${id}/retry`, { method: "POST" }), 404);
    await assertProblem(await call("/api/nothing"), 404);
    const long = "x".repeat(3_000);
    for (const path of [long, `${long}/events`, `${long}/artifacts/a`, `${id}/artifacts/${long}`]) {
      await assertProblem(await call(`/api/tasks/${path}`), 404);
    }
    assertEquals((await (await call(`/api/tasks/?task_type=${long}`)).json()).tasks, []);
    const page = await call(`/?task=${long}`);
    assertEquals([page.status, (await page.text()).includes("Not found")], [200, true]);
    await assertProblem(await call("/tasks", { method: "POST", body: "{}" }), 400);
    await assertProblem(await call("/ws", { headers: { Upgrade: "websocket" } }), 400);
    const put = await call("/api/tasks/submit", { method: "PUT" });
    assertEquals(put.headers.get("Allow"), "POST, OPTIONS");
    await assertProblem(put, 405);
  });
});

Deno.test("HEAD answers as GET without a body, OPTIONS names the methods, trailing slashes do not matter", async () => {
  await withApp({ worker: false }, async ({ call, submit }) => {
    const task = await submit("noop");
    const head = await call(`/api/tasks/${task.id}`, { method: "HEAD" });
    assertEquals([head.status, await head.text()], [200, ""]);
    const options = await call(`/api/tasks/${task.id}`, { method: "OPTIONS" });
    assertEquals([options.status, options.headers.get("Allow")], [204, "GET, HEAD, DELETE, OPTIONS"]);
    for (const path of ["/api/tasks", "/api/tasks/", `/api/tasks/${task.id}/`, "/api/health/", "/api/task-types/"]) {
      const answer = await call(path);
      assertEquals([path, answer.status], [path, 200]);
      await answer.body!.cancel();
    }
  });
});

async function list({ call }: Served, query: string) {
  const answer = await call(`/api/tasks/?${query}`);
  assertEquals(answer.status, 200);
  return await answer.json() as {
    tasks: Task[];
    next_cursor: string | null;
    total: number;
    total_capped: boolean;
    as_of: string;
  };
}

Deno.test("list, filter by status, by type and by both", async () => {
  await withApp({}, async (served) => {
    const { submit, queue, held } = served;
    const done = await submit("noop");
    await reaches(queue, done.id, "SUCCESS");
    const running = await submit("held");
    const handler = await held.next();
    const waiting = await submit("held", {}, { delay: 3_600 });
    const ids = async (query: string) => (await list(served, query)).tasks.map(({ id }) => id);
    assertEquals(await ids(""), [waiting.id, running.id, done.id]);
    assertEquals(await ids("status=RUNNING"), [running.id]);
    assertEquals(await ids("status=pending&status=success"), [waiting.id, done.id]);
    assertEquals(await ids("task_type=held"), [waiting.id, running.id]);
    assertEquals(await ids("task_type=held&status=PENDING"), [waiting.id]);
    assertEquals(await ids("task_type=noop&status=PENDING"), []);
    assertEquals((await list(served, "status=RUNNING")).total, 1);
    assertEquals((await list(served, "")).tasks[0].wait_reason, "scheduled");
    assertEquals("input_params" in (await list(served, "")).tasks[0], false);
    handler.finish();
    await reaches(queue, running.id, "SUCCESS");
  });
});

Deno.test("paging shows no task twice and misses none while new ones arrive", async () => {
  await withApp({ worker: false }, async (served) => {
    const ids: string[] = [];
    for (let i = 0; i < 12; i++) ids.push((await served.submit("noop")).id);
    const seen: string[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const page: Awaited<ReturnType<typeof list>> = await list(served, `limit=5&cursor=${cursor}`);
      seen.push(...page.tasks.map(({ id }) => id));
      cursor = page.next_cursor;
      await served.submit("noop");
    }
    assertEquals(seen, ids.toReversed());
  });
});

Deno.test("a list's wrong parameters are all named", async () => {
  await withApp({ worker: false }, async ({ call }) => {
    const answer = await call("/api/tasks/?status=DONE&limit=0&cursor=x&colour=red");
    await assertProblem(answer, 400, ["status", "limit", "cursor", "colour"]);
  });
});

Deno.test("cancel PENDING and cancel RUNNING answer 200 CANCELLED; cancel of a terminal task is 409", async () => {
  await withApp({}, async ({ call, submit, held }) => {
    const waiting = await submit("held", {}, { delay: 3_600 });
    const running = await submit("held");
    const handler = await held.next();
    for (const { id } of [waiting, running]) {
      const answer = await call(`/api/tasks/${id}`, { method: "DELETE" });
      assertEquals([answer.status, (await answer.json()).status], [200, "CANCELLED"]);
      await assertProblem(await call(`/api/tasks/${id}`, { method: "DELETE" }), 409);
    }
    ok(handler.ctx.signal.aborted);
  });
});

Deno.test("retry FAILED and retry CANCELLED answer 202 PENDING; retry of others is 409", async () => {
  await withApp({}, async ({ call, submit, held, queue }) => {
    const retry = (id: string) => call(`/api/tasks/${id}/retry`, { method: "POST" });
    const task = await submit("held", {}, { max_attempts: 1 });
    const first = await held.next();
    await assertProblem(await retry(task.id), 409);
    first.fail(new Error("broken pipe"));
    const failed = await reaches(queue, task.id, "FAILED");
    assertEquals(failed.task.error?.message, "broken pipe");
    const again = await retry(task.id);
    assertEquals([again.status, (await again.json()).status], [202, "PENDING"]);
    await held.next();
    await queue.cancel(task.id);
    const third = await retry(task.id);
    assertEquals([third.status, (await third.json()).status], [202, "PENDING"]);
    (await held.next()).finish();
    await reaches(queue, task.id, "SUCCESS");
    await assertProblem(await retry(task.id), 409);
    const waiting = await submit("held", {}, { delay: 3_600 });
    await assertProblem(await retry(waiting.id), 409);
  });
});

Deno.test("Idempotency-Key: 201, then 200 with the same task; another body is 422", async () => {
  await withApp({ worker: false }, async ({ send }) => {
    const post = (body: unknown, key: string) => send("POST", "/api/tasks/submit", body, { "Idempotency-Key": key });
    const first = await post({ task_type: "noop" }, "k1");
    const second = await post({ task_type: "noop" }, "k1");
    assertEquals([first.status, second.status], [201, 200]);
    assertEquals((await first.json()).id, (await second.json()).id);
    const later = [
      await post({ task_type: "noop", delay: 60 }, "k2"),
      await post({ task_type: "noop", delay: 60 }, "k2"),
    ];
    assertEquals(later.map(({ status }) => status), [201, 200]);
    for (const answer of later) await answer.body?.cancel();
    await assertProblem(await post({ task_type: "noop", priority: 3 }, "k1"), 422);
    await assertProblem(await post({ task_type: "noop" }, "with space"), 400, ["Idempotency-Key"]);
  });
});

Deno.test("a batch with an Idempotency-Key makes its tasks once", async () => {
  await withApp({ worker: false }, async ({ send }) => {
    const post = (tasks: unknown[]) => send("POST", "/api/tasks/batch", { tasks }, { "Idempotency-Key": "b1" });
    const batch = [{ task_type: "noop", delay: 60 }, { task_type: "noop" }];
    const [first, second] = [await post(batch), await post(batch)];
    assertEquals([first.status, second.status], [201, 200]);
    const idsOf = async (answer: Response) => (await answer.json()).tasks.map(({ id }: Task) => id);
    assertEquals(await idsOf(first), await idsOf(second));
    await assertProblem(await post([{ task_type: "noop" }]), 422);
  });
});

Deno.test("a batch that one atomic cannot take is refused with the limit that it is over", async () => {
  await withApp({ worker: false }, async ({ send, queue }) => {
    const tasks = Array.from({ length: 200 }, (_, i) => ({
      task_type: "noop",
      ref: `${i}`,
      expires_in: 60,
      depends_on: i > 2 ? [`${i - 1}`, `${i - 2}`] : [],
    }));
    const problem = await assertProblem(await send("POST", "/api/tasks/batch", { tasks }), 422, ["/tasks"]);
    assertMatch(problem.errors![0].detail, /at most 1,000 writes; this one needs 1,\d\d\d\. Split it/);
    assertEquals((await queue.list({}, 1)).total, 0);
  });
});

Deno.test("a batch is stored whole or not at all", async () => {
  await withApp({ worker: false }, async ({ send, queue }) => {
    const good = { task_type: "noop" };
    const stored = await send("POST", "/api/tasks/batch", { tasks: [good, good, good] });
    assertEquals([stored.status, (await stored.json()).tasks.length], [201, 3]);
    const bad = await send("POST", "/api/tasks/batch", {
      tasks: [good, { task_type: "noop", input_params: { a: 1 } }],
    });
    await assertProblem(bad, 422, ["/tasks/1/input_params/a"]);
    await assertProblem(await send("POST", "/api/tasks/batch", { tasks: [] }), 422, ["/tasks"]);
    assertEquals((await queue.list({}, 10)).total, 3);
  });
});

Deno.test("1,000 submits sent at once all answer 201, all are stored, and end terminal", async () => {
  await withApp({}, async ({ send, queue }) => {
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, () => send("POST", "/api/tasks/submit", { task_type: "noop" })),
    );
    const ids = new Set<string>();
    for (const answer of answers) {
      assertEquals(answer.status, 201);
      ids.add((await answer.json()).id);
    }
    assertEquals(ids.size, 1_000);
    await allReach(queue, 1_000, "SUCCESS");
    for (const id of ids) assertEquals((await queue.get(id)).task.status, "SUCCESS");
  });
});

Deno.test("events as JSON tell the changes of status and the log in order", async () => {
  await withApp({}, async ({ call, submit, held, queue }) => {
    const task = await submit("held");
    const handler = await held.next();
    handler.ctx.log.warn("careful");
    handler.finish();
    await reaches(queue, task.id, "SUCCESS");
    const { events } = await (await call(`/api/tasks/${task.id}/events`)).json();
    const told = events.map((event: Record<string, string>) => event.status ?? event.text);
    assertEquals(told.toSorted(), ["PENDING", "RUNNING", "SUCCESS", "careful"]);
    assertEquals(told[0], "PENDING");
    const log = await (await call(`/api/tasks/${task.id}/logs`)).json();
    assertEquals(log.lines.map(({ level, text }: Record<string, string>) => [level, text]), [["warn", "careful"]]);
    assertEquals((await (await call(`/api/tasks/${task.id}/logs?after=${log.next}`)).json()).lines, []);
  });
});

Deno.test("events as SSE show progress and end with the task", async () => {
  await withApp({}, async ({ call, submit, held }) => {
    const task = await submit("held");
    const handler = await held.next();
    const answer = await call(`/api/tasks/${task.id}/events`, { headers: { Accept: "text/event-stream" } });
    assertMatch(answer.headers.get("Content-Type")!, /^text\/event-stream/);
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    const until = async (wanted: string) => {
      while (!text.includes(wanted)) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`The stream ended without ${wanted}: ${text}`);
        text += value;
      }
    };
    await until('"RUNNING"');
    handler.ctx.log.info("half way");
    handler.ctx.progress(50, "row 5");
    await until('"progress":50');
    await until("half way");
    handler.finish({ ok: true });
    await until('"SUCCESS"');
    while (!(await reader.read()).done);
  });
});

Deno.test("artifacts are handed out for saving unless they are harmless, sandboxed, with ETag", async () => {
  await withApp({}, async ({ call, submit, held, queue }) => {
    const task = await submit("held");
    const handler = await held.next();
    await handler.ctx.artifact("page.html", "<script>1</script>", "text/html");
    await handler.ctx.artifact("naïve é'.txt", "hello", "text/plain");
    handler.finish();
    await reaches(queue, task.id, "SUCCESS");
    const whole: Task = await (await call(`/api/tasks/${task.id}`)).json();
    assertEquals(whole.artifacts.map(({ name, size }) => [name, size]), [["naïve é'.txt", 5], ["page.html", 18]]);
    const html = await call(`/api/tasks/${task.id}/artifacts/page.html`);
    assertMatch(html.headers.get("Content-Disposition")!, /^attachment; filename="page.html"/);
    assertMatch(html.headers.get("Content-Security-Policy")!, /sandbox/);
    assertEquals(html.headers.get("Content-Length"), "18");
    assertEquals(await html.text(), "<script>1</script>");
    const path = `/api/tasks/${task.id}/artifacts/${encodeURIComponent("naïve é'.txt")}`;
    const text = await call(path);
    assertMatch(text.headers.get("Content-Disposition")!, /^inline; .*filename\*=UTF-8''na%C3%AFve%20%C3%A9%27\.txt$/);
    assertEquals(await text.text(), "hello");
    const again = await call(path, { headers: { "If-None-Match": text.headers.get("ETag")! } });
    assertEquals([again.status, await again.text()], [304, ""]);
  });
});

Deno.test("health says healthy with its checks, and 503 once the queue has stopped", async () => {
  await withApp({}, async ({ call, queue }) => {
    const well = await call("/api/health");
    assertEquals(well.status, 200);
    const { status, checks, backlog_age_ms } = await well.json();
    assertEquals([status, checks, backlog_age_ms], ["healthy", { kv: true, runner: true }, 0]);
    await queue.stop();
    const ill = await call("/api/health");
    assertEquals([ill.status, (await ill.json()).status], [503, "unhealthy"]);
  });
});

Deno.test("task types are listed with their schema, stats with exact counts", async () => {
  await withApp({ worker: false }, async ({ call, submit }) => {
    await submit("noop");
    const { task_types } = await (await call("/api/task-types")).json();
    const csv = task_types.find(({ type }: { type: string }) => type === "csv_processing");
    assertEquals(csv.params.properties.num_rows.maximum, 10_000);
    const stats = await (await call("/api/stats")).json();
    assertEquals([stats.total, stats.by_status.PENDING, stats.by_type.noop.PENDING], [1, 1, 1]);
  });
});
