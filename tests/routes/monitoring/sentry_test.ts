import { assertEquals, ok } from "../../support/assert.ts";
import { startServer } from "../../support/http/server.ts";

/** A project of Sentry: takes envelopes (https://develop.sentry.dev/sdk/data-model/envelopes/). */
function project() {
  // deno-lint-ignore no-explicit-any
  const events: any[] = [];
  let wake = () => {};
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const lines = (await request.text()).split("\n").filter(Boolean).map((line) => JSON.parse(line));
    for (let i = 1; i < lines.length; i += 2) if (lines[i].type === "event") events.push(lines[i + 1]);
    wake();
    return Response.json({});
  });
  return {
    events,
    dsn: `http://0123456789abcdef@127.0.0.1:${server.addr.port}/7`,
    async until(count: number) {
      while (events.length < count) await new Promise<void>((resolve) => wake = resolve);
    },
    close: () => server.shutdown(),
  };
}

Deno.test("each attempt that fails is reported with its type, number and trace, and nothing of its parameters", async () => {
  const { events, dsn, until, close } = project();
  const server = await startServer({ KV_PATH: ":memory:", SENTRY_DSN: dsn });
  const trace = "0af7651916cd43dd8448eb211c80319c";
  const answer = await fetch(`${server.origin}/api/tasks/submit`, {
    method: "POST",
    headers: { "Content-Type": "application/json", traceparent: `00-${trace}-b7ad6b7169203331-01` },
    body: JSON.stringify({
      task_type: "webhook_delivery",
      // Refused, since it is no public address.
      input_params: { url: "http://127.0.0.1:1/?key=very-secret", body: { password: "very-secret" } },
    }),
  });
  const { id } = await answer.json();
  await until(1);
  const [{ exception, tags, extra, contexts }] = events;
  assertEquals(tags, { task_type: "webhook_delivery", attempt: 1, outcome: "failed" });
  assertEquals([extra.task_id, contexts.trace.trace_id], [id, trace]);
  assertEquals(exception.values[0].type, "non_retryable");
  ok(!JSON.stringify(events).includes("very-secret"));
  await server.end("SIGTERM");
  assertEquals(events.length, 1);
  await close();
});
