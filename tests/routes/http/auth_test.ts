import { assertEquals, assertMatch, assertThrows, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { chunked, rawRequest } from "../../support/http/raw_http.ts";
import { readSettings, type Token } from "../../../routes/settings.ts";

const TOKENS: Token[] = [
  { name: "vera", role: "viewer", secret: "viewer-secret-0123456789" },
  { name: "otto", role: "operator", secret: "operator-secret-01234567" },
];
const as = (token: Token) => ({ headers: { Authorization: `Bearer ${token.secret}` } });
const [viewer, operator] = TOKENS;

Deno.test("with tokens every call, the page and the socket ask for one", async () => {
  await withApp({ tokens: TOKENS, worker: false }, async ({ call, send }) => {
    for (const path of ["/api/tasks/", "/api/stats", "/api/task-types", "/ws", "/"]) {
      const answer = await call(path);
      assertEquals([path, answer.status], [path, 401]);
      assertMatch(answer.headers.get("WWW-Authenticate")!, /^Bearer/);
      await answer.body?.cancel();
    }
    const health = await call("/api/health");
    assertEquals([health.status, await health.json()], [200, { status: "healthy" }]);
    const wrong = await call("/api/stats", { headers: { Authorization: "Bearer viewer-secret-0123456780" } });
    assertEquals(wrong.status, 401);
    await wrong.body?.cancel();
    const submit = await send("POST", "/api/tasks/submit", { task_type: "noop" });
    assertEquals(submit.status, 401);
    await submit.body?.cancel();
    const page = await call("/", { headers: { Accept: "text/html" }, redirect: "manual" });
    assertEquals([page.status, page.headers.get("Location")], [303, "/login"]);
    await page.body?.cancel();
  });
});

Deno.test("a viewer reads and may do nothing else; an operator submits, cancels and retries", async () => {
  await withApp({ tokens: TOKENS, worker: false }, async ({ call, send }) => {
    const body = { task_type: "noop" };
    const refused = await send("POST", "/api/tasks/submit", body, as(viewer).headers);
    assertEquals([refused.status, (await refused.json()).code], [403, "forbidden"]);
    const stored = await send("POST", "/api/tasks/submit", body, as(operator).headers);
    assertEquals(stored.status, 201);
    const { id } = await stored.json();
    const read = await call(`/api/tasks/${id}`, as(viewer));
    assertEquals([read.status, (await read.json()).id], [200, id]);
    for (const [method, path] of [["DELETE", ""], ["POST", "/retry"]]) {
      const not = await call(`/api/tasks/${id}${path}`, { method, ...as(viewer) });
      assertEquals(not.status, 403);
      await not.body?.cancel();
    }
    const upload = await call("/api/uploads", { method: "POST", body: "x", ...as(viewer) });
    assertEquals(upload.status, 403);
    await upload.body?.cancel();
    const cancelled = await call(`/api/tasks/${id}`, { method: "DELETE", ...as(operator) });
    assertEquals(cancelled.status, 200);
    await cancelled.body?.cancel();
    const page = await (await call("/", as(viewer))).text();
    ok(page.includes("Read-only access"));
    ok(!page.includes("New task"));
  });
});

Deno.test("login trades a token for an HttpOnly, SameSite=Strict cookie; a forged one is worth nothing", async () => {
  await withApp({ tokens: TOKENS, worker: false }, async ({ call }) => {
    const login = (token: string) =>
      call("/login", { method: "POST", body: new URLSearchParams({ token }), redirect: "manual" });
    const wrong = await login("nothing");
    assertEquals([wrong.status, wrong.headers.get("Set-Cookie")], [401, null]);
    await wrong.body?.cancel();
    const right = await login(operator.secret);
    await right.body?.cancel();
    const cookie = right.headers.get("Set-Cookie")!;
    assertEquals(right.status, 303);
    assertMatch(cookie, /HttpOnly/);
    assertMatch(cookie, /SameSite=Strict/);
    ok(!cookie.includes(operator.secret));
    const value = cookie.split(";")[0];
    const page = await call("/", { headers: { Cookie: value } });
    assertEquals(page.status, 200);
    ok((await page.text()).includes("otto, operator"));
    const forged = await call("/", { headers: { Cookie: value.replace("otto", "vera") } });
    assertEquals(forged.status, 401);
    await forged.body?.cancel();
  });
});

Deno.test("requests that change something are refused from another origin", async () => {
  await withApp({ worker: false }, async ({ send, origin }) => {
    const from = (headers: Record<string, string>) => send("POST", "/api/tasks/submit", { task_type: "noop" }, headers);
    const foreign = [["Origin", "https://evil.example"], ["Origin", "null"], ["Sec-Fetch-Site", "cross-site"]];
    for (const [name, value] of foreign) {
      const answer = await from({ [name]: value });
      assertEquals([answer.status, (await answer.json()).code], [403, "foreign_origin"]);
    }
    const own = await from({ Origin: origin, "Sec-Fetch-Site": "same-origin" });
    assertEquals(own.status, 201);
    await own.body?.cancel();
  });
});

Deno.test("without tokens only names of this machine are answered", async () => {
  await withApp({ worker: false }, async ({ origin }) => {
    const { port } = new URL(origin);
    const ask = async (host: string) => {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
      const request = `GET /api/stats HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
      await connection.write(new TextEncoder().encode(request));
      return (await new Response(connection.readable).text()).slice(9, 12);
    };
    assertEquals(await ask(`localhost:${port}`), "200");
    assertEquals(await ask(`evil.example:${port}`), "421");
  });
});

Deno.test("every answer carries the headers of a careful service", async () => {
  await withApp({ worker: false }, async ({ call }) => {
    for (const path of ["/", "/api/tasks/", "/api/nothing"]) {
      const { headers, body } = await call(path);
      assertEquals(headers.get("X-Content-Type-Options"), "nosniff");
      assertEquals(headers.get("Cache-Control"), "no-store");
      const policy = headers.get("Content-Security-Policy")!;
      ok(policy.includes("frame-ancestors 'none'") && !policy.includes("unsafe"), policy);
      await body?.cancel();
    }
  });
});

Deno.test("settings have defaults, and a bad one stops the start with its name and without its secret", () => {
  const read = (env: Record<string, string>) => readSettings((name) => env[name]);
  const defaults = read({});
  assertEquals([defaults.port, defaults.host, defaults.kvPath], [8000, "127.0.0.1", "./data/millrace.db"]);
  assertEquals(defaults.roles, { api: true, worker: true });
  const set = read({
    CONCURRENCY: "csv_processing=4, email_sending=10",
    RETENTION: "12h",
    API_TOKENS: "ana:admin:a-long-secret:with-colon",
    HOST: "0.0.0.0",
    ROLES: "worker",
  });
  assertEquals(set.concurrency, { csv_processing: 4, email_sending: 10 });
  assertEquals(set.retention, { SUCCESS: 43_200_000, FAILED: 43_200_000, CANCELLED: 43_200_000 });
  assertEquals(set.tokens, [{ name: "ana", role: "admin", secret: "a-long-secret:with-colon" }]);
  assertEquals(set.roles, { api: false, worker: true });
  const bad: [Record<string, string>, RegExp][] = [
    [{ PORT: "eighty" }, /PORT/],
    [{ PORT: "65536" }, /PORT/],
    [{ LEASE_MS: "10" }, /LEASE_MS/],
    [{ RETENTION: "forever" }, /RETENTION/],
    [{ ROLES: "api,cook" }, /ROLES/],
    [{ CONCURRENCY: "csv=0" }, /CONCURRENCY/],
    [{ LOG_LEVEL: "loud" }, /LOG_LEVEL/],
    [{ LOG_LEVEL: "info,kitchen=debug" }, /LOG_LEVEL.*kitchen/],
    [{ METRICS_PORT: "65536" }, /METRICS_PORT/],
    [{ MAX_TASKS_PER_MINUTE: "csv_processing" }, /MAX_TASKS_PER_MINUTE/],
    [{ MAX_REQUESTS_PER_SECOND: "0" }, /MAX_REQUESTS_PER_SECOND/],
    [{ ALERT_RULES: "[" }, /ALERT_RULES.*not JSON/],
    [{ ALERT_RULES: '[{"name": "a", "when": {"kind": "failures"}, "to": []}]' }, /ALERT_RULES.*\/0\/to/],
    [{ SENTRY_DSN: "https://hush@example.com/none" }, /SENTRY_DSN/],
    [{ OIDC_ISSUER: "https://id.example.com" }, /PUBLIC_URL/],
    [{ OIDC_ISSUER: "http://id.example.com", PUBLIC_URL: "https://example.com" }, /OIDC_ISSUER.*https/],
    [{ OIDC_ISSUER: "https://id.example.com", PUBLIC_URL: "https://example.com" }, /OIDC_ROLES/],
    [
      { OIDC_ISSUER: "https://id.example.com", PUBLIC_URL: "https://example.com", OIDC_ROLES: "king=all" },
      /OIDC_ROLES/,
    ],
    [{ API_TOKENS: "ana:king:hush-hush-hush-hush" }, /API_TOKENS/],
    [{ API_TOKENS: "ana:admin:hush" }, /API_TOKENS/],
    [{ HOST: "0.0.0.0" }, /API_TOKENS/],
  ];
  for (const [env, name] of bad) {
    assertThrows(() => read(env), (error: Error) => {
      assertMatch(error.message, name);
      ok(!error.message.includes("hush"), error.message);
      return true;
    });
  }
  assertEquals(read({ HOST: "0.0.0.0", AUTH: "off" }).host, "0.0.0.0");
  assertEquals(read({ LOG_LEVEL: "warn,run=debug" }).logLevels, { level: "warn", levels: { run: "debug" } });
  const [rule] = read({
    ALERT_RULES: '[{"name": "a", "when": {"kind": "failures"}, "to": [{"kind": "mail", "to": "a@example.com"}]}]',
  }).alertRules;
  assertEquals([rule.window, rule.when], [900, { kind: "failures", count: 1, share: 0 }]);
});

Deno.test("a login reads no more than a small form, whoever sends it", async () => {
  await withApp({ tokens: TOKENS, worker: false }, async ({ origin }) => {
    const head = "POST /login HTTP/1.1\r\nTransfer-Encoding: chunked";
    const { status, sent } = await rawRequest(origin, head, () => chunked(new Uint8Array(50_000)));
    assertEquals(status, 413);
    ok(sent < 20_000_000, `${sent} bytes were sent`);
  });
});
