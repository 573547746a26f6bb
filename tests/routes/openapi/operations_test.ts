import { decode, encode } from "../../../queue/store/codec.ts";
import { keys } from "../../../queue/store/keys.ts";
import type { RunRecord } from "../../../queue/task/record.ts";
import { taskMessage } from "../../../queue/submit/inbox.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { describedAs, DOCUMENT } from "../../support/http/described.ts";
import { reaches } from "../../support/queue.ts";

/** What a test says when it asks for something that is made once. */
const key = (name: string) => ({ "Idempotency-Key": name });

Deno.test("each operation that is described answers as its description says, with each status of success", async () => {
  const met = new Set<string>();
  await withApp({}, async ({ call: plain, queue, origin, kv, held }) => {
    const note = (method: string, path: string, { status }: { status: number }) => {
      const { path: pattern } = describedAs(method, path)!;
      if (status < 400) met.add(`${method} ${pattern} ${status}`);
    };
    /** Calls, and notes the status; the harness compares the answer with its description. */
    const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
      const isJson = body !== undefined && !(body instanceof FormData);
      const answer = await plain(path, {
        method,
        body: isJson ? JSON.stringify(body) : body as FormData | undefined,
        headers: { ...isJson && { "Content-Type": "application/json" }, ...headers },
      });
      note(method, path, answer);
      ok(answer.status < 400, `${method} ${path} ${answer.status}`);
      return answer;
    };
    // deno-lint-ignore no-explicit-any
    const json = async (...args: Parameters<typeof call>): Promise<any> => await (await call(...args)).json();
    const done = async (...args: Parameters<typeof call>) => void await (await call(...args)).body?.cancel();

    // Files, and a task that makes more of them.
    const form = new FormData();
    form.append("file", new File(["town,people\nUlm,129000\nJena,108000\n"], "towns.csv"));
    const { upload_id } = await json("POST", "/api/uploads", form);
    const csv = { task_type: "csv_processing", input_params: { upload_id } };
    const { id } = await json("POST", "/api/tasks/submit", csv, key("towns"));
    await done("POST", "/api/tasks/submit", csv, key("towns"));
    await reaches(queue, id, "SUCCESS");
    const { artifacts } = await json("GET", `/api/tasks/${id}/artifacts`);
    const file = `/api/tasks/${id}/artifacts/${artifacts[0].name}`;
    const whole = await call("GET", file);
    await whole.body?.cancel();
    await done("GET", file, undefined, { Range: "bytes=0-3" });
    await done("GET", file, undefined, { "If-None-Match": whole.headers.get("ETag")! });
    await done("GET", `/api/tasks/${id}/artifacts.zip`);
    const input = `/api/tasks/${id}/files/${upload_id}`;
    const sent = await call("GET", input);
    assertEquals(await sent.text(), "town,people\nUlm,129000\nJena,108000\n");
    await done("GET", input, undefined, { Range: "bytes=0-3" });
    await done("GET", input, undefined, { "If-None-Match": sent.headers.get("ETag")! });

    // Tasks.
    const batch = { tasks: [{ task_type: "noop", ref: "a" }, { task_type: "noop", depends_on: ["a"] }] };
    const { tasks: [first] } = await json("POST", "/api/tasks/batch", batch, key("batch"));
    await done("POST", "/api/tasks/batch", batch, key("batch"));
    for (const path of ["", "/graph", "/logs", "/logs.txt"]) await done("GET", `/api/tasks/${first.id}${path}`);
    await reaches(queue, first.id, "SUCCESS");
    await done("GET", `/api/tasks/${first.id}/events`);
    const stream = await call("GET", `/api/tasks/${first.id}/events`, undefined, { Accept: "text/event-stream" });
    const last = (await stream.text()).match(/^id: ?(.*)$/gm)!.at(-1)!.replace(/^id: ?/, "");
    await done("GET", `/api/tasks/${first.id}/events`, undefined, {
      Accept: "text/event-stream",
      "Last-Event-ID": last,
    });
    const { as_of, tasks } = await json("GET", "/api/tasks?limit=2&facets=status&q=o&status=success,failed");
    assertEquals(tasks.length, 2);
    const later = await json("POST", "/api/tasks/submit", { task_type: "noop", delay: 3_600 });
    await done("DELETE", `/api/tasks/${later.id}`);
    await done("POST", `/api/tasks/${later.id}/retry`, { from: "start" });
    await done("POST", "/api/tasks/bulk", { action: "cancel", ids: [later.id] });
    const many = Array.from({ length: 200 }, () => ({ task_type: "noop", delay: 3_600 }));
    for (let i = 0; i < 2; i++) await done("POST", "/api/tasks/batch", { tasks: many });
    const list = await json("GET", "/api/tasks?status=PENDING");
    ok(as_of < list.as_of);
    await done("POST", "/api/tasks/bulk", { action: "cancel", filter: { status: "PENDING" }, as_of: list.as_of });
    // A mailing that fails for each recipient, again for those.
    const mailing = {
      task_type: "email_sending",
      input_params: { num_emails: 1, delay_per_email: 0.5, failure_rate: 1 },
    };
    const mail = await json("POST", "/api/tasks/submit", mailing);
    await reaches(queue, mail.id, "SUCCESS", "FAILED");
    await done("POST", `/api/tasks/${mail.id}/retry`, { only: "failed" });

    // A task that an instance holds which does not answer.
    const { id: elsewhere } = await json("POST", "/api/tasks/submit", { task_type: "held" });
    const { finish } = await held.next();
    const { value } = await kv.get(keys.run(elsewhere));
    // It lives, as far as others can know, so nobody takes over from it.
    await kv.set(keys.instance("another"), encode({ beat_at: 0, worker: true }));
    await kv.set(keys.run(elsewhere), encode({ ...decode<RunRecord>(value), instance: "another" }));
    await done("DELETE", `/api/tasks/${elsewhere}`);
    await kv.delete(keys.cancelRequest("another", elsewhere));
    await kv.set(keys.run(elsewhere), value);
    await kv.delete(keys.instance("another"));
    finish();

    // Schedules.
    const nightly = { cron: "0 2 * * *", timezone: "Europe/Zurich", task_type: "noop" };
    const { id: schedule } = await json("POST", "/api/schedules", nightly, key("nightly"));
    await done("POST", "/api/schedules", nightly, key("nightly"));
    await done("GET", "/api/schedules");
    await done("GET", "/api/schedules/next?cron=0+2+*+*+*&timezone=Europe/Zurich");
    await done("GET", `/api/schedules/${schedule}`);
    await done("PATCH", `/api/schedules/${schedule}`, { cron: "30 2 * * *" });
    await done("POST", `/api/schedules/${schedule}/trigger`, undefined, key("now"));
    await done("POST", `/api/schedules/${schedule}/trigger`, undefined, key("now"));
    const past = { from: "2026-11-20T00:00:00Z", to: "2026-11-23T00:00:00Z" };
    for (let i = 0; i < 2; i++) await done("POST", `/api/schedules/${schedule}/backfill`, past, key("past"));
    const { last_outcomes } = await json("GET", `/api/schedules/${schedule}`);
    assertEquals(last_outcomes.map(({ scheduled_for }: { scheduled_for: string }) => scheduled_for), [
      "2026-11-22T01:30:00.000Z",
      "2026-11-21T01:30:00.000Z",
      "2026-11-20T01:30:00.000Z",
      null,
    ]);
    for (const action of ["pause", "resume"]) await done("POST", `/api/schedules/${schedule}/${action}`);
    await done("DELETE", `/api/schedules/${schedule}`);

    // The service.
    await done("POST", "/api/task-types/noop/pause", { reason: "lunch" });
    for (const path of ["task-types", "stats", "series?range=15m", "me", "health"]) await done("GET", `/api/${path}`);
    await done("POST", "/api/task-types/noop/resume");
    for (const path of ["/metrics", "/livez", "/readyz"]) await done("GET", path);
    const description = await call("GET", "/openapi.json");
    await description.body?.cancel();
    await done("GET", "/openapi.json", undefined, { "If-None-Match": description.headers.get("ETag")! });

    // Mail, and messages.
    for (let i = 0; i < 2; i++) await done("POST", "/api/suppressions", { addresses: ["leaver@example.com"] });
    await done("GET", "/api/suppressions");
    await done("DELETE", "/api/suppressions/leaver@example.com");
    const [message, { keysIfUndelivered: [undelivered] }] = taskMessage({ task_type: "noop" });
    await kv.set(undelivered, message);
    await done("GET", "/api/undelivered");
    const address = `/api/undelivered/${undelivered[1] as string}`;
    const made = await json("POST", `${address}/retry`);
    await reaches(queue, made.id, "SUCCESS");
    await done("POST", "/api/tasks/bulk", { action: "delete", ids: [made.id] });
    await kv.set(undelivered, message);
    await done("POST", `${address}/retry`);
    await kv.set(undelivered, message);
    await done("DELETE", address);

    const socket = new WebSocket(`${origin.replace("http", "ws")}/ws`);
    await new Promise((resolve) => socket.onopen = resolve);
    note("GET", "/ws", { status: 101 });
    const closed = new Promise((resolve) => socket.onclose = resolve);
    socket.close();
    await closed;
  });
  const tokens = [{ name: "ada", role: "admin" as const, secret: "admin-secret-0123456789" }];
  await withApp({ tokens }, async ({ call }) => {
    const headers = { Authorization: `Bearer ${tokens[0].secret}`, "Content-Type": "application/json" };
    const callAs = async (method: string, path: string, body?: unknown) => {
      const answer = await call(path, { method, headers, body: JSON.stringify(body) });
      met.add(`${method} ${describedAs(method, path)!.path} ${answer.status}`);
      return answer;
    };
    const { id } = await (await callAs("POST", "/api/tokens", { name: "importer", role: "operator" })).json();
    for (const path of ["/api/tokens", "/api/audit", "/api/audit.csv"]) {
      await (await callAs("GET", path)).body?.cancel();
    }
    await callAs("DELETE", `/api/tokens/${id}`);
    const rule = { name: "fails", when: { kind: "failures" }, to: [{ kind: "mail", to: "ops@example.com" }] };
    const { id: alert } = await (await callAs("POST", "/api/alerts", rule)).json();
    await (await callAs("GET", "/api/alerts")).body?.cancel();
    await (await callAs("POST", `/api/alerts/${alert}/test`)).body?.cancel();
    await callAs("DELETE", `/api/alerts/${alert}`);
  });
  const described = Object.entries(DOCUMENT.paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, { responses }]) =>
      Object.keys(responses).filter((status) => Number(status) < 400)
        .map((status) => `${method.toUpperCase()} ${path} ${status}`)
    )
  );
  assertEquals(described.filter((one) => !met.has(one)), []);
});
