/** Sign-in, sessions, and what a caller may take of the service. */

import type { Token } from "../../routes/settings.ts";
import { AuthThrottle } from "../../routes/limits/auth_throttle.ts";
import { parseNetwork } from "../../routes/network.ts";
import { silent } from "../../queue/log.ts";
import { assertEquals, assertMatch, assertThrows, ok } from "../support/assert.ts";
import { type Served, withApp } from "../support/http/app.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { reaches } from "../support/queue.ts";
import { closeCodeOf, dialWebSocket } from "../support/http/raw_socket.ts";

const TOKENS: Token[] = [
  { name: "vera", role: "viewer", secret: "viewer-secret-0123456789" },
  { name: "otto", role: "operator", secret: "operator-secret-01234567" },
  { name: "ada", role: "admin", secret: "admin-secret-0123456789" },
];
const [viewer, operator, admin] = TOKENS;
const as = (token: Token) => ({ Authorization: `Bearer ${token.secret}` });

async function signIn({ call }: Served, token: Token, headers: HeadersInit = {}): Promise<Response> {
  const answer = await call("/login", {
    method: "POST",
    body: new URLSearchParams({ token: token.secret }),
    redirect: "manual",
    headers,
  });
  await answer.body?.cancel();
  return answer;
}

const cookieOf = (answer: Response) => answer.headers.get("Set-Cookie")!.split(";")[0];

Deno.test("after five wrong tokens from an address each further one must wait, longer each time, and is logged", () => {
  const clock = new FakeClock();
  const said: string[] = [];
  const guesses = new AuthThrottle(clock, {
    ...silent,
    warn: (message, fields) => said.push(`${message} ${fields?.address}`),
  });
  for (let i = 0; i < 5; i++) {
    guesses.assertMayTry("192.0.2.1", `guess ${i}`);
    guesses.wrong("192.0.2.1", `guess ${i}`);
  }
  const waits: number[] = [];
  for (let i = 5; i < 10; i++) {
    assertThrows(
      () => guesses.assertMayTry("192.0.2.1", `guess ${i}`),
      (error: { status: number; headers: Record<string, string> }) => {
        waits.push(Number(error.headers["Retry-After"]));
        return error.status === 429;
      },
    );
    clock.sleep(waits.at(-1)! * 1000);
    guesses.assertMayTry("192.0.2.1", `guess ${i}`);
    guesses.wrong("192.0.2.1", `guess ${i}`);
  }
  assertEquals(waits, [1, 2, 4, 8, 16]);
  assertEquals(said, ["Invalid tokens: further attempts must wait. 192.0.2.1"]);
  // Others are not held up; the same wrong token is, wherever it comes from.
  guesses.assertMayTry("192.0.2.2", "another guess");
  for (let i = 0; i < 5; i++) guesses.wrong(`192.0.2.${10 + i}`, "one guess");
  assertThrows(() => guesses.assertMayTry("192.0.2.99", "one guess"), { status: 429 });
});

Deno.test("guesses at the API and at the sign-in are 429 with Retry-After, while a program that was let in goes on", async () => {
  await withApp({ tokens: TOKENS, worker: false }, async ({ call }) => {
    const good = () =>
      call("/api/me", { headers: as(operator) }).then(async (answer) => (await answer.body?.cancel(), answer.status));
    assertEquals(await good(), 200);
    const statuses: number[] = [];
    for (let i = 0; i < 8; i++) {
      const answer = await call("/api/me", { headers: { Authorization: `Bearer guess-number-${i}-of-many` } });
      statuses.push(answer.status);
      if (answer.status === 429) assertMatch(answer.headers.get("Retry-After")!, /^\d+$/);
      await answer.body?.cancel();
    }
    assertEquals(statuses, [401, 401, 401, 401, 401, 429, 429, 429]);
    const form = await call("/login", { method: "POST", body: new URLSearchParams({ token: "a guess in the form" }) });
    assertEquals(form.status, 429);
    assertMatch(await form.text(), /Too many invalid tokens/);
    assertEquals(await good(), 200);
  });
});

Deno.test("a sign-out ends the sign-in on the server, and its sockets and event streams in every tab", async () => {
  await withApp({ tokens: TOKENS }, async (served) => {
    const { call, send, origin, queue, held } = served;
    const { id } = await (await send("POST", "/api/tasks/submit", { task_type: "held" }, as(operator))).json();
    const handler = await held.next();
    const cookie = cookieOf(await signIn(served, operator));
    const other = cookieOf(await signIn(served, operator));
    const socket = await dialWebSocket(origin, `Cookie: ${cookie}\r\n`);
    const stays = await dialWebSocket(origin, `Cookie: ${other}\r\n`);
    const events = await call(`/api/tasks/${id}/events`, { headers: { Cookie: cookie, Accept: "text/event-stream" } });
    const told = events.body!.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; !text.includes("RUNNING");) {
      const { value, done } = await told.read();
      ok(!done, text);
      text += value;
    }
    const closed = closeCodeOf(socket);
    const out = await call("/logout", { method: "POST", headers: { Cookie: cookie }, redirect: "manual" });
    await out.body?.cancel();
    assertEquals(await closed, 4401);
    // The stream ends: with a fault if its end was cut off with the connection.
    await (async () => {
      while (!(await told.read()).done);
    })().catch((error) => ok(error instanceof TypeError, String(error)));
    const refused = await call("/api/me", { headers: { Cookie: cookie } });
    assertEquals(refused.status, 401);
    await refused.body?.cancel();
    const still = await call("/api/me", { headers: { Cookie: other } });
    assertEquals((await still.json()).name, "otto");
    socket.close();
    stays.close();
    handler.finish();
    await reaches(queue, id, "SUCCESS");
  });
});

Deno.test("the cookie is Secure behind a trusted proxy that speaks TLS, and nobody else's word is taken", async () => {
  const forwarded = { "X-Forwarded-Proto": "https" };
  await withApp({ tokens: TOKENS, worker: false, trustedProxies: [parseNetwork("127.0.0.0/8")] }, async (served) => {
    assertMatch((await signIn(served, viewer, forwarded)).headers.get("Set-Cookie")!, /; Secure/);
    ok(!/; Secure/.test((await signIn(served, viewer)).headers.get("Set-Cookie")!));
  });
  await withApp({ tokens: TOKENS, worker: false }, async (served) => {
    ok(!/; Secure/.test((await signIn(served, viewer, forwarded)).headers.get("Set-Cookie")!));
  });
});

Deno.test("one caller has a bounded number of WebSockets and event streams together; others still have theirs", async () => {
  const options = {
    tokens: TOKENS,
    worker: false,
    maxStreamsPerCaller: 3,
    trustedProxies: [parseNetwork("127.0.0.1")],
  };
  await withApp(options, async ({ call, send, origin }) => {
    const from = (token: Token, address: string) => ({ ...as(token), "X-Forwarded-For": address });
    const { id } = await (await send("POST", "/api/tasks/submit", { task_type: "noop", delay: 600 }, as(operator)))
      .json();
    const bearer = `Authorization: Bearer ${viewer.secret}\r\n`;
    const sockets = [];
    for (const address of ["192.0.2.1", "192.0.2.2"]) {
      sockets.push(await dialWebSocket(origin, `${bearer}X-Forwarded-For: ${address}\r\n`));
    }
    const events = () =>
      call(`/api/tasks/${id}/events`, { headers: { ...from(viewer, "192.0.2.3"), Accept: "text/event-stream" } });
    const third = await events();
    assertEquals(third.status, 200);
    const fourth = await events();
    assertEquals([fourth.status, (await fourth.json()).code], [429, "too_many_streams"]);
    assertEquals(fourth.headers.get("Retry-After"), "10");
    // Another token from another address.
    const other = await call(`/api/tasks/${id}/events`, {
      headers: { ...from(operator, "192.0.2.9"), Accept: "text/event-stream" },
    });
    assertEquals(other.status, 200);
    for (const socket of sockets) socket.close();
    await third.body?.cancel();
    await other.body?.cancel();
  });
});

Deno.test("a viewer sees no stacks, and no query of a callback; whoever runs the service does", async () => {
  await withApp({ tokens: TOKENS }, async ({ call, send, held, queue }) => {
    const callback_url = "https://hooks.example.com/done?key=secret";
    const body = { task_type: "held", max_attempts: 1, callback_url };
    const { id } = await (await send("POST", "/api/tasks/submit", body, as(operator))).json();
    (await held.next()).fail(new Error("boom"));
    await reaches(queue, id, "FAILED");
    const read = async (token: Token) => await (await call(`/api/tasks/${id}`, { headers: as(token) })).json();
    const seen = await read(viewer);
    assertEquals([seen.error, seen.callback_url], [
      { code: "error", message: "boom" },
      "https://hooks.example.com/done?…",
    ]);
    assertEquals(seen.attempts[0].error, { code: "error", message: "boom" });
    const whole = await read(operator);
    assertMatch(whole.error.stack, /Error: boom/);
    assertEquals([whole.callback_url, whole.submitted_by], [callback_url, "otto"]);
  });
});

Deno.test("who submitted, cancelled and retried is kept with the task and told in its history", async () => {
  await withApp({ tokens: TOKENS, worker: false }, async ({ call, send }) => {
    const { id } = await (await send("POST", "/api/tasks/submit", { task_type: "noop" }, as(operator))).json();
    await (await call(`/api/tasks/${id}`, { method: "DELETE", headers: as(admin) })).body?.cancel();
    await (await call(`/api/tasks/${id}/retry`, { method: "POST", headers: as(operator) })).body?.cancel();
    const task = await (await call(`/api/tasks/${id}`, { headers: as(viewer) })).json();
    assertEquals(task.submitted_by, "otto");
    assertEquals(task.actions.map(({ action, by }: Record<string, string>) => [action, by]), [["cancel", "ada"], [
      "retry",
      "otto",
    ]]);
    const { events } = await (await call(`/api/tasks/${id}/events`, { headers: as(viewer) })).json();
    assertEquals(events.map(({ status, detail }: Record<string, string>) => `${status} ${detail}`), [
      "PENDING submitted by otto",
      "CANCELLED Cancelled on request. By ada.",
      "PENDING retried by otto",
    ]);
  });
});

Deno.test("an operator who retries a task of the service's own is refused with 403, and so is a viewer who retries any", async () => {
  await withApp({ tokens: TOKENS, worker: false }, async ({ call, queue, send }) => {
    for (let i = 0; i < 2; i++) {
      const tasks = Array.from({ length: 150 }, () => ({ task_type: "noop" }));
      await (await send("POST", "/api/tasks/batch", { tasks }, as(operator))).body?.cancel();
    }
    const made = await queue.bulk.byFilter("cancel", { statuses: ["PENDING"] }, await queue.stream.head());
    ok(!Array.isArray(made));
    const { id } = made.task;
    await queue.cancel(id);
    const retry = async (token: Token, path = id) => {
      const answer = await call(`/api/tasks/${path}/retry`, { method: "POST", headers: as(token) });
      await answer.body?.cancel();
      return answer.status;
    };
    assertEquals([await retry(viewer), await retry(operator), await retry(admin)], [403, 403, 202]);
  });
});

Deno.test("tasks a second, open tasks, unused uploads, the load of schedules and free disk are bounded", async () => {
  const code = async (answer: Response) => [answer.status, (await answer.json()).code ?? null];
  await withApp({ worker: false, quotas: { tasksPerSecond: 1 } }, async ({ send }) => {
    const batch = { tasks: Array.from({ length: 150 }, () => ({ task_type: "noop" })) };
    assertEquals(await code(await send("POST", "/api/tasks/batch", batch)), [201, null]);
    const refused = await send("POST", "/api/tasks/batch", batch);
    assertMatch(refused.headers.get("Retry-After")!, /^\d+$/);
    assertEquals(await code(refused), [429, "too_many_tasks"]);
  });
  await withApp({ worker: false, quotas: { openTasks: 2 } }, async ({ send }) => {
    const batch = { tasks: Array.from({ length: 3 }, () => ({ task_type: "noop" })) };
    assertEquals(await code(await send("POST", "/api/tasks/batch", batch)), [429, "too_many_open_tasks"]);
    assertEquals(await code(await send("POST", "/api/tasks/submit", { task_type: "noop" })), [201, null]);
  });
  await withApp({ quotas: { openBytes: 1_000 } }, async ({ send, queue }) => {
    const large = { task_type: "held", input_params: { text: "x".repeat(5_000) }, delay: 3_600 };
    const { id } = await (await send("POST", "/api/tasks/submit", large)).json();
    assertEquals((await queue.openWork()).local, { tasks: 1, bytes: 5_011 });
    await queue.cancel(id);
    assertEquals((await queue.openWork()).local ?? {}, {});
  });
  await withApp({ worker: false, quotas: { unusedUploadBytes: 0 } }, async ({ call }) => {
    const upload = await call("/api/uploads?name=a.txt", { method: "POST", body: "x" });
    assertEquals(await code(upload), [507, "too_many_uploads"]);
  });
  // What has just been stored counts, although not all uploads were looked through since.
  await withApp({ worker: false, quotas: { unusedUploadBytes: 10 } }, async ({ call }) => {
    const upload = async () =>
      (await call("/api/uploads?name=a.txt", { method: "POST", body: "x".repeat(6) }).then(code))[0];
    assertEquals([await upload(), await upload()], [201, 507]);
  });
  await withApp({ worker: false, quotas: { scheduledPerHour: 4_000 } }, async ({ send, call }) => {
    const everySecond = { cron: "* * * * * *", task_type: "noop" };
    assertEquals((await send("POST", "/api/schedules", everySecond).then(code))[0], 201);
    const second = await send("POST", "/api/schedules", everySecond);
    const problem = await second.json();
    assertEquals([second.status, problem.errors[0].pointer], [422, "/cron"]);
    assertMatch(problem.errors[0].detail, /7,200 tasks an hour; 4,000 are allowed/);
    // Nor does it come in by a pause and a resume.
    const { schedules: [{ id }] } = await (await call("/api/schedules")).json();
    assertEquals((await send("POST", `/api/schedules/${id}/pause`, {}).then(code))[0], 200);
    assertEquals((await send("POST", "/api/schedules", everySecond).then(code))[0], 201);
    assertEquals((await send("POST", `/api/schedules/${id}/resume`, {}).then(code))[0], 422);
  });
  const storePath = Deno.cwd();
  await withApp(
    { worker: false, storePath, quotas: { freeDiskBytes: Number.MAX_SAFE_INTEGER } },
    async ({ send, call }) => {
      assertEquals(await code(await send("POST", "/api/tasks/submit", { task_type: "noop" })), [507, "disk_full"]);
      assertEquals((await call("/api/tasks/").then(code))[0], 200);
    },
  );
});
