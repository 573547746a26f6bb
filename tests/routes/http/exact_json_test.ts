/** JSON passes through as it came, or what would be lost is named. */

import { webhookDelivery } from "../../../queue/handlers/webhook_delivery.ts";
import { systemClock } from "../../../queue/task/clock.ts";
import { lossesOf } from "../../../queue/task/json/exact.ts";
import { assertEquals, assertMatch } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { noop, reaches } from "../../support/queue.ts";

for (
  const [text, expected] of [
    ['{"id":8202522731445525542}', [["/id", /8202522731445525542 would lose digits/]]],
    ['{"a":[1,{"b":-90071992547409920}]}', []],
    ['{"a":[1,{"b":-90071992547409931}]}', [["/a/1/b", /lose digits/]]],
    ["[9007199254740991, 9007199254740992, 9007199254740993]", [["/2", /lose digits/]]],
    ["[12345678901234567.5]", [["/0", /lose digits/]]],
    ["[1e400, -1e400]", [["/0", /larger than any number/], ["/1", /larger than any number/]]],
    ["[1e300, 0.1, 1.50, -0, 3.14159265358979323846, 0.0e-999]", []],
    ["[8.202522731445525542e18, 123456789012345680000, 1.2345678901234568e20]", [["/0", /lose digits/]]],
    ["[1e-400]", [["/0", /smaller than any number\./]]],
    ['{ "b": 1, "10": 2 }', []],
    ['{"a":1,"b":{"a":1,"a":2}}', [["/b/a", /twice/]]],
    ['{"a":1,"\\u0061":2}', [["/a", /twice/]]],
    ['{"x/y~":{"__proto__":{}}}', [["/x~1y~0/__proto__", /not accepted/]]],
    ['{"text":"8202522731445525542 \\" {[,:"}', []],
    ['"8202522731445525542"', []],
    ["8202522731445525542", [["", /lose digits/]]],
  ] as [string, [string, RegExp][]][]
) {
  Deno.test(`what parsing loses of ${text}`, () => {
    const { issues } = lossesOf(text);
    assertEquals(issues.map(({ pointer }) => pointer), expected.map(([pointer]) => pointer));
    issues.forEach(({ detail }, i) => assertMatch(detail, expected[i][1]));
  });
}

Deno.test("what is lost is refused at its pointer, wherever JSON comes in", async () => {
  await withApp({ worker: false }, async ({ call }) => {
    const post = async (path: string, body: string) => {
      const answer = await call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body });
      const { errors = [] } = await answer.json();
      return [answer.status, ...errors.map(({ pointer }: { pointer: string }) => pointer)];
    };
    const params = '{"n": 8202522731445525542, "__proto__": 1}';
    assertEquals(await post("/api/tasks/submit", `{"task_type": "noop", "input_params": ${params}}`), [
      422,
      "/input_params/n",
      "/input_params/__proto__",
    ]);
    assertEquals(await post("/api/tasks/batch", `{"tasks": [{"task_type": "noop", "input_params": ${params}}]}`), [
      422,
      "/tasks/0/input_params/n",
      "/tasks/0/input_params/__proto__",
    ]);
    const schedule = `{"cron": "* * * * *", "task_type": "noop", "input_params": ${params}}`;
    assertEquals(await post("/api/schedules", schedule), [422, "/input_params/n", "/input_params/__proto__"]);
    // What only looks like a webhook is data of another type.
    const nested = '{"task_type": "webhook_delivery", "input_params": {"body": {"a": 1e400}}}';
    assertEquals(await post("/api/tasks/submit", `{"task_type": "noop", "input_params": {"next": ${nested}}}`), [
      422,
      "/input_params/next/input_params/body/a",
    ]);
    assertEquals(await post("/api/tasks/submit", '{"task_type": "noop", "task_type": "noop"}'), [422, "/task_type"]);
  });
});

const BODIES = [
  '{"id":8202522731445525542}',
  '{ "b": 1, "10": 2, "9": 3 }',
  '{"__proto__":{"polluted":true},"constructor":1}',
  '{"amount":1.50,"rate":1e400}',
  '{"a":1,"a":2}',
  "  [1,\n2]",
  '{"plain":"as usual"}',
];

Deno.test("a webhook is sent, and signed, as it was written", async () => {
  const received: string[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    received.push(await request.text());
    return new Response();
  });
  const secrets = [`whsec_${btoa("0123456789abcdef01234567")}`];
  const definitions = [noop, webhookDelivery(systemClock, { allowPrivate: true, secrets })];
  const url = `http://127.0.0.1:${server.addr.port}/`;
  await withApp({ definitions }, async ({ call, queue }) => {
    for (const body of BODIES) {
      const written = body.trim();
      for (
        const [path, text] of [
          ["/api/tasks/submit", (task: string) => task],
          ["/api/tasks/batch", (task: string) => `{"tasks":[{"task_type":"noop"},${task}]}`],
        ] as [string, (task: string) => string][]
      ) {
        const task = `{"task_type":"webhook_delivery","input_params":{"url":"${url}","body":${body}}}`;
        const answer = await call(path, {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: text(task),
        });
        assertEquals(answer.status, 201);
        const made = await answer.json();
        await reaches(queue, made.id ?? made.tasks[1].id, "SUCCESS");
        assertEquals(received.pop(), written);
      }
    }
    // A schedule keeps it as well.
    const schedule = await call("/api/schedules", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: `{"cron":"0 0 1 1 *","task_type":"webhook_delivery","input_params":{"url":"${url}","body":${BODIES[0]}}}`,
    });
    const trigger = `/api/schedules/${(await schedule.json()).id}/trigger`;
    await reaches(queue, (await (await call(trigger, { method: "POST" })).json()).id, "SUCCESS");
    assertEquals(received.pop(), BODIES[0]);
    // The record says what is sent, and no more.
    const spaced = await call("/api/tasks/submit", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: `{"task_type":"webhook_delivery","input_params":{"url":"${url}","body":{"a": 1}}}`,
    });
    assertEquals((await spaced.json()).input_params, { url, body_text: '{"a": 1}' });
    // The text itself may be given too.
    const text = await call("/api/tasks/submit", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ task_type: "webhook_delivery", input_params: { url, body_text: "[1.0]" } }),
    });
    await reaches(queue, (await text.json()).id, "SUCCESS");
    assertEquals(received.pop(), "[1.0]");
  });
  await server.shutdown();
});

Deno.test("a text for a webhook that is no JSON, or stands beside a body, is refused", async () => {
  await withApp({ worker: false }, async ({ send }) => {
    const pointer = "/input_params/body_text";
    for (
      const [more, detail] of [
        [{ body_text: "{" }, "This is not JSON."],
        [{ body_text: '"\ud800"' }, "This is not JSON."],
        [{ body_text: "1", body: 1 }, "Pass body or body_text, not both."],
      ] as const
    ) {
      const input_params = { url: "https://example.com/", ...more };
      const answer = await send("POST", "/api/tasks/submit", { task_type: "webhook_delivery", input_params });
      assertEquals((await answer.json()).errors, [{ pointer, detail }]);
    }
  });
});

Deno.test("a form without a script names what JSON would lose, order included", async () => {
  await withApp({ worker: false }, async ({ call }) => {
    for (
      const [body, expected] of [['{"b":1, "10":2}', /\/10: This member would be put before/], [
        '{"a":1,"a":2}',
        /twice/,
      ]] as const
    ) {
      const form = new FormData();
      form.set("task_type", "webhook_delivery");
      form.set("params/input_params/url", "https://example.com/");
      form.set("params/input_params/body", body);
      const answer = await call("/tasks", { method: "POST", body: form });
      assertEquals(answer.status, 422);
      assertMatch(await answer.text(), expected);
    }
  });
});
