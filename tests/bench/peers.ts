/**
 * The same no-op load on Millrace and on queues that people know, in one run on one machine, each as durable as it
 * can be: Millrace with one fsync a commit, BullMQ on Redis with `appendfsync always`, graphile-worker on PostgreSQL
 * with its defaults, River on PostgreSQL and on SQLite with `synchronous=FULL`, bunqueue on SQLite with `durable` on. A
 * peer whose tools are not installed is left out, with a line that says so.
 */

import { defineTask } from "../../queue/define.ts";
import { Queue } from "../../queue/queue.ts";
import * as z from "zod";
import { ms, perSecond, type Quantiles, quantiles, rate, submitBatches, untilEnded, withQueue } from "./measure.ts";

// Not in deno.json: whoever starts the service would download them. Named by variables, they are no part of any graph.
const BULLMQ = "npm:bullmq@6.7.0";
const IOREDIS = "npm:ioredis@5.11.1";
const GRAPHILE_WORKER = "npm:graphile-worker@0.18.0";
const [BUN, BUNQUEUE] = ["bun@1.4.5", "bunqueue@2.9.5"];

const TASKS = 40_000;
/** Tasks that run before the clock does: all are measured with warm code. */
const WARM_UP = 10_000;
const SUBMITTERS = 100;
/** Handlers that may run at once. */
const CONCURRENCY = 512;
const IDLE_ROUNDS = 500;

/** A queue under the same load. */
interface Peer {
  add(): Promise<unknown>;
  /** How many tasks have ended so far, and their end is stored. */
  ended(): number | Promise<number>;
  close(): Promise<void>;
}

type Open = (run: () => void) => Promise<Peer>;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function which(...candidates: string[]): Promise<string | null> {
  for (const path of candidates) {
    if (await Deno.stat(path).then(({ isFile }) => isFile, () => false)) return path;
  }
  return null;
}

function freePort(): number {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr;
  listener.close();
  return port;
}

/** Tries until it does not throw. */
// deno-lint-ignore no-explicit-any
async function eventually(work: () => Promise<any>): Promise<any> {
  for (let tries = 1;; tries++) {
    try {
      return await work();
    } catch (error) {
      if (tries === 100) throw error;
      await pause(100);
    }
  }
}

const millrace: Open = async (run) => {
  const directory = await Deno.makeTempDir();
  const kv = await Deno.openKv(`${directory}/bench.db`);
  const noop = defineTask({
    type: "noop",
    title: "No-op",
    description: "Does nothing.",
    params: z.strictObject({}),
    concurrency: CONCURRENCY,
    run: () => Promise.resolve(run()).then(() => null),
  });
  const queue = new Queue({ kv, definitions: [noop] });
  await queue.start();
  return {
    add: () => queue.submit({ task_type: "noop" }),
    ended: async () => (await queue.counts()).noop?.SUCCESS ?? 0,
    async close() {
      await queue.stop();
      kv.close();
      await Deno.remove(directory, { recursive: true });
    },
  };
};

const bullmq = (redis: string): Open => async (run) => {
  const { Queue, Worker } = await import(BULLMQ);
  const { Redis } = await import(IOREDIS);
  const directory = await Deno.makeTempDir();
  const port = freePort();
  const server = new Deno.Command(redis, {
    args: ["--port", `${port}`, "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir", directory],
    stdout: "null",
  }).spawn();
  await eventually(async () => (await Deno.connect({ hostname: "127.0.0.1", port })).close());
  const connect = () => new Redis(port, "127.0.0.1", { maxRetriesPerRequest: null });
  const connections = [connect(), connect()];
  const queue = new Queue("noop", { connection: connections[0] });
  const worker = new Worker("noop", () => Promise.resolve(run()), {
    connection: connections[1],
    concurrency: CONCURRENCY,
  });
  await worker.waitUntilReady();
  let ended = 0;
  worker.on("completed", () => ended++);
  return {
    ended: () => ended,
    add: () => queue.add("noop", {}),
    async close() {
      await worker.close();
      await queue.close();
      for (const connection of connections) connection.disconnect();
      server.kill("SIGTERM");
      await server.status;
      await Deno.remove(directory, { recursive: true });
    },
  };
};

/** A PostgreSQL server of its own, with its defaults. */
async function startPostgres(folder: string): Promise<{ url: string; close(): Promise<void> }> {
  // PostgreSQL does not run as root.
  const prefix = Deno.uid() === 0 ? ["runuser", "-u", "postgres", "--"] : [];
  const command = (...words: string[]) => {
    const [first, ...args] = [...prefix, ...words];
    return new Deno.Command(first, { args, stdout: "null", stderr: "null", cwd: "/tmp" });
  };
  const directory = await Deno.makeTempDir();
  if (prefix.length > 0) await new Deno.Command("chown", { args: ["postgres", directory] }).output();
  const data = `${directory}/data`;
  await command(`${folder}/initdb`, "-A", "trust", "-U", "bench", data).output();
  const port = freePort();
  const server = command(`${folder}/postgres`, "-D", data, "-p", `${port}`, "-k", directory, "-h", "127.0.0.1").spawn();
  await eventually(async () => (await Deno.connect({ hostname: "127.0.0.1", port })).close());
  return {
    url: `postgres://bench@127.0.0.1:${port}/postgres`,
    async close() {
      await command("kill", "-INT", (await Deno.readTextFile(`${data}/postmaster.pid`)).split("\n")[0]).output();
      await server.status;
      await Deno.remove(directory, { recursive: true });
    },
  };
}

const graphile = (folder: string): Open => async (done) => {
  const { Logger, makeWorkerUtils, run } = await import(GRAPHILE_WORKER);
  const quiet = new Logger(() => () => {});
  const server = await startPostgres(folder);
  const connectionString = server.url;
  const utils = await eventually(() => makeWorkerUtils({ connectionString, logger: quiet }));
  await utils.migrate();
  let ended = 0;
  const runner = await run({
    preset: {
      worker: {
        connectionString,
        logger: quiet,
        concurrentJobs: CONCURRENCY,
        maxPoolSize: 20,
        pollInterval: 1_000,
        // Its settings for throughput: jobs are fetched and completed in batches.
        localQueue: { size: 500 },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
      },
    },
    noHandleSignals: true,
    taskList: { noop: () => Promise.resolve(done()) },
  });
  runner.events.on("job:success", () => ended++);
  return {
    ended: () => ended,
    add: () => utils.addJob("noop", {}),
    async close() {
      await runner.stop();
      await utils.release();
      await server.close();
    },
  };
};

/** What a peer that runs in a process of its own has measured. */
interface Measured {
  /** Tasks a second, each inserted alone by one of 100 submitters. */
  single: number;
  /** Tasks a second, inserted many at a time. */
  bulk: number;
  /** What its SQLite connection syncs. */
  pragma?: string;
}

async function output(command: string, args: string[], cwd?: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, cwd }).output();
  if (!success) throw new Error(`${command} failed: ${new TextDecoder().decode(stderr).slice(-2_000)}`);
  return new TextDecoder().decode(stdout);
}

/** River, built from `river/`; see there for its load. */
async function river(go: string, postgres: string | null): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    const program = `${directory}/river`;
    await output(go, ["build", "-o", program, "."], new URL("river", import.meta.url).pathname);
    if (postgres === null) leftOut("River, PostgreSQL");
    else {
      const server = await startPostgres(postgres);
      pair("River, PostgreSQL, 1,000 an insert", JSON.parse(await output(program, ["postgres", server.url])));
      await server.close();
    }
    pair("River, SQLite, 1,000 an insert", JSON.parse(await output(program, ["sqlite", `${directory}/river.db`])));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function bunqueue(npm: string): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/package.json`, "{}");
    await output(npm, ["install", "--no-audit", "--no-fund", BUN, BUNQUEUE], directory);
    await Deno.copyFile(new URL("bunqueue.js", import.meta.url), `${directory}/bunqueue.js`);
    const args = [`${directory}/bunqueue.js`, `${directory}/bunqueue.db`, `${directory}/node_modules/bunqueue`];
    pair(
      "bunqueue, SQLite, 200 an insert",
      JSON.parse(await output(`${directory}/node_modules/.bin/bun`, args, directory)),
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Millrace in batches of 200, as the peers that insert many at a time. */
async function ownBulk(): Promise<number> {
  return await withQueue(async (queue) => {
    const run = (count: number, before: number) =>
      rate(count, async () => {
        await submitBatches(queue, count);
        await untilEnded(queue, before + count);
      });
    await run(WARM_UP, 0);
    return await run(TASKS, WARM_UP);
  });
}

async function measure(open: Open): Promise<{ speed: number; idle: Quantiles }> {
  let started: () => void = () => {};
  const peer = await open(() => started());
  const run = async (count: number) => {
    const wanted = await peer.ended() + count;
    const begin = performance.now();
    let left = count;
    await Promise.all(Array.from({ length: SUBMITTERS }, async () => {
      while (left-- > 0) await peer.add();
    }));
    while (await peer.ended() < wanted) await pause(2);
    return count / ((performance.now() - begin) / 1000);
  };
  try {
    await run(WARM_UP);
    const speed = await run(TASKS);
    await pause(500);
    const times: number[] = [];
    for (let i = 0; i < IDLE_ROUNDS; i++) {
      const start = performance.now();
      const running = new Promise<void>((resolve) => started = resolve);
      await peer.add();
      await running;
      times.push(performance.now() - start);
      await pause(4);
    }
    return { speed, idle: quantiles(times) };
  } finally {
    await peer.close();
  }
}

const row = (name: string, speed: number, { p50, p99 }: Quantiles) =>
  console.log(`${name.padEnd(36)} ${perSecond(speed)}   idle submit to start p50 ${ms(p50)}   p99 ${ms(p99)}`);

console.log(
  `${TASKS.toLocaleString("en-US")} no-op tasks, ${SUBMITTERS} submitters, from the first submit to the last end\n`,
);
const own = await measure(millrace);
row("Millrace", own.speed, own.idle);

const ownBulkSpeed = await ownBulk();
console.log(`${"Millrace, batches of 200".padEnd(36)} ${perSecond(ownBulkSpeed)}`);

function leftOut(name: string): void {
  console.log(`${name.padEnd(36)} left out: its tools are not installed`);
}

function pair(name: string, { single, bulk, pragma }: Measured): void {
  const synced = pragma === undefined ? "" : `   (PRAGMA synchronous: ${pragma})`;
  console.log(`${name.padEnd(36)} ${perSecond(bulk)}${synced}`);
  console.log(`${"  one an insert, 100 submitters".padEnd(36)} ${perSecond(single)}`);
  const [all, each] = [ownBulkSpeed / bulk, own.speed / single].map((times) => times.toFixed(2));
  console.log(`${"  Millrace does".padEnd(36)} ${all} and ${each} times as many tasks a second`);
}

const redis = await which("/usr/bin/redis-server", "/usr/local/bin/redis-server", "/opt/homebrew/bin/redis-server");
const postgresVersions = await Array.fromAsync(
  await Deno.stat("/usr/lib/postgresql").then(() => Deno.readDir("/usr/lib/postgresql"), () => []),
  ({ name }) => `/usr/lib/postgresql/${name}/bin`,
);
const newest = postgresVersions.at(-1);
const postgres = newest && await which(`${newest}/postgres`) ? newest : null;
async function compare(name: string, open: Open | null): Promise<void> {
  if (!open) return leftOut(name);
  const { speed, idle } = await measure(open);
  row(name, speed, idle);
  console.log(
    `${"  Millrace does".padEnd(36)} ${(own.speed / speed).toFixed(2)} times as many tasks a second, ` +
      `and starts an idle one in ${(own.idle.p50 / idle.p50).toFixed(2)} of the time`,
  );
}

await compare("BullMQ, Redis appendfsync always", redis ? bullmq(redis) : null);
const onPath = (name: string) => which(...(Deno.env.get("PATH") ?? "").split(":").map((folder) => `${folder}/${name}`));
const [go, npm] = [await onPath("go"), await onPath("npm")];
if (go) await river(go, postgres);
else leftOut("River");
if (npm) await bunqueue(npm);
else leftOut("bunqueue");
// The last: its pool fails when its server stops.
await compare("graphile-worker, PostgreSQL", postgres ? graphile(postgres) : null);
Deno.exit(0);
