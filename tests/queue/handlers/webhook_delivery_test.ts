import { Webhook } from "standardwebhooks";
import { systemClock } from "../../../queue/task/clock.ts";
import { isPublic } from "../../../queue/handlers/webhook/post.ts";
import { waitOf, webhookDelivery, type WebhookOptions } from "../../../queue/handlers/webhook_delivery.ts";
import { Queue } from "../../../queue/queue.ts";
import type { TaskRecord } from "../../../queue/task/record.ts";
import { assertEquals, assertMatch, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { driven, FakeClock } from "../../support/fake_clock.ts";
import { heldType, reaches } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

const SECRETS = ["one secret of 24 bytes..", "another secret, 24 bytes"].map((text) => `whsec_${btoa(text)}`);

interface Received {
  headers: Headers;
  body: string;
  path: string;
}

/** Serves answers one after another, the last one again and again. */
async function withReceiver(
  answers: (() => Response)[],
  test: (url: string, received: Received[]) => Promise<void>,
): Promise<void> {
  const received: Received[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    received.push({ headers: request.headers, body: await request.text(), path: new URL(request.url).pathname });
    return answers[Math.min(received.length, answers.length) - 1]();
  });
  try {
    await test(`http://127.0.0.1:${server.addr.port}/hook`, received);
  } finally {
    await server.shutdown();
  }
}

/** Delivers once and gives the ended task; a clock that is driven lets retries come. */
async function deliver(
  options: WebhookOptions,
  url: string,
  more: Record<string, unknown> = {},
  onClock: (clock: FakeClock) => void = () => {},
): Promise<TaskRecord> {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock(systemClock.now());
  onClock(clock);
  const queue = new Queue({ kv, clock, definitions: [webhookDelivery(clock, options)] });
  await queue.start();
  try {
    const submission = { task_type: "webhook_delivery", input_params: { url, body: { n: 1 } }, ...more };
    const { task: { task: { id } } } = await queue.submit(submission);
    return (await driven(clock, reaches(queue, id, "SUCCESS", "FAILED"))).task;
  } finally {
    await driven(clock, queue.stop());
    kv.close();
    await listeningEnds(kv);
  }
}

const open = { allowPrivate: true };

Deno.test("a delivery is signed by each secret as Standard Webhooks says, and its answer is kept", async () => {
  await withReceiver([() => new Response("thanks", { status: 202 })], async (url, received) => {
    const task = await deliver({ ...open, secrets: SECRETS }, url);
    assertEquals(task.status, "SUCCESS");
    assertEquals(task.result, { status: 202, response_bytes: 6, response_truncated: false, signed: true });
    const [{ headers, body }] = received;
    assertEquals(body, '{"n":1}');
    assertEquals(headers.get("webhook-id"), `msg_${task.id}`);
    for (const secret of SECRETS) new Webhook(secret).verify(body, Object.fromEntries(headers));
    assertEquals(headers.get("webhook-signature")!.split(" ").length, 2);
  });
});

Deno.test("Retry-After is read in seconds and as a date, within a day", () => {
  const now = Date.UTC(2030, 0, 1);
  const cases: [string, number | null][] = [
    ["120", 120_000],
    [" 0 ", null],
    ["Tue, 01 Jan 2030 00:05:00 GMT", 300_000],
    ["Mon, 31 Dec 2029 23:00:00 GMT", null],
    ["99999999999", 86_400_000],
    ["Fri, 01 Jan 2040 00:00:00 GMT", 86_400_000],
    ["soon", null],
    ["-5", null],
    ["1.5", null],
    ["2030-01-01T00:05:00Z", null],
    ["", null],
  ];
  for (const [header, expected] of cases) assertEquals(waitOf(header, now), expected, header);
});

for (const [status, header] of [[429, "seconds"], [503, "date"]] as const) {
  Deno.test(`a receiver that answers ${status} is left alone as long as it asks, told by ${header}`, async () => {
    let clock!: FakeClock;
    const asked = () => header === "seconds" ? "30" : new Date(clock.now() + 30_000).toUTCString();
    const answers = [
      () => new Response(null, { status, headers: { "Retry-After": asked() } }),
      () => new Response(null, { status: 204 }),
    ];
    await withReceiver(answers, async (url) => {
      const task = await deliver(open, url, {}, (made) => clock = made);
      const [first, second] = task.attempts;
      const waited = second.started_at - first.completed_at;
      // A date has no milliseconds.
      ok(waited >= 29_000 && waited < 70_000, `${waited} ms`);
      assertEquals(first.error!.code, "retry_later");
      assertMatch(first.error!.message, /asks to wait for (29|30) s\.$/);
    });
  });
}

Deno.test("an answer of 500 or 429 is tried again under the same id, until it is taken", async () => {
  const answers = [500, 429, 204].map((status) => () => new Response(null, { status }));
  await withReceiver(answers, async (url, received) => {
    const task = await deliver(open, url);
    assertEquals([task.status, task.attempts.map(({ outcome }) => outcome)], ["SUCCESS", [
      "failed",
      "failed",
      "success",
    ]]);
    assertEquals(new Set(received.map(({ headers }) => headers.get("webhook-id"))).size, 1);
    assertMatch(task.attempts[0].error!.message, /^127\.0\.0\.1:\d+ answered 500\.$/);
  });
});

for (const [status, message] of [[404, /answered 404\.$/], [410, /answered 410\.$/]] as const) {
  Deno.test(`an answer of ${status} is final`, async () => {
    await withReceiver([() => new Response(null, { status })], async (url, received) => {
      const task = await deliver(open, url);
      assertEquals([task.status, task.error!.code, received.length], ["FAILED", "non_retryable", 1]);
      assertMatch(task.error!.message, message);
    });
  });
}

Deno.test("a redirect is not followed", async () => {
  const redirect = () => new Response(null, { status: 307, headers: { Location: "/elsewhere" } });
  await withReceiver([redirect], async (url, received) => {
    const task = await deliver(open, url);
    assertEquals([task.status, received.map(({ path }) => path)], ["FAILED", ["/hook"]]);
    assertMatch(task.error!.message, /redirects are not followed/);
  });
});

Deno.test("of a long answer 64 KB are kept, and the rest is not read", async () => {
  let sent = 0;
  const endless = () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          sent += 16_384;
          controller.enqueue(new Uint8Array(16_384).fill(97));
        },
      }),
    );
  await withReceiver([endless], async (url) => {
    const task = await deliver(open, url);
    assertEquals(task.result, { status: 200, response_bytes: 65_536, response_truncated: true, signed: false });
    ok(sent < 50_000_000, `${sent} bytes were sent`);
  });
});

const NO_NETWORK = () => Promise.reject(new Error("asked a resolver"));

for (
  const url of [
    "http://127.0.0.1:9/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://[::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[fe80::1]/",
    "http://[fd00::1]/",
    "http://169.254.169.254/latest/meta-data",
    "http://10.1.2.3/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://0.0.0.0/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
  ]
) {
  Deno.test(`${url} is refused at once`, async () => {
    const task = await deliver({ resolver: NO_NETWORK }, url);
    assertEquals([task.status, task.error!.code], ["FAILED", "non_retryable"]);
    assertMatch(task.error!.message, /is not a public address/);
  });
}

Deno.test("a name that resolves to a private address, also to one among others, is refused after it was resolved", async () => {
  for (const addresses of [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::ffff:192.168.1.1"]]) {
    const resolve = () =>
      Promise.resolve(addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })));
    const task = await deliver({ resolver: resolve }, "http://inside.example/");
    assertMatch(task.error!.message, /inside\.example is not a public address/);
    assertEquals(task.attempts.length, 1);
  }
});

Deno.test("the connection goes to the address that was checked, whatever the name says a moment later", async () => {
  await withReceiver([() => new Response(null, { status: 204 })], async (url, received) => {
    let asked = 0;
    const resolve = () => {
      asked++;
      return Promise.resolve([{ address: "127.0.0.1", family: 4 }]);
    };
    const { port } = new URL(url);
    const task = await deliver({ allowPrivate: true, resolver: resolve }, `http://hooks.example:${port}/hook`);
    assertEquals([task.status, asked, received[0].headers.get("host")], ["SUCCESS", 1, `hooks.example:${port}`]);
  });
});

Deno.test("public addresses are public", () => {
  for (const address of ["93.184.216.34", "8.8.8.8", "2606:4700:4700::1111"]) ok(isPublic(address), address);
});

Deno.test("what is no http or https URL, or holds a password, is refused with its pointer", async () => {
  await withApp({ worker: false }, async ({ send }) => {
    for (const url of ["ftp://a.example/", "javascript:alert(1)", "http://user:pass@a.example/", "nonsense"]) {
      const input_params = { url };
      const answer = await send("POST", "/api/tasks/submit", { task_type: "webhook_delivery", input_params });
      assertEquals([answer.status, (await answer.json()).errors[0].pointer], [422, "/input_params/url"]);
      const callback = await send("POST", "/api/tasks/submit", { task_type: "noop", callback_url: url });
      assertEquals([callback.status, (await callback.json()).errors[0].pointer], [422, "/callback_url"]);
    }
  });
});

Deno.test("a callback tells each end of a task once, also of one that was cancelled, and of the next end after a retry", async () => {
  const kv = await Deno.openKv(":memory:");
  const held = heldType();
  await withReceiver([() => new Response(null, { status: 204 })], async (callback_url, received) => {
    const delivery = webhookDelivery(systemClock, { ...open, secrets: SECRETS });
    const queue = new Queue({ kv, definitions: [held.definition, delivery] });
    await queue.start();
    const told = async (count: number) => {
      while (received.length < count) {
        const { states } = await queue.list({ task_types: ["webhook_delivery"] }, 100);
        await Promise.all(states.map(({ task }) => reaches(queue, task.id, "SUCCESS", "FAILED")));
      }
      return received.map(({ body }) => JSON.parse(body));
    };
    const submit = async () => (await queue.submit({ task_type: "held", callback_url, max_attempts: 1 })).task.task.id;
    const first = await submit();
    (await held.next()).finish({ total: 5 });
    const [success] = await told(1);
    assertEquals([success.type, success.data.id, success.data.result], ["task.success", first, { total: 5 }]);
    assertEquals(success.timestamp, success.data.completed_at);

    const second = await submit();
    (await held.next()).fail(new Error("no luck"));
    const failed = (await told(2))[1];
    assertEquals([failed.type, failed.data.id, failed.data.error.message], ["task.failed", second, "no luck"]);
    await queue.retry(second);
    await held.next();
    await queue.cancel(second);
    const cancelled = (await told(3))[2];
    assertEquals([cancelled.type, cancelled.data.id], ["task.cancelled", second]);
    const { states } = await queue.list({ task_types: ["webhook_delivery"] }, 100);
    assertEquals(states.length, 3);
    for (const { task } of states) assertEquals([task.tags[0], task.callback_url], ["callback", null]);
    await queue.stop();
  });
  kv.close();
  await listeningEnds(kv);
});

Deno.test("a callback that cannot be made is let go, and holds up nothing else", async () => {
  const kv = await Deno.openKv(":memory:");
  const held = heldType();
  const delivery = webhookDelivery(systemClock, open);
  const first = new Queue({ kv, definitions: [held.definition, delivery] });
  await first.start();
  const submission = { task_type: "held", callback_url: "http://127.0.0.1:9/" };
  const { task: { task: { id } } } = await first.submit(submission);
  await held.next();
  await first.stop();
  // The next version of the service has no such type any more.
  const second = new Queue({ kv, definitions: [held.definition] });
  await second.start();
  (await held.next()).finish();
  await reaches(second, id, "SUCCESS");
  const keyed = { task_type: "held", concurrency_key: "a" };
  const ids = [await second.submit(keyed), await second.submit(keyed)].map(({ task }) => task.task.id);
  for (const one of ids) {
    (await held.next()).finish();
    await reaches(second, one, "SUCCESS");
  }
  await second.stop();
  const follows = [];
  for await (const { key } of kv.list({ prefix: ["effect", "callback"] })) follows.push(key);
  assertEquals(follows, []);
  kv.close();
  await listeningEnds(kv);
});
