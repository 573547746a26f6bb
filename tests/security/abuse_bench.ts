/**
 * How much slower an honest caller is served while another one goes over a limit: in short rounds by turns,
 * since machines are faster at one time than at another; the middle of their ratios. The service is a process of its own.
 */

import { delay, systemClock } from "../../queue/task/clock.ts";
import { startServer } from "../support/http/server.ts";

const SECRETS = { honest: "honest-secret-0123456789", abuser: "abuser-secret-0123456789" };
const [ROUNDS, REQUESTS] = [21, 40];
/** Requests a second that go over a limit. They come from the honest caller's own process, and take some of its time. */
const ABUSES = 100;

const server = await startServer({
  KV_PATH: ":memory:",
  API_TOKENS: Object.entries(SECRETS).map(([name, secret]) => `${name}:admin:${secret}`).join(),
  MAX_REQUESTS_PER_SECOND: "1000000",
  MAX_TASKS_PER_MINUTE: "image_processing=1",
  MAX_UPLOADS_AT_ONCE: "1",
  MAX_STREAMS_PER_CALLER: "1",
  MAX_SCHEDULES: "0",
  ROLES: "api",
});
const { origin } = server;

async function ask(secret: string, method: string, path: string, body?: unknown): Promise<number> {
  const answer = await fetch(origin + path, {
    method,
    body: body === undefined ? undefined : JSON.stringify(body),
    headers: { Authorization: `Bearer ${secret}`, ...body !== undefined && { "Content-Type": "application/json" } },
  });
  await answer.body?.cancel();
  return answer.status;
}

/** The median of the times of an honest caller's submits and reads, in milliseconds. */
async function honest(): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < REQUESTS; i++) {
    const since = performance.now();
    await ask(SECRETS.honest, "POST", "/api/tasks/submit", { task_type: "csv_processing" });
    await ask(SECRETS.honest, "GET", "/api/stats");
    times.push(performance.now() - since);
  }
  return times.sort((a, b) => a - b)[REQUESTS / 2];
}

/** A token that may ask once a second. */
const slow = await (await fetch(`${origin}/api/tokens`, {
  method: "POST",
  headers: { Authorization: `Bearer ${SECRETS.abuser}`, "Content-Type": "application/json" },
  body: JSON.stringify({ name: "slow", role: "operator", rate: 1 }),
})).json();

/** Holds an upload and a stream of the abuser open, so that each further one is too many. */
const held = new AbortController();
async function hold(): Promise<void> {
  const headers = { Authorization: `Bearer ${SECRETS.abuser}` };
  const body = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new Uint8Array(10)) });
  fetch(`${origin}/api/uploads?name=a`, { method: "POST", headers, body, signal: held.signal }).catch(() => {});
  const task = await (await fetch(`${origin}/api/tasks/submit`, {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json" },
    body: '{"task_type": "csv_processing", "delay": 3600}',
  })).json();
  streamed = `/api/tasks/${task.id}/events`;
  const events = { ...headers, Accept: "text/event-stream" };
  const { body: stream } = await fetch(origin + streamed, { headers: events, signal: held.signal });
  // Read to its end, which comes with the abort.
  stream!.pipeTo(new WritableStream()).catch(() => {});
}
let streamed = "";

const ABUSE: Record<string, { expect: number; once: () => Promise<number> }> = {
  "tasks a minute of a type": {
    expect: 429,
    once: () => ask(SECRETS.abuser, "POST", "/api/tasks/submit", { task_type: "image_processing" }),
  },
  "schedules": {
    expect: 422,
    once: () => ask(SECRETS.abuser, "POST", "/api/schedules", { cron: "0 2 * * *", task_type: "csv_processing" }),
  },
  "requests of a token": { expect: 429, once: () => ask(slow.secret, "GET", "/api/stats") },
  "uploads at once": { expect: 429, once: () => ask(SECRETS.abuser, "POST", "/api/uploads?name=b", "x") },
  "streams of a token": {
    expect: 429,
    once: async () => {
      const headers = { Authorization: `Bearer ${SECRETS.abuser}`, Accept: "text/event-stream" };
      const answer = await fetch(origin + streamed, { headers });
      await answer.body?.cancel();
      return answer.status;
    },
  },
  "wrong tokens": { expect: 429, once: () => ask("a-wrong-secret-0123456789", "GET", "/api/me") },
};

try {
  await ask(SECRETS.abuser, "POST", "/api/tasks/submit", { task_type: "image_processing" });
  for (let i = 0; i < 6; i++) await ask("a-wrong-secret-0123456789", "GET", "/api/me");
  await hold();
  await honest();
  const before = await server.memory();
  for (const [name, { expect, once }] of Object.entries(ABUSE)) {
    const ratios: number[] = [];
    let refused = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const alone = await honest();
      let goes = true;
      const abusing = (async () => {
        while (goes) {
          if (await once() === expect) refused++;
          await delay(systemClock, 1_000 / ABUSES);
        }
      })();
      ratios.push(await honest() / alone);
      goes = false;
      await abusing;
    }
    const ratio = ratios.sort((a, b) => a - b)[(ROUNDS - 1) / 2];
    console.log(
      `${name}: ${refused} refused; an honest submit and read took ${Math.round(100 * ratio)} % of its time alone.`,
    );
  }
  const grown = (await server.memory() - before) / 2 ** 20;
  console.log(`Memory grew by ${Math.round(grown)} MB.`);
} finally {
  held.abort();
  await server.end("SIGTERM");
}
