/** Tokens that are made at run time, and the audit log. */

import { listeningEnds } from "../../queue/watch/messages.ts";
import { parse } from "@std/csv";
import { decode } from "../../queue/store/codec.ts";
import { keys } from "../../queue/store/keys.ts";
import { systemClock } from "../../queue/task/clock.ts";
import { ACTIONS } from "../../routes/access/audit.ts";
import { createApp } from "../../routes/app.ts";
import { Queue } from "../../queue/queue.ts";
import type { Token } from "../../routes/settings.ts";
import { assertEquals, assertMatch, assertRejects, ok } from "../support/assert.ts";
import { appOptions, type Served, withApp } from "../support/http/app.ts";
import { dialWebSocket } from "../support/http/raw_socket.ts";
import { noop } from "../support/queue.ts";

const TOKENS: Token[] = [
  { name: "ada", role: "admin", secret: "admin-secret-0123456789" },
  { name: "otto", role: "operator", secret: "operator-secret-0123456789" },
];
const [ada, otto] = TOKENS;
const as = (secret: string) => ({ Authorization: `Bearer ${secret}` });

/** Makes a token; returns its id and secret. */
async function make({ send }: Served, more: Record<string, unknown> = {}): Promise<{ id: string; secret: string }> {
  const answer = await send("POST", "/api/tokens", { name: "importer", role: "operator", ...more }, as(ada.secret));
  const token = await answer.json();
  assertEquals(answer.status, 201, JSON.stringify(token));
  return token;
}

async function statusOf({ call }: Served, secret: string, path = "/api/me", init: RequestInit = {}): Promise<number> {
  const answer = await call(path, { ...init, headers: { ...init.headers, ...as(secret) } });
  await answer.body?.cancel();
  return answer.status;
}

Deno.test("a token that was made is shown once, stored as a hash, works at once, and is gone once it is revoked", async () => {
  await withApp({ tokens: TOKENS, worker: false }, async (served) => {
    const { call, kv } = served;
    const { id, secret } = await make(served);
    assertMatch(secret, /^mr_[\w-]{43}$/);
    const listed = await (await call("/api/tokens", { headers: as(ada.secret) })).json();
    assertEquals(listed.tokens.map(({ name, role, created_by }: Record<string, string>) => [name, role, created_by]), [
      ["importer", "operator", "ada"],
    ]);
    for await (const { key, value } of kv.list({ prefix: [] })) {
      const text = key.join() + (value instanceof Uint8Array ? JSON.stringify(decode(value)) : "");
      ok(!text.includes(secret), `the secret is in ${key.join()}`);
    }
    assertEquals((await (await call("/api/me", { headers: as(secret) })).json()).name, "importer");
    assertEquals(await statusOf(served, ada.secret, `/api/tokens/${id}`, { method: "DELETE" }), 204);
    assertEquals(await statusOf(served, secret), 401);
    assertEquals(await statusOf(served, ada.secret, `/api/tokens/${id}`, { method: "DELETE" }), 404);
  });
});

Deno.test("only admins make, list and revoke tokens; names are unique; without authentication there are none", async () => {
  await withApp({ tokens: TOKENS, worker: false }, async (served) => {
    const { send } = served;
    for (const [method, path] of [["GET", ""], ["POST", ""], ["DELETE", "/01ARZ3NDEKTSV4RRFFQ69G5FAV"]]) {
      assertEquals(await statusOf(served, otto.secret, `/api/tokens${path}`, { method }), 403);
    }
    await make(served);
    const refused = async (body: unknown) => {
      const answer = await send("POST", "/api/tokens", body, as(ada.secret));
      return [answer.status, (await answer.json()).errors[0].pointer];
    };
    assertEquals(await refused({ name: "importer", role: "viewer" }), [422, "/name"]);
    assertEquals(await refused({ name: "otto", role: "viewer" }), [422, "/name"]);
    assertEquals(await refused({ name: "a/b", role: "viewer" }), [422, "/name"]);
    assertEquals(await refused({ name: "b", role: "owner" }), [422, "/role"]);
    assertEquals(await refused({ name: "b", role: "viewer", expires_at: "2020-01-01T00:00:00Z" }), [
      422,
      "/expires_at",
    ]);
    assertEquals(await refused({ name: "b", role: "viewer", task_types: ["nonsense"] }), [422, "/task_types/0"]);
  });
  await withApp({ worker: false }, async ({ send }) => {
    const answer = await send("POST", "/api/tokens", { name: "b", role: "viewer" });
    assertEquals([answer.status, (await answer.json()).code], [409, "no_authentication"]);
  });
});

Deno.test("a token ends with its time, and goes no faster than its rate", async () => {
  let now = systemClock.now();
  const clock = { ...systemClock, now: () => now, monotonic: () => 0 };
  await withApp({ tokens: TOKENS, worker: false }, async (served) => {
    const { secret } = await make(served, { rate: 1 });
    const statuses: number[] = [];
    for (let i = 0; i < 12; i++) statuses.push(await statusOf(served, secret));
    assertEquals(statuses.slice(0, 10), Array(10).fill(200));
    ok(statuses.includes(429));
    assertEquals(await statusOf(served, otto.secret), 200);
  });
  const kv = await Deno.openKv(":memory:");
  const queue = new Queue({ kv, definitions: [noop], worker: false, clock });
  await queue.start();
  const input = { name: "a", role: "viewer", task_types: null, rate: null, expires_at: now + 1_000 };
  const { secret } = await queue.tokens.create(input, "ada");
  assertEquals((await queue.tokens.withSecret(secret))?.name, "a");
  now += 1_000;
  assertEquals([await queue.tokens.withSecret(secret), await queue.tokens.named("a")], [null, null]);
  // Its name is free again.
  await queue.tokens.create({ ...input, expires_at: null }, "ada");
  assertEquals((await queue.tokens.named("a"))?.expires_at, null);
  await queue.stop();
  kv.close();
  await listeningEnds(kv);
});

Deno.test("revoking a token closes its sockets, event streams and sign-ins at once, and no others", async () => {
  await withApp({ tokens: TOKENS }, async (served) => {
    const { call, send, origin, held } = served;
    const { id, secret } = await make(served);
    const task = await (await send("POST", "/api/tasks/submit", { task_type: "held" }, as(secret))).json();
    const { finish } = await held.next();
    const login = await call("/login", {
      method: "POST",
      body: new URLSearchParams({ token: secret }),
      redirect: "manual",
    });
    await login.body?.cancel();
    const cookie = login.headers.get("Set-Cookie")!.split(";")[0];
    const sockets = await Promise.all([
      dialWebSocket(origin, `Authorization: Bearer ${secret}\r\n`),
      dialWebSocket(origin, `Cookie: ${cookie}\r\n`),
    ]);
    const other = await dialWebSocket(origin, `Authorization: Bearer ${otto.secret}\r\n`);
    const events = await call(`/api/tasks/${task.id}/events`, {
      headers: { ...as(secret), Accept: "text/event-stream" },
    });
    const me = () => call("/api/me", { headers: { Cookie: cookie } });
    assertEquals((await (await me()).json()).name, "importer");
    const ended = events.text().catch(() => "cut off");
    assertEquals(await statusOf(served, ada.secret, `/api/tokens/${id}`, { method: "DELETE" }), 204);
    await ended;
    for (const socket of sockets) {
      const bytes: number[] = [];
      const buffer = new Uint8Array(4_096);
      // The close frame has the code 4401 (0x11 0x31).
      for (let n = await socket.read(buffer); n !== null && n > 0; n = await socket.read(buffer)) {
        bytes.push(...buffer.subarray(0, n));
        if (bytes.some((byte, i) => byte === 0x88 && bytes[i + 2] === 0x11 && bytes[i + 3] === 0x31)) break;
      }
      ok(bytes.some((byte, i) => byte === 0x88 && bytes[i + 2] === 0x11 && bytes[i + 3] === 0x31));
      socket.close();
    }
    const refused = await me();
    assertEquals(refused.status, 401);
    await refused.body?.cancel();
    assertEquals(await statusOf(served, otto.secret), 200);
    other.close();
    finish();
  });
});

Deno.test("a token for some types submits and changes tasks of these alone, on every way in", async () => {
  await withApp({ tokens: TOKENS, worker: false }, async (served) => {
    const { send, call, submit: _, queue } = served;
    const { secret } = await make(served, { task_types: ["noop"] });
    const status = async (method: string, path: string, body?: unknown) => {
      const answer = await call(path, {
        method,
        headers: { ...as(secret), ...body !== undefined && { "Content-Type": "application/json" } },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const { detail = "" } = answer.status === 403 ? await answer.json() : {};
      if (answer.status !== 403) await answer.body?.cancel();
      return [answer.status, /This token is for/.test(detail)];
    };
    const no = [403, true];
    const held = (await queue.submit({ task_type: "held" })).task.task.id;
    const own = (await queue.submit({ task_type: "noop" })).task.task.id;
    const cron = { cron: "0 2 * * *" };
    const { schedule } = await queue.schedules.create({ ...cron, submission: { task_type: "held" } }, "ada");
    assertEquals(await status("POST", "/api/tasks/submit", { task_type: "noop" }), [201, false]);
    assertEquals(await status("POST", "/api/tasks/submit", { task_type: "held" }), no);
    assertEquals(
      await status("POST", "/api/tasks/batch", { tasks: [{ task_type: "noop" }, { task_type: "held" }] }),
      no,
    );
    assertEquals(await status("DELETE", `/api/tasks/${held}`), no);
    assertEquals(await status("POST", `/api/tasks/${held}/retry`), no);
    assertEquals(await status("DELETE", `/api/tasks/${own}`), [200, false]);
    assertEquals(await status("POST", "/api/tasks/bulk", { action: "cancel", ids: [held] }), no);
    const { as_of } = await (await call("/api/tasks", { headers: as(secret) })).json();
    const filter = (task_type?: string) => ({ action: "cancel", filter: { status: "PENDING", task_type }, as_of });
    assertEquals(await status("POST", "/api/tasks/bulk", filter()), no);
    assertEquals(await status("POST", "/api/tasks/bulk", filter("noop,held")), no);
    assertEquals(await status("POST", "/api/tasks/bulk", filter("noop")), [200, false]);
    assertEquals(await status("POST", "/api/schedules", { ...cron, task_type: "held" }), no);
    for (const path of ["pause", "resume", "trigger"]) {
      assertEquals(await status("POST", `/api/schedules/${schedule.id}/${path}`), no);
    }
    assertEquals(await status("PATCH", `/api/schedules/${schedule.id}`, { cron: "0 3 * * *" }), no);
    assertEquals(await status("DELETE", `/api/schedules/${schedule.id}`), no);
    assertEquals(await status("POST", "/api/task-types/held/pause"), no);
    assertEquals(await status("POST", "/api/undelivered/01ARZ3NDEKTSV4RRFFQ69G5FAV/retry"), no);
    const form = (path: string, fields: Record<string, string>) =>
      call(path, { method: "POST", headers: as(secret), body: new URLSearchParams(fields), redirect: "manual" })
        .then(async (answer) => (await answer.body?.cancel(), answer.status));
    assertEquals(await form("/tasks", { task_type: "held" }), 403);
    assertEquals(await form(`/tasks/${held}/cancel`, {}), 403);
    assertEquals(await form("/schedules", { id: schedule.id, action: "delete" }), 403);
    // It reads everything.
    assertEquals((await status("GET", `/api/tasks/${held}`))[0], 200);
    void send;
  });
});

Deno.test("entries with many long targets are kept, in pages that fit", async () => {
  const kv = await Deno.openKv(":memory:");
  const queue = new Queue({ kv, definitions: [noop], worker: false });
  await queue.start();
  const action = { role: "operator", from: "192.0.2.1", action: "task.cancel", status: 404, problem: "not_found" };
  for (let caller = 0; caller < 99; caller++) {
    for (let i = 0; i < 25; i++) queue.audit.add({ ...action, by: `caller ${caller}` }, [`${i} ${"x".repeat(190)}`]);
  }
  await queue.audit.flush();
  const { entries } = await queue.audit.read({}, 1_000);
  assertEquals(entries.length, 99);
  ok(entries.every(({ count, targets }) => count === 25 && targets.length === 25));
  await queue.stop();
  kv.close();
  await listeningEnds(kv);
});

Deno.test("the address of a channel is for admins alone, in rules and in the tasks that deliver", async () => {
  const viewer: Token = { name: "vera", role: "viewer", secret: "viewer-secret-0123456789" };
  await withApp({ tokens: [...TOKENS, viewer], worker: false }, async ({ call, send }) => {
    const rule = {
      name: "a",
      when: { kind: "instance_died" },
      to: [{ kind: "slack", url: "https://hooks.example.com/services/very-secret" }],
    };
    const { id } = await (await send("POST", "/api/alerts", rule, as(ada.secret))).json();
    const { task_ids: [task] } = await (await send("POST", `/api/alerts/${id}/test`, {}, as(ada.secret))).json();
    const read = async (path: string, secret: string) => await (await call(path, { headers: as(secret) })).text();
    for (const path of ["/api/alerts", `/api/tasks/${task}`, `/?task=${task}`, `/?new=noop&from=${task}`]) {
      if (path.includes("from=")) {
        for (const { secret } of [ada, otto, viewer]) ok(!(await read(path, secret)).includes("very-secret"), path);
        continue;
      }
      ok((await read(path, ada.secret)).includes(path.startsWith("/?") ? "hooks.example.com" : "very-secret"), path);
      for (const { secret } of [otto, viewer]) ok(!(await read(path, secret)).includes("very-secret"), path);
    }
    assertEquals(
      await call("/api/alerts", { headers: as(viewer.secret) }).then(async (a) => (await a.body?.cancel(), a.status)),
      403,
    );
  });
});

Deno.test("a token can make none that may do more, or for longer; one for some types makes none, nor alerts", async () => {
  await withApp({ tokens: TOKENS, worker: false }, async (served) => {
    const { call } = served;
    const post = async (secret: string, path: string, body: unknown) => {
      const headers = { ...as(secret), "Content-Type": "application/json" };
      const answer = await call(path, { method: "POST", headers, body: JSON.stringify(body) });
      const { errors } = await answer.json();
      return [answer.status, errors?.[0].pointer];
    };
    const hour = new Date(Date.now() + 3_600_000).toISOString();
    const short = await make(served, { name: "short", role: "admin", expires_at: hour });
    assertEquals(await post(short.secret, "/api/tokens", { name: "a", role: "admin" }), [422, "/expires_at"]);
    assertEquals(await post(short.secret, "/api/tokens", { name: "a", role: "admin", expires_at: hour }), [
      201,
      undefined,
    ]);
    const narrow = await make(served, { name: "narrow", role: "admin", task_types: ["noop"] });
    const rule = { name: "a", when: { kind: "instance_died" }, to: [{ kind: "mail", to: "a@example.com" }] };
    assertEquals((await post(narrow.secret, "/api/tokens", { name: "b", role: "admin" }))[0], 403);
    assertEquals((await post(narrow.secret, "/api/alerts", rule))[0], 403);
    assertEquals((await post(narrow.secret, "/api/suppressions", { addresses: ["a@example.com"] }))[0], 403);
  });
});

Deno.test("an expired token that is revoked takes nothing from one that has its name now", async () => {
  let now = systemClock.now();
  const kv = await Deno.openKv(":memory:");
  const queue = new Queue({ kv, definitions: [noop], worker: false, clock: { ...systemClock, now: () => now } });
  await queue.start();
  const input = { name: "a", role: "viewer", task_types: null, rate: null };
  const old = await queue.tokens.create({ ...input, expires_at: now + 1_000 }, "ada");
  now += 2_000;
  const { secret, token } = await queue.tokens.create({ ...input, expires_at: null }, "ada");
  await queue.tokens.revoke(old.token.id);
  assertEquals([(await queue.tokens.withSecret(secret))?.id, (await queue.tokens.named("a"))?.id], [
    token.id,
    token.id,
  ]);
  await assertRejects(queue.tokens.create({ ...input, expires_at: null }, "ada"), { code: "invalid_input" });
  await queue.stop();
  kv.close();
  await listeningEnds(kv);
});

Deno.test("what is refused is gathered: a flood of it makes few pages", async () => {
  await withApp({ tokens: TOKENS, worker: false }, async ({ call, kv, queue }) => {
    for (let i = 0; i < 60; i++) {
      const answer = await call("/api/tokens", {
        method: "POST",
        body: "{}",
        headers: { "Content-Type": "application/json" },
      });
      assertEquals(answer.status, 401);
      await answer.body?.cancel();
    }
    await queue.audit.flush();
    const pages = await Array.fromAsync(kv.list({ prefix: keys.audit() }));
    ok(pages.length < 15, `${pages.length} pages`);
    const { entries } = await queue.audit.read({ action: "token.create" }, 100);
    assertEquals(entries.reduce((sum, { count }) => sum + count, 0), 60);
  });
});

Deno.test("what is done on the pages is named as what it is, with what it was done to", async () => {
  await withApp({ tokens: TOKENS, worker: false }, async ({ call, queue }) => {
    const { schedule } = await queue.schedules.create({ cron: "0 2 * * *", submission: { task_type: "noop" } }, "ada");
    const form = async (path: string, fields: Record<string, string>) => {
      const body = new URLSearchParams(fields);
      await (await call(path, { method: "POST", headers: as(ada.secret), body, redirect: "manual" })).body?.cancel();
    };
    await form("/schedules", { id: schedule.id, action: "pause" });
    await form("/schedules", { id: schedule.id, action: "delete" });
    await form("/alerts", {
      action: "create",
      name: "a",
      when: "instance_died",
      channel: "mail",
      address: "a@example.com",
    });
    const [{ id: alert }] = await queue.alerts.list();
    await form("/alerts", { action: "delete", id: alert });
    await form("/examples", { task_type: "csv_processing" });
    const task = (await queue.list({}, 1)).states[0].task.id;
    await form(`/tasks/${task}/cancel`, {});
    await queue.audit.flush();
    const { entries } = await queue.audit.read({}, 100);
    assertEquals(entries.map(({ action, targets }) => [action, targets]).sort(), [
      ["alert.create", [alert]],
      ["alert.delete", [alert]],
      ["schedule.delete", [schedule.id]],
      ["schedule.pause", [schedule.id]],
      ["task.cancel", [task]],
      ["task.submit", [task]],
    ]);
  });
});

Deno.test("every route that changes something is in the audit log", async () => {
  const kv = await Deno.openKv(":memory:");
  const { app, close } = createApp(appOptions(new Queue({ kv, definitions: [noop] })));
  const changing = app.routes.filter(({ method, path }) => !["ALL", "GET"].includes(method) && path !== "/*")
    .map(({ method, path }) => `${method} ${path.replace(/(.)\/$/, "$1")}`);
  ok(changing.length > 20);
  assertEquals([...new Set(changing)].filter((route) => !(route in ACTIONS)), []);
  await close();
  kv.close();
  await listeningEnds(kv);
});

Deno.test("the audit log tells who did what, from where, with what outcome; many alike are one entry; it is filtered, paged, and CSV", async () => {
  await withApp({ tokens: TOKENS, worker: false }, async (served) => {
    const { call, send, queue, kv } = served;
    const ids: string[] = [];
    for (let i = 0; i < 30; i++) {
      ids.push((await (await send("POST", "/api/tasks/submit", { task_type: "noop" }, as(otto.secret))).json()).id);
    }
    await queue.audit.flush();
    assertEquals(await statusOf(served, otto.secret, `/api/tasks/${ids[0]}`, { method: "DELETE" }), 200);
    assertEquals(await statusOf(served, otto.secret, `/api/tasks/${ids[0]}`, { method: "DELETE" }), 409);
    assertEquals(
      await statusOf(served, "a-wrong-secret-0123456789", `/api/tasks/${ids[0]}`, { method: "DELETE" }),
      401,
    );
    const { id } = await make(served, { name: "evil" });
    assertEquals(await statusOf(served, ada.secret, `/api/tokens/${id}`, { method: "DELETE" }), 204);
    await queue.audit.flush();
    const read = async (query = "") => (await (await call(`/api/audit${query}`, { headers: as(ada.secret) })).json());
    const { entries, next } = await read();
    assertEquals(next, null);
    const told = entries.map((
      { by, role, from, action, status, problem, count }: Record<string, unknown>,
    ) => [by, role, from, action, status, problem, count]);
    const local = "127.0.0.1";
    assertEquals(told.slice(0, 2), [
      ["ada", "admin", local, "token.revoke", 204, null, 1],
      ["ada", "admin", local, "token.create", 201, null, 1],
    ]);
    const cancels = told.slice(2, 5).map((entry: unknown[]) => entry.join()).sort();
    assertEquals(cancels, [
      `,,${local},task.cancel,401,unauthorized,1`,
      `otto,operator,${local},task.cancel,200,,1`,
      `otto,operator,${local},task.cancel,409,illegal_transition,1`,
    ]);
    const submits = entries.slice(5);
    assertEquals(submits.reduce((sum: number, { count }: { count: number }) => sum + count, 0), 30);
    ok(submits.length < 10);
    // Each is named, however many are in an entry.
    assertEquals(submits.flatMap(({ targets }: { targets: string[] }) => targets).sort(), ids.toSorted());

    assertEquals((await read("?by=ada")).entries.length, 2);
    assertEquals((await read("?action=task.cancel&by=otto")).entries.length, 2);
    assertEquals((await read("?from=2099-01-01")).entries.length, 0);
    const page = await read("?limit=1");
    const rest = await read(`?limit=1000&before=${page.next}`);
    assertEquals([...page.entries, ...rest.entries], entries);
    const csv = await (await call("/api/audit.csv", { headers: as(ada.secret) })).text();
    const rows = parse(csv, { skipFirstRow: true });
    assertEquals(rows.length, entries.length);
    assertEquals([rows[0].by, rows[0].action, rows[0].status], ["ada", "token.revoke", "204"]);
    for (const path of ["/api/audit", "/api/audit.csv", "/audit"]) {
      assertEquals(await statusOf(served, otto.secret, path), 403);
    }
    const html = await (await call("/audit?action=token.create", { headers: as(ada.secret) })).text();
    assertMatch(html, /<td>token\.create<\/td>/);
    ok(!html.includes("<td>token.revoke"));
    // Secrets and bodies are in none of it, and KV removes it after 90 days.
    for await (const { value } of kv.list({ prefix: keys.audit() })) {
      const text = JSON.stringify(decode(value));
      ok(!/secret-0123456789|mr_/.test(text), text);
    }
  });
});
