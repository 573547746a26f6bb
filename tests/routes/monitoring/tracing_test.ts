import { validTraceparent } from "../../../queue/tracing.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { startServer } from "../../support/http/server.ts";
import { openMailbox } from "../../support/http/smtp.ts";

interface Span {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId: string;
  status: { code?: number; message?: string };
  attributes: { key: string; value: { stringValue?: string; intValue?: string } }[];
  scope: string;
}

/** Takes what OpenTelemetry exports. */
function collector() {
  const spans: Span[] = [];
  let wake = () => {};
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const { resourceSpans = [] } = await request.json();
    // deno-lint-ignore no-explicit-any
    for (const { scopeSpans } of resourceSpans as any[]) {
      for (const { scope, spans: some } of scopeSpans) {
        // deno-lint-ignore no-explicit-any
        spans.push(...some.map((span: any) => ({ ...span, scope: scope?.name })));
      }
    }
    wake();
    return Response.json({});
  });
  const env = {
    OTEL_DENO: "true",
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${server.addr.port}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_BSP_SCHEDULE_DELAY: "50",
  };
  return {
    env,
    spans,
    async until(look: () => boolean) {
      while (!look()) await new Promise<void>((resolve) => wake = resolve);
    },
    close: () => server.shutdown(),
  };
}

const [TRACE, CLIENT] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"];
const TRACEPARENT = `00-${TRACE}-${CLIENT}-01`;

Deno.test("one trace leads from a client's POST over the attempt to the mail; lines of the log have its id", async () => {
  const collected = collector();
  const mailbox = await openMailbox();
  const server = await startServer({
    KV_PATH: ":memory:",
    SMTP_URL: `smtp://127.0.0.1:${mailbox.port}`,
    LOG_FORMAT: "json",
    ...collected.env,
  });
  const answer = await fetch(`${server.origin}/api/tasks/submit`, {
    method: "POST",
    headers: { "Content-Type": "application/json", traceparent: TRACEPARENT },
    body: JSON.stringify({
      task_type: "email_sending",
      input_params: { recipients: ["ana@example.com"], subject: "Hello", rate_per_second: 100 },
    }),
  });
  const { id, traceparent } = await answer.json();
  const named = (name: string) => collected.spans.filter((span) => span.scope === "millrace" && span.name === name);
  await collected.until(() => named("send mail").length > 0 && named("task email_sending").length > 0);
  const [[post], [attempt], [mail]] = ["POST /api/tasks/submit", "task email_sending", "send mail"].map(named);
  assertEquals([post, attempt, mail].map(({ traceId }) => traceId), [TRACE, TRACE, TRACE]);
  assertEquals([post, attempt, mail].map(({ parentSpanId }) => parentSpanId), [CLIENT, post.spanId, attempt.spanId]);
  assertEquals(traceparent, `00-${TRACE}-${post.spanId}-01`);
  const attributes = Object.fromEntries(attempt.attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
  assertEquals(attributes["messaging.message.id"], id);
  ok(named("commit").length > 0);
  await (await fetch(`${server.origin}/api/tasks/${id}`, { method: "DELETE", headers: { traceparent: TRACEPARENT } }))
    .body?.cancel();
  const { id: later } = await (await fetch(`${server.origin}/api/tasks/submit`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: '{"task_type": "csv_processing", "input_params": {}, "delay": 60}',
  })).json();
  await (await fetch(`${server.origin}/api/tasks/${later}`, {
    method: "DELETE",
    headers: { traceparent: TRACEPARENT },
  }))
    .body?.cancel();
  await server.end("SIGTERM");
  const lines = server.output().split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  const cancelled = lines.find(({ message }) => message === "A task was cancelled.");
  assertEquals([cancelled.task_id, cancelled.trace_id, cancelled.module], [later, TRACE, "run"]);
  await mailbox.close();
  await collected.close();
});

Deno.test("steps are spans of their attempt; a failure is told by both, and each attempt is in the submit's trace", async () => {
  const collected = collector();
  const child = new URL("../../support/traced_child.ts", import.meta.url);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", child.pathname, TRACEPARENT],
    env: collected.env,
  }).output();
  ok(success, new TextDecoder().decode(stderr));
  const named = (name: string) => collected.spans.filter((span) => span.scope === "millrace" && span.name === name);
  await collected.until(() => named("task stepped").length === 2);
  const attempts = named("task stepped");
  assertEquals(attempts.map(({ parentSpanId, status }) => [parentSpanId, status.code]), [[CLIENT, 2], [CLIENT, 0]]);
  const steps = [...named("step first"), ...named("step second")];
  // The first step was done once: the second attempt has its result.
  assertEquals(
    steps.map(({ name, parentSpanId }) => [name, attempts.findIndex(({ spanId }) => spanId === parentSpanId)]),
    [
      ["step first", 0],
      ["step second", 0],
      ["step second", 1],
    ],
  );
  assertEquals(steps[1].status, { message: "failed: false", code: 2 });
  assertEquals(new Set([...attempts, ...steps].map(({ traceId }) => traceId)), new Set([TRACE]));
  await collected.close();
});

Deno.test("without tracing, a task keeps the traceparent of its caller, if it is valid", async () => {
  await withApp({ worker: false }, async ({ send }) => {
    const kept = async (traceparent: string) =>
      (await (await send("POST", "/api/tasks/submit", { task_type: "noop" }, { traceparent })).json()).traceparent;
    assertEquals(await kept(TRACEPARENT), TRACEPARENT);
    assertEquals(await kept("00-nonsense"), null);
    const batch = await send("POST", "/api/tasks/batch", { tasks: [{ task_type: "noop" }] }, {
      traceparent: TRACEPARENT,
    });
    assertEquals(batch.status, 201);
    await batch.body?.cancel();
  });
  const wrong = [
    `ff-${TRACE}-${CLIENT}-01`,
    `00-${"0".repeat(32)}-${CLIENT}-01`,
    `00-${TRACE}-${"0".repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${CLIENT}-01`,
    `00-${TRACE}-${CLIENT}`,
    "",
  ];
  assertEquals(wrong.map(validTraceparent), wrong.map(() => null));
  // A later version may have more parts.
  assertEquals(validTraceparent(`01-${TRACE}-${CLIENT}-01-more`), TRACEPARENT);
});
