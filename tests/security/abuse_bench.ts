/**
 * How much slower an honest caller is served while another one goes over a limit: the middle of three rounds beside the
 * middle of three alone, on the service as a process of its own.
 */

import { delay, systemClock } from "../../queue/task/clock.ts";
import { startServer } from "../support/http/server.ts";

const SECRETS = { honest: "honest-secret-0123456789", abuser: "abuser-secret-0123456789" };
const REQUESTS = 400;
/** Requests a second that go over a limit. */
const ABUSES = 200;

const server = await startServer({
  KV_PATH: ":memory:",
  API_TOKENS: Object.entries(SECRETS).map(([name, secret]) => `${name}:operator:${secret}`).join(),
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

const middle = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

const ABUSE: Record<string, { expect: number; once: () => Promise<number> }> = {
  "tasks a minute of a type": {
    expect: 429,
    once: () => ask(SECRETS.abuser, "POST", "/api/tasks/submit", { task_type: "image_processing" }),
  },
  "schedules": {
    expect: 422,
    once: () => ask(SECRETS.abuser, "POST", "/api/schedules", { cron: "0 2 * * *", task_type: "csv_processing" }),
  },
  "wrong tokens": { expect: 429, once: () => ask("a-wrong-secret-0123456789", "GET", "/api/me") },
};

try {
  await ask(SECRETS.abuser, "POST", "/api/tasks/submit", { task_type: "image_processing" });
  for (let i = 0; i < 6; i++) await ask("a-wrong-secret-0123456789", "GET", "/api/me");
  await honest();
  const before = await server.memory();
  for (const [name, { expect, once }] of Object.entries(ABUSE)) {
    const times = { alone: [] as number[], beside: [] as number[] };
    let refused = 0;
    for (let round = 0; round < 3; round++) {
      times.alone.push(await honest());
      let goes = true;
      const abusing = (async () => {
        while (goes) {
          if (await once() === expect) refused++;
          await delay(systemClock, 1_000 / ABUSES);
        }
      })();
      times.beside.push(await honest());
      goes = false;
      await abusing;
    }
    const [alone, beside] = [middle(times.alone), middle(times.beside)];
    console.log(
      `${name}: ${refused} refused; an honest submit and read took ${beside.toFixed(2)} ms beside them, ` +
        `${alone.toFixed(2)} alone: ${Math.round(100 * beside / alone)} %`,
    );
  }
  const grown = (await server.memory() - before) / 2 ** 20;
  console.log(`Memory grew by ${Math.round(grown)} MB.`);
} finally {
  await server.end("SIGTERM");
}
