/** Who goes over a limit is refused with the right answer and leaves nothing behind; whoever is honest beside it is served. */

import { systemClock } from "../../queue/task/clock.ts";
import { Allowances } from "../../routes/limits/allowances.ts";
import { parseNetwork } from "../../routes/network.ts";
import type { Token } from "../../routes/settings.ts";
import { assertEquals, assertMatch, ok } from "../support/assert.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { withApp } from "../support/http/app.ts";

const TOKENS: Token[] = [
  { name: "otto", role: "operator", secret: "operator-secret-0123456789" },
  { name: "olga", role: "operator", secret: "operator-secret-9876543210" },
];
const [otto, olga] = TOKENS;
const as = (token: Token) => ({ Authorization: `Bearer ${token.secret}` });
/** A clock that stands still for the service, so that no allowance refills. */
const still = { ...systemClock, monotonic: () => 0 };

Deno.test("an allowance refills at its rate, up to its burst; what is refused takes nothing", () => {
  const clock = new FakeClock();
  const allowances = new Allowances(clock, 2, 10);
  assertEquals([allowances.take("a", 11), allowances.take("a", 10), allowances.take("a"), allowances.take("b")], [
    false,
    true,
    false,
    true,
  ]);
  clock.sleep(1_500);
  assertEquals([allowances.left("a"), allowances.take("a", 3), allowances.take("a")], [3, true, false]);
  const { status, code, headers } = allowances.refusal("a", 7, "too_many", "No.");
  assertEquals([status, code, headers], [429, "too_many", {
    "Retry-After": "4",
    "RateLimit-Policy": '"too_many";q=10;w=5',
    RateLimit: '"too_many";r=0;t=4',
  }]);
  clock.sleep(3_600_000);
  assertEquals(allowances.left("a"), 10);
  // However many keys there are, only the newest are kept.
  for (let i = 0; i < 20_000; i++) allowances.take(`key ${i}`, 10);
  assertEquals([allowances.left("key 0"), allowances.left("key 19999")], [10, 0]);
});

Deno.test("requests of a token and of an address are limited, by API, page and socket alike; others are served", async () => {
  const limited = { tokens: TOKENS, worker: false, clock: still, quotas: { requestsPerSecond: 2 } };
  await withApp({ ...limited, trustedProxies: [parseNetwork("127.0.0.0/8")] }, async ({ call }) => {
    const from = async (address: string, token: Token | null, path = "/api/me") => {
      const answer = await call(path, { headers: { "X-Forwarded-For": address, ...token && as(token) } });
      const { code = null } = answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : {};
      await answer.body?.cancel().catch(() => {});
      return [answer.status, code, answer.headers.get("RateLimit")];
    };
    // Twenty at once, from several addresses.
    for (let i = 0; i < 20; i++) assertEquals((await from(`192.0.2.${i % 4}`, otto))[0], 200);
    const refused = [429, "too_many_requests", '"too_many_requests";r=0;t=1'];
    for (const path of ["/api/me", "/", "/ws", "/docs"]) assertEquals(await from("192.0.2.9", otto, path), refused);
    assertEquals((await from("192.0.2.9", olga))[0], 200);
    // An address, before anyone asks whose token it is.
    for (let i = 0; i < 20; i++) assertEquals((await from("198.51.100.1", null, "/login"))[0], 200);
    assertEquals(await from("198.51.100.1", null, "/login"), refused);
    assertEquals(await from("198.51.100.1", olga), refused);
    assertEquals((await from("198.51.100.2", olga))[0], 200);
  });
});

Deno.test("tasks a minute of a type are limited for all callers together, in batches and on the page too", async () => {
  const quotas = { tasksPerMinute: { noop: 5 } };
  await withApp({ tokens: TOKENS, worker: false, clock: still, quotas }, async ({ call, send, queue }) => {
    const submit = async (token: Token, ...types: string[]) => {
      const tasks = types.map((task_type) => ({ task_type }));
      const answer = await send("POST", "/api/tasks/batch", { tasks }, as(token));
      return [answer.status, (await answer.json()).code ?? null];
    };
    assertEquals(await submit(otto, "noop", "noop", "held", "noop"), [201, null]);
    assertEquals(await submit(olga, "noop", "noop", "noop"), [429, "too_many_of_type"]);
    assertEquals(await submit(olga, "noop", "noop"), [201, null]);
    // What could never be is not put off.
    assertEquals(await submit(olga, ...Array<string>(6).fill("noop")), [422, "invalid_input"]);
    const schedule = { cron: "0 2 * * *", task_type: "noop" };
    const { id } = await (await send("POST", "/api/schedules", schedule, as(olga))).json();
    const trigger = await send("POST", `/api/schedules/${id}/trigger`, {}, as(olga));
    assertEquals([trigger.status, (await trigger.json()).code], [429, "too_many_of_type"]);
    const one = await send("POST", "/api/tasks/submit", { task_type: "noop" }, as(olga));
    assertEquals([one.status, one.headers.get("Retry-After"), (await one.json()).code], [
      429,
      "12",
      "too_many_of_type",
    ]);
    const form = await call("/tasks", {
      method: "POST",
      body: new URLSearchParams({ task_type: "noop" }),
      headers: as(olga),
      redirect: "manual",
    });
    assertEquals(form.status, 429);
    await form.body?.cancel();
    assertEquals(await submit(olga, "held"), [201, null]);
    assertEquals((await queue.counts()).noop.PENDING, 5);
  });
});

Deno.test("uploads at once are limited by caller; one that ends, or fails, makes room", async () => {
  await withApp({ tokens: TOKENS, worker: false, quotas: { uploadsAtOnce: 2 } }, async ({ call, queue }) => {
    const open: ReadableStreamDefaultController<Uint8Array>[] = [];
    const slow = (token: Token) => {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          open.push(controller);
          controller.enqueue(new TextEncoder().encode("begin "));
        },
      });
      return call("/api/uploads?name=slow.txt", { method: "POST", body, headers: as(token) });
    };
    const quick = async (token: Token) => {
      const answer = await call("/api/uploads?name=a.txt", { method: "POST", body: "x", headers: as(token) });
      return [answer.status, (await answer.json()).code ?? null];
    };
    const first = slow(otto);
    const second = slow(otto);
    // Both are under way once a third is refused.
    while ((await quick(otto))[0] !== 429);
    assertEquals(await quick(otto), [429, "too_many_uploads_at_once"]);
    assertEquals(await quick(olga), [201, null]);
    open[0].close();
    assertEquals((await (await first).json()).size, 6);
    assertEquals(await quick(otto), [201, null]);
    open[1].error(new Error("gone"));
    await second.then(({ body }) => body?.cancel(), () => {});
    for (let i = 0; i < 3; i++) while ((await quick(otto))[0] !== 201);
    // What was begun and broken off left nothing.
    ok(await queue.uploads.unusedBytes() < 100);
  });
});

Deno.test("schedules are limited in number; deleting one makes room", async () => {
  await withApp({ worker: false, quotas: { schedules: 1 } }, async ({ call, send }) => {
    const create = async () => {
      const answer = await send("POST", "/api/schedules", { cron: "0 2 * * *", task_type: "noop" });
      return [answer.status, await answer.json()];
    };
    const [status, { id }] = await create();
    assertEquals(status, 201);
    const [refused, { errors }] = await create();
    assertEquals(refused, 422);
    assertMatch(errors[0].detail, /At most 1 schedules are allowed/);
    await (await call(`/api/schedules/${id}`, { method: "DELETE" })).body?.cancel();
    assertEquals((await create())[0], 201);
  });
});
