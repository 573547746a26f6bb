import { listeningEnds } from "../../../queue/watch/messages.ts";
import { Metrics } from "../../../routes/monitoring/metrics.ts";
import { Queue } from "../../../queue/queue.ts";
import { createApp } from "../../../routes/app.ts";
import { systemClock } from "../../../queue/task/clock.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { withDirectory } from "../../support/directory.ts";
import { startServer } from "../../support/http/server.ts";
import { appOptions, withApp } from "../../support/http/app.ts";
import { allReach, heldType, noop, reaches } from "../../support/queue.ts";

const MONITORING = new URL("../../../static/monitoring/", import.meta.url);
const PROMTOOL = await new Deno.Command("promtool", { args: ["--version"] }).output().then(() => true, () => {
  console.warn("Skipped for want of promtool: the checks of metrics and rules");
  return false;
});

async function promtool(...args: string[]): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command("promtool", { args }).output();
  const text = new TextDecoder();
  ok(success, text.decode(stdout) + text.decode(stderr));
}

/** The value of each series of a text. */
function seriesOf(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => line && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]));
}

/** The application over a queue that is measured, on a file. */
async function measured(
  test: (call: (path: string, init?: RequestInit) => Promise<Response>, queue: Queue) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const storePath = `${directory}/store.db`;
    const kv = await Deno.openKv(storePath);
    const metrics = new Metrics();
    const failing = heldType("failing", { maxAttempts: 1, run: () => Promise.reject(new Error("no")) });
    const queue = new Queue({ kv, definitions: [noop, failing.definition], observers: [metrics] });
    await queue.start();
    const { app, close } = createApp({ ...appOptions(queue), metrics, storePath, faults: () => 3 });
    const env = { address: "127.0.0.1", isGone: () => false, upgrade: null };
    await test(async (path, init) => await app.fetch(new Request(`http://localhost${path}`, init), env), queue);
    await close();
    await queue.stop(1_000);
    kv.close();
    await listeningEnds(kv);
  });
}

Deno.test("what happens is counted once, and what the store holds is told", async () => {
  await measured(async (call, queue) => {
    await queue.submitBatch(Array.from({ length: 20 }, () => ({ task_type: "noop" })));
    const { task: { task } } = await queue.submit({ task_type: "failing" });
    await reaches(queue, task.id, "FAILED");
    await allReach(queue, 20, "SUCCESS");
    const { task: { task: later } } = await queue.submit({ task_type: "noop", run_at: systemClock.now() + 3_600_000 });
    await queue.cancel(later.id);
    await queue.pause("noop", "ana");
    await queue.submit({ task_type: "noop" });
    const body = JSON.stringify({ task_type: "noop" });
    const headers = { "Content-Type": "application/json" };
    await call("/api/tasks/submit", { method: "POST", body, headers });
    await call(`/api/tasks/${task.id}`);
    await call("/api/tasks/1");
    for (let i = 0; i < 50; i++) await call(`/nothing/${i}`, { method: `BREW${i}` });
    const series = seriesOf(await (await call("/metrics")).text());
    const expected = {
      'millrace_tasks_submitted_total{task_type="noop"}': 23,
      'millrace_tasks_submitted_total{task_type="failing"}': 1,
      'millrace_tasks_ended_total{task_type="noop",status="SUCCESS"}': 20,
      'millrace_tasks_ended_total{task_type="noop",status="CANCELLED"}': 1,
      'millrace_tasks_ended_total{task_type="failing",status="FAILED"}': 1,
      'millrace_attempts_ended_total{task_type="noop",outcome="success"}': 20,
      'millrace_attempts_ended_total{task_type="failing",outcome="failed"}': 1,
      'millrace_task_wait_seconds_count{task_type="noop"}': 20,
      'millrace_attempt_run_seconds_count{task_type="noop"}': 20,
      'millrace_tasks{task_type="noop",status="PENDING"}': 2,
      'millrace_tasks{task_type="noop",status="SUCCESS"}': 20,
      'millrace_slots{task_type="noop"}': 64,
      'millrace_slots_used{task_type="noop"}': 0,
      'millrace_paused{task_type="noop"}': 1,
      'millrace_paused{task_type="failing"}': 0,
      'millrace_streams{kind="websocket"}': 0,
      millrace_undelivered_messages: 0,
      millrace_faults_total: 3,
      'millrace_http_requests_total{method="POST",route="/api/tasks/submit",status="201"}': 1,
      'millrace_http_requests_total{method="GET",route="/api/tasks/:id",status="200"}': 1,
      'millrace_http_requests_total{method="GET",route="/api/tasks/:id",status="404"}': 1,
      // Whatever a client makes up is one series.
      'millrace_http_requests_total{method="other",route="none",status="404"}': 50,
    };
    for (const [name, value] of Object.entries(expected)) assertEquals([name, series.get(name)], [name, value]);
    ok(series.get('millrace_oldest_ready_seconds{task_type="noop"}')! > 0);
    ok(series.get("millrace_commit_seconds_count")! > 0);
    ok(series.get("millrace_store_bytes")! > 0 && series.get("millrace_store_disk_free_bytes")! > 0);
  });
});

Deno.test({
  name: "Prometheus takes the metrics and the rules",
  ignore: !PROMTOOL,
  fn: () =>
    measured(async (call, queue) => {
      const { task: { task } } = await queue.submit({ task_type: "noop" });
      await reaches(queue, task.id, "SUCCESS");
      await promtool("check", "rules", new URL("prometheus-rules.yml", MONITORING).pathname);
      const child = new Deno.Command("promtool", {
        args: ["check", "metrics"],
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      })
        .spawn();
      const { body } = await call("/metrics");
      await body!.pipeTo(child.stdin);
      const { success, stderr } = await child.output();
      assertEquals([success, new TextDecoder().decode(stderr)], [true, ""]);
    }),
});

Deno.test("the dashboard and the rules use metrics that there are", async () => {
  await measured(async (call, queue) => {
    const { task: { task } } = await queue.submit({ task_type: "noop" });
    await reaches(queue, task.id, "SUCCESS");
    await call("/livez");
    const known = new Set(
      [...seriesOf(await (await call("/metrics")).text()).keys()].map((name) => name.split("{")[0]),
    );
    for (const file of ["grafana-dashboard.json", "prometheus-rules.yml"]) {
      const text = await Deno.readTextFile(new URL(file, MONITORING));
      const used = new Set(text.match(/\b(millrace|process)_[a-z_]+/g));
      ok(used.size > 5);
      assertEquals([...used].filter((name) => !known.has(name)), [], file);
    }
  });
});

Deno.test("an instance that only works tells its metrics at a port of their own, and nothing else", async () => {
  const server = await startServer({ KV_PATH: ":memory:", ROLES: "worker", METRICS_PORT: "0" });
  const status = async (path: string) => {
    const answer = await fetch(server.origin + path);
    return [answer.status, (await answer.text()).includes("millrace_slots")];
  };
  assertEquals(await status("/metrics"), [200, true]);
  assertEquals([await status("/readyz"), await status("/livez")], [[200, false], [200, false]]);
  for (const path of ["/", "/api/tasks", "/api/stats"]) assertEquals((await status(path))[0], 404);
  await server.end("SIGTERM");
});

Deno.test("metrics need a token where there are some; whether it lives and is ready is told to anyone", async () => {
  const tokens = [{ name: "vera", role: "viewer" as const, secret: "viewer-secret-0123456789" }];
  await withApp({ tokens }, async ({ call, queue }) => {
    const statuses = async (headers: HeadersInit = {}) => {
      const answers = await Promise.all(["/metrics", "/livez", "/readyz"].map((path) => call(path, { headers })));
      await Promise.all(answers.map(({ body }) => body?.cancel()));
      return answers.map(({ status }) => status);
    };
    assertEquals(await statuses(), [401, 200, 200]);
    assertEquals(await statuses({ Authorization: `Bearer ${tokens[0].secret}` }), [200, 200, 200]);
    await queue.stop(1_000);
    assertEquals(await statuses(), [401, 200, 503]);
  });
});
