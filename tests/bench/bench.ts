/**
 * Throughput and latency on a file-backed store, each beside a floor that is measured in the same run on the same
 * machine. Compare the ratios; the absolute numbers are your machine's.
 */

import { Hono } from "hono";
import { systemClock } from "../../queue/task/clock.ts";
import { Queue } from "../../queue/queue.ts";
import { createApp } from "../../routes/app.ts";
import { type Listening, serve, type ServeOptions } from "../../routes/http/serve.ts";
import { appOptions } from "../support/http/app.ts";
import {
  endToEnd,
  IDLE_ROUNDS,
  idleStart,
  ms,
  noop,
  onFile,
  perSecond,
  type Quantiles,
  quantiles,
  rate,
  ratio,
  TASKS,
  untilEnded,
  withQueue,
} from "./measure.ts";

const HTTP_REQUESTS = 20_000;

/** The floor of throughput: the nine mutations of a task in plain atomics of 900, two in flight. */
async function rawAtomics(): Promise<number> {
  return await onFile((kv) =>
    rate(TASKS, async () => {
      let next = 0;
      const value = new Uint8Array(500);
      const lane = async () => {
        while (next < TASKS) {
          const from = next;
          next += 100;
          const atomic = kv.atomic();
          for (let i = from; i < from + 100; i++) {
            const id = String(i).padStart(26, "0");
            atomic.set(["task", id], value).set(["task", id], value).set(["run", id], value.subarray(0, 150));
            for (const name of ["ready", "index", "end"]) atomic.set([name, "noop", id], value.subarray(0, 8));
            for (const name of ["ready", "index", "run"]) atomic.delete([name, "noop", id]);
          }
          await atomic.commit();
        }
      };
      await Promise.all([lane(), lane()]);
    })
  );
}

async function batches(): Promise<number> {
  return await withQueue((queue) =>
    rate(TASKS, async () => {
      let left = TASKS / 200;
      const batch = Array.from({ length: 200 }, () => ({ task_type: "noop" }));
      const submit = async () => {
        while (left-- > 0) await queue.submitBatch(batch);
      };
      await Promise.all([submit(), submit(), submit(), submit()]);
      await untilEnded(queue, TASKS);
    })
  );
}

async function load({ port, stop }: Listening, path: string): Promise<number> {
  const worker = new Worker(new URL("load_worker.ts", import.meta.url), { type: "module" });
  const body = JSON.stringify({ task_type: "noop", input_params: {} });
  try {
    const answer = new Promise<{ failed: number; ms: number }>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => reject(new Error(event.message));
    });
    worker.postMessage({ port, connections: 32, requests: HTTP_REQUESTS, path, body });
    const { failed, ms } = await answer;
    if (failed > 0) throw new Error(`${failed} of ${HTTP_REQUESTS} requests failed.`);
    return HTTP_REQUESTS / (ms / 1000);
  } finally {
    worker.terminate();
    await stop();
  }
}

async function httpSubmits(worker: boolean): Promise<number> {
  return await onFile(async (kv) => {
    const queue = new Queue({ kv, definitions: [noop], worker });
    await queue.start();
    const options = appOptions(queue);
    const { app, close } = createApp(options);
    try {
      const fetch: ServeOptions["fetch"] = (request, env) => app.fetch(request, env);
      return await load(await serve({ ...options, fetch, port: 0 }), "/api/tasks/submit");
    } finally {
      await close();
      await queue.stop();
    }
  });
}

async function bareHono(): Promise<number> {
  const app = new Hono();
  app.post("/", async (c) => c.json(await c.req.json(), 201));
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => app.fetch(request));
  return await load({ port: server.addr.port, stop: () => server.shutdown() }, "/");
}

/** How fast tasks whose time is over are removed. */
async function removals(): Promise<number> {
  return await onFile(async (kv) => {
    let later = 0;
    const clock = { ...systemClock, now: () => systemClock.now() + later };
    const queue = new Queue({ kv, definitions: [noop], clock });
    await queue.start();
    const batch = Array.from({ length: 200 }, () => ({ task_type: "noop" }));
    for (let left = TASKS; left > 0; left -= 200) await queue.submitBatch(batch);
    await untilEnded(queue, TASKS);
    later = 8 * 24 * 3_600_000;
    const start = performance.now();
    await queue.clean();
    const seconds = (performance.now() - start) / 1000;
    await queue.stop();
    return TASKS / seconds;
  });
}

async function twoCommits(): Promise<Quantiles> {
  return await onFile(async (kv) => {
    const times: number[] = [];
    for (let i = 0; i < IDLE_ROUNDS; i++) {
      const start = performance.now();
      for (const key of [["a"], ["b"]]) {
        const { versionstamp } = await kv.get(key);
        await kv.atomic().check({ key, versionstamp }).set(key, i).commit();
      }
      times.push(performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return quantiles(times);
  });
}

console.log(`Deno ${Deno.version.deno}, ${navigator.hardwareConcurrency} cores, KV on a file, one fsync a commit\n`);
const floor = await rawAtomics();
console.log(`floor: nine mutations a task in plain atomics     ${perSecond(floor)}`);
const end = await endToEnd(TASKS);
console.log(`no-op tasks end to end, 100 submitters            ${perSecond(end)}   ${ratio(end, floor)} of the floor`);
const batch = await batches();
console.log(
  `no-op tasks end to end, batches of 200            ${perSecond(batch)}   ${ratio(batch, floor)} of the floor`,
);
const bare = await bareHono();
console.log(`floor: bare Hono route, 32 connections            ${perSecond(bare)}`);
const http = await httpSubmits(false);
console.log(`submits over HTTP, 32 connections                 ${perSecond(http)}   ${ratio(http, bare)} of the floor`);
const both = await httpSubmits(true);
console.log(`the same while the tasks also run                 ${perSecond(both)}   ${ratio(both, bare)} of the floor`);
console.log(`ended tasks removed by retention                  ${perSecond(await removals())}`);
const commits = await twoCommits();
console.log(`floor: two checked KV commits, idle               p50 ${ms(commits.p50)}   p99 ${ms(commits.p99)}`);
const idle = await idleStart();
console.log(`submit to handler start, idle                     p50 ${ms(idle.p50)}   p99 ${ms(idle.p99)}`);
Deno.exit(0);
