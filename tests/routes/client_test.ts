import { Registry } from "../../queue/define.ts";
import { createHandlers } from "../../queue/handlers/mod.ts";
import { type Clock, systemClock } from "../../queue/task/clock.ts";
import { ApiError, type ClientOptions, createClient, type TaskParams } from "../../routes/client.ts";
import { assertEquals, assertRejects, ok } from "../support/assert.ts";
import { browserTest } from "../support/browser.ts";
import { type Served, withApp } from "../support/http/app.ts";
import { reaches } from "../support/queue.ts";

/** The types of the application that tests serve. */
type Types = TaskParams & { held: Record<string, unknown>; noop: Record<string, never> };

/** A clock on which every wait is over at once; what was waited for is in `waits`. */
function impatient(): Clock & { waits: number[] } {
  const waits: number[] = [];
  return { ...systemClock, waits, after: (ms, callback) => (waits.push(ms), systemClock.after(0, callback)) };
}

function clientOf({ origin }: Served, options: Partial<ClientOptions> = {}) {
  return createClient<Types>({ baseUrl: origin, ...options });
}

/** Sends requests, but loses the answers to the first of each that comes. */
function losing(kept: (url: string, init: RequestInit) => boolean = () => false): NonNullable<ClientOptions["fetch"]> {
  const seen = new Set<string>();
  return async (url, init) => {
    const answer = await fetch(url, init);
    const key = `${init.method} ${url}`;
    if (kept(url, init) || seen.has(key)) return answer;
    seen.add(key);
    await answer.body?.cancel();
    throw new TypeError("The connection was lost.");
  };
}

Deno.test("the parameters of every type have a type in the client", async () => {
  const handlers = createHandlers(systemClock);
  const names: Record<keyof TaskParams, true> = {
    csv_processing: true,
    email_sending: true,
    image_processing: true,
    webhook_delivery: true,
  };
  const types = new Registry(handlers.definitions).public().map(({ type }) => type);
  assertEquals(Object.keys(names).sort(), types.sort());
  await handlers.close();
});

Deno.test("wait hears of each state over the socket, with a token, and goes on after a break", async () => {
  const token = "operator-secret-0123456789";
  await withApp({ tokens: [{ name: "otto", role: "operator", secret: token }] }, async (served) => {
    const sockets: WebSocket[] = [];
    const openSocket: ClientOptions["openSocket"] = (url, headers) => {
      // deno-lint-ignore no-explicit-any
      const socket: WebSocket = new (WebSocket as any)(url, { headers });
      sockets.push(socket);
      return socket;
    };
    // Without the socket nothing would be heard: the times of asking do not pass.
    const clock = {
      ...systemClock,
      after: (ms: number, go: () => void) => ms < 500 ? systemClock.after(0, go) : () => {},
    };
    const client = clientOf(served, { token, openSocket, clock });
    const { id } = await client.submit({ task_type: "held" });
    const states: number[] = [];
    let wake = () => {};
    const ended = client.wait(id, { onUpdate: ({ progress }) => (states.push(progress), wake()) });
    const { ctx, finish } = await served.held.next();
    const meets = async (progress: number) => {
      while (!states.includes(progress)) await new Promise<void>((resolve) => wake = resolve);
    };
    ctx.progress(30);
    await meets(30);
    sockets[0].close();
    ctx.progress(60);
    await meets(60);
    finish({ answer: 42 });
    const task = await ended;
    assertEquals([task.status, task.result, sockets.length], ["SUCCESS", { answer: 42 }, 2]);
    assertEquals(states, states.toSorted((a, b) => a - b));
    assertEquals(sockets[1].readyState >= WebSocket.CLOSING, true, "nobody waits any more");
    client.close();
    await Promise.all(sockets.map(closed));
  });
});

function closed(socket: WebSocket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.readyState === WebSocket.CLOSED) resolve();
    else socket.addEventListener("close", () => resolve());
  });
}

Deno.test("without a socket, wait asks again; it ends with its signal, and when the task is gone", async () => {
  await withApp({}, async (served) => {
    const client = clientOf(served, { openSocket: null, clock: impatient() });
    const { id } = await client.submit({ task_type: "held" });
    const ended = client.wait(id);
    (await served.held.next()).finish();
    assertEquals((await ended).status, "SUCCESS");

    const { id: second } = await client.submit({ task_type: "held" });
    const end = new AbortController();
    await assertRejects(
      client.wait(second, { signal: end.signal, onUpdate: () => end.abort(new Error("enough")) }),
      /enough/,
    );
    (await served.held.next()).finish();
    await reaches(served.queue, second, "SUCCESS");
    await served.queue.bulk.byIds("delete", [second], "ana");
    await assertRejects(client.wait(second), { name: "ApiError", status: 404, code: "not_found" });
  });
});

Deno.test("a call whose answer is lost is sent again and does its work once", async () => {
  await withApp({}, async (served) => {
    const { queue } = served;
    const client = clientOf(served, { fetch: losing(), clock: impatient() });
    const { id } = await client.submit({ task_type: "noop" });
    await client.submitBatch([{ task_type: "noop", ref: "a" }, { task_type: "noop", depends_on: ["a"] }]);
    assertEquals((await queue.list({}, 50)).total, 3);
    assertEquals((await client.get(id)).id, id);
    const upload = await client.upload(new Blob(["a,b\n1,2\n"]), { name: "a.csv" });
    assertEquals([upload.name, upload.size, await queue.uploads.unusedBytes()], ["a.csv", 8, 8]);
    const { id: later } = await client.submit({ task_type: "noop", delay: 3_600 });
    assertEquals((await client.cancel(later)).status, "CANCELLED");
    // A retry may have been done: it is not sent again.
    await assertRejects(client.retry(later), TypeError);
    const other = clientOf(served);
    await assertRejects(other.retry(later), { code: "illegal_transition" });
    const ids = new Set<string>();
    for await (const task of client.list({ status: ["SUCCESS", "PENDING"] })) ids.add(task.id);
    assertEquals(ids.size, 4);
  });
});

Deno.test("503 and 429 are tried again when the service says so, as often as allowed", async () => {
  const clock = impatient();
  let left = 2;
  const answer = (status: number, body: unknown, headers: HeadersInit = {}) =>
    Promise.resolve(new Response(JSON.stringify(body), { status, headers }));
  const refusing = (status: number, code: string) =>
    createClient<Types>({
      baseUrl: "http://localhost:1/base",
      clock,
      retries: 3,
      fetch: (url) =>
        left-- > 0 ? answer(status, { code, detail: "Later." }, { "Retry-After": "7" }) : answer(200, { id: url }),
    });
  const client = refusing(503, "busy");
  assertEquals((await client.get("1")).id, "http://localhost:1/base/api/tasks/1");
  assertEquals(clock.waits.splice(0), [7_000, 7_000]);
  left = 1;
  assertEquals((await refusing(429, "too_many_tasks").submit({ task_type: "noop" })).id.endsWith("/submit"), true);
  // Nobody knows whether it was done: only what is done once however often it is sent is sent again.
  left = 1;
  await assertRejects(refusing(503, "outcome_unknown").retry("1"), { status: 503, code: "outcome_unknown" });
  left = 1;
  assertEquals((await refusing(503, "outcome_unknown").cancel("1")).id.endsWith("/1"), true);
  left = 1;
  await assertRejects(refusing(429, "too_many_open_tasks").submit({ task_type: "noop" }), { status: 429 });
  left = 99;
  clock.waits.length = 0;
  await assertRejects(client.get("1"), { status: 503, message: "Later." });
  assertEquals(clock.waits.length, 3);
});

Deno.test("wrong input comes back as an error with pointers, a list has all pages, an upload tells its progress", async () => {
  await withApp({ worker: false }, async (served) => {
    const client = clientOf(served);
    const wrong = await client.submit({ task_type: "csv_processing", input_params: { num_rows: 1 } })
      .catch((error) => error);
    ok(wrong instanceof ApiError);
    assertEquals([wrong.status, wrong.code, wrong.errors[0].pointer], [422, "invalid_input", "/input_params/num_rows"]);

    const tasks = Array.from({ length: 200 }, () => ({ task_type: "noop" as const, tags: ["page"] }));
    for (let i = 0; i < 2; i++) await client.submitBatch(tasks);
    await client.submit({ task_type: "noop" });
    const met: string[] = [];
    for await (const { id } of client.list({ tag: "page", order: "oldest" })) met.push(id);
    assertEquals([met.length, new Set(met).size], [400, 400]);
    assertEquals(met, met.toSorted());

    const bytes = new Uint8Array(3_000_000);
    for (const file of [new File([bytes], "big.bin"), new Blob([bytes]).stream()]) {
      const sent: number[] = [];
      const { size, name } = await client.upload(file, { onProgress: (bytes) => sent.push(bytes) });
      assertEquals([size, name, sent.at(-1)], [3_000_000, file instanceof File ? "big.bin" : "upload", 3_000_000]);
    }
  });
});

/** A program that uses the client as the service serves it, and prints what it met. */
const PROGRAM = (origin: string, client: string) => `
  import { createClient } from "${client}";
  const client = createClient({ baseUrl: "${origin}" });
  const sent = [];
  const file = new Blob(["town,people\\nUlm,129000\\n"]);
  const { upload_id } = await client.upload(file, { name: "towns.csv", onProgress: (bytes) => sent.push(bytes) });
  const task = await client.submit({ task_type: "csv_processing", input_params: { upload_id } });
  const { status, title } = await client.wait(task.id);
  const ids = [];
  for await (const { id } of client.list()) ids.push(id === task.id);
  const { code } = await client.cancel(task.id).catch((error) => error);
  client.close();
  const met = JSON.stringify({ status, title, ids, code, sent: sent.at(-1) });
`;
const MET = { status: "SUCCESS", title: "towns.csv", ids: [true], code: "illegal_transition", sent: 23 };

const node = await new Deno.Command("node", { args: ["--version"] }).output().then(() => true, () => false);
if (!node) console.warn("Skipped for want of Node: the client in Node");

Deno.test({
  name: "the client that the service serves works in Node",
  ignore: !node,
  fn: () =>
    withApp({}, async ({ origin, call }) => {
      const file = await Deno.makeTempFile({ suffix: ".mjs" });
      const source = await (await call("/static/client.js")).text();
      const program = PROGRAM(origin, `data:text/javascript;base64,${btoa(source)}`);
      await Deno.writeTextFile(file, `${program}\nconsole.log(met);`);
      const { stdout, stderr } = await new Deno.Command("node", { args: [file] }).output();
      await Deno.remove(file);
      const text = new TextDecoder();
      assertEquals(JSON.parse(text.decode(stdout) || `"${text.decode(stderr).replaceAll(/["\n]/g, " ")}"`), MET);
    }),
});

browserTest("the client that the service serves works in a browser, under the policy of the page", async (browser) => {
  await withApp({}, async ({ origin }) => {
    const page = await browser.newPage();
    await page.goto(`${origin}/login`);
    await page.route("**/program.js", (route) =>
      route.fulfill({
        contentType: "text/javascript",
        body: `${PROGRAM(origin, "/static/client.js")}\nexport { met };`,
      }));
    const met = await page.evaluate(async () => (await import(`${location.origin}/program.js`)).met);
    assertEquals(JSON.parse(met), MET);
  });
});
