/**
 * Throughput and latency on a file-backed store, each beside a floor that is measured in the same run on the same
 * machine. Compare the ratios; the absolute numbers are your machine's.
 */

import { Hono } from "hono";
import { systemClock } from "../../queue/task/clock.ts";
import { silent } from "../../queue/log.ts";
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
  submitBatches,
  TASKS,
  untilEnded,
  withQueue,
} from "./measure.ts";

const HTTP_REQUESTS = 20_000;
const BACKLOG = 100_000;
/** Each figure is the best of so many rounds; its floor is measured right before it, in the same round. */
const ROUNDS = 3;

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
      await submitBatches(queue, TASKS);
      await untilEnded(queue, TASKS);
    })
  );
}

/** Tasks that wait already when the queue starts. */
async function drain(): Promise<number> {
  return await onFile(async (kv) => {
    const filler = new Queue({ kv, definitions: [noop], worker: false });
    await filler.start();
    await submitBatches(filler, BACKLOG);
    await filler.stop();
    const queue = new Queue({ kv, definitions: [noop] });
    const speed = await rate(BACKLOG, async () => {
      await queue.start();
      await untilEnded(queue, BACKLOG);
    });
    await queue.stop();
    return speed;
  });
}

async function load({ port, stop }: Listening, path: string): Promise<number> {
  const worker = new Worker(new URL("load_worker.ts", import.meta.url), { type: "module" });
  const body = JSON.stringify({ task_type: "noop", input_params: {} });
  try {
    const answer = new Promise<{ failed: number; ms: number }>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => reject(new Error(event.message));
    });
    worker.postMessage({ port, connections: 100, requests: HTTP_REQUESTS, path, body });
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

function bareApp(): Hono {
  const app = new Hono();
  return app.post("/", async (c) => c.json(await c.req.json(), 201));
}

/** The same route by the server that the service uses. */
async function bareOnNode(): Promise<number> {
  const app = bareApp();
  return await load(
    await serve({
      fetch: (request) => app.fetch(request),
      port: 0,
      host: "127.0.0.1",
      clock: systemClock,
      log: silent,
    }),
    "/",
  );
}

async function bareHono(): Promise<number> {
  const app = bareApp();
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
    await submitBatches(queue, TASKS);
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

/** Prints a figure beside its floor, of the round in which it was the largest part of it. */
async function beside(name: string, floor: () => Promise<number>, measure: () => Promise<number>): Promise<void> {
  const rounds: { floor: number; value: number }[] = [];
  for (let i = 0; i < ROUNDS; i++) rounds.push({ floor: await floor(), value: await measure() });
  const best = rounds.toSorted((a, b) => b.value / b.floor - a.value / a.floor)[0];
  console.log(
    `${name.padEnd(46)} ${perSecond(best.value)}   ${ratio(best.value, best.floor)} of ${perSecond(best.floor).trim()}`,
  );
}

console.log(
  `Deno ${Deno.version.deno}, ${navigator.hardwareConcurrency} cores, KV on a file, one fsync a commit; best of ${ROUNDS}\n`,
);
console.log("beside the nine mutations of a task in plain atomics");
await beside("no-op tasks end to end, 100 submitters", rawAtomics, () => endToEnd(TASKS));
await beside("no-op tasks end to end, batches of 200", rawAtomics, batches);
await beside(`${BACKLOG.toLocaleString("en")} waiting tasks, run to their end`, rawAtomics, drain);
console.log("\nbeside a bare Hono route on Deno.serve, 100 connections");
await beside("the same route on node:http", bareHono, bareOnNode);
await beside("submits over HTTP, 100 connections", bareHono, () => httpSubmits(false));
await beside("the same while the tasks also run", bareHono, () => httpSubmits(true));
console.log("\nbeside two checked KV commits one after another, p50, idle");
const idle: { floor: Quantiles; value: Quantiles }[] = [];
for (let i = 0; i < ROUNDS; i++) idle.push({ floor: await twoCommits(), value: await idleStart() });
const { floor, value } = idle.toSorted((a, b) => a.value.p50 / a.floor.p50 - b.value.p50 / b.floor.p50)[0];
console.log(
  `${"submit to handler start".padEnd(46)} ${ms(value.p50)}   ${ratio(value.p50, floor.p50)} of ${
    ms(floor.p50).trim()
  } (p99 ${ms(value.p99).trim()}, ${ms(floor.p99).trim()})`,
);
console.log(`\n${"ended tasks removed by retention".padEnd(46)} ${perSecond(await removals())}`);
Deno.exit(0);
