/**
 * What a large store costs: reading, and submitting and running tasks, with 1,000, 100,000 and 1,000,000 tasks waiting,
 * and the memory of a server while they wait.
 *
 * `deno task bench --quick` leaves the million out.
 */

import { defineTask } from "../../queue/define.ts";
import { Queue } from "../../queue/queue.ts";
import type { Submission } from "../../queue/submit/new_task.ts";
import * as z from "zod";
import { batchOf, ended, ms, onFile, perSecond, type Quantiles, quantiles, rate, submitBatches } from "./measure.ts";

const SIZES = Deno.args.includes("--quick") ? [1_000, 100_000] : [1_000, 100_000, 1_000_000];
const MEMORY_TASKS = 100_000;
const ROUNDS = 500;
const WARM_UP = 100;
/** Tasks that are run to tell what the depth of the queue costs, after some that compile the code. */
const STEADY = 40_000;
const STEADY_WARM_UP = 10_000;

const types = ["red", "green", "blue"].map((type) =>
  defineTask({
    type,
    title: "No-op",
    description: "Does nothing.",
    params: z.strictObject({}),
    concurrency: 512,
    run: () => Promise.resolve(null),
  })
);

let started: () => void = () => {};
const amber = defineTask({
  type: "amber",
  title: "No-op",
  description: "Does nothing.",
  params: z.strictObject({}),
  run: () => Promise.resolve(started()).then(() => null),
});

/** 200 tasks of three types and ten priorities. */
const MIXED = Array.from({ length: 200 }, (_, i) => ({ task_type: types[i % 3].type, priority: i % 10 }));
/** 200 tasks of one type and priority. */
const PLAIN = batchOf("red");

/** Fills a store with tasks that wait. */
async function fill(kv: Deno.Kv, count: number, batch: Submission[] = MIXED): Promise<void> {
  const queue = new Queue({ kv, definitions: types, worker: false });
  await queue.start();
  await submitBatches(queue, count, batch);
  await queue.stop();
}

async function times(rounds: number, work: (i: number) => Promise<unknown>): Promise<Quantiles> {
  const found: number[] = [];
  // The first rounds compile the code.
  for (let i = 0; i < WARM_UP; i++) await work(i);
  for (let i = 0; i < rounds; i++) {
    const start = performance.now();
    await work(i);
    found.push(performance.now() - start);
  }
  return quantiles(found);
}

const line = (name: string, { p50, p99 }: Quantiles) =>
  console.log(`  ${name.padEnd(46)} p50 ${ms(p50)}   p99 ${ms(p99)}`);

async function atSize(size: number): Promise<void> {
  console.log(`\n${size.toLocaleString("en-US")} tasks stored and waiting`);
  await onFile(async (kv) => {
    await fill(kv, size);
    const queue = new Queue({ kv, definitions: types, worker: false });
    await queue.start();
    line("list: first page of all", await times(ROUNDS, () => queue.list({}, 50)));
    line(
      "list: by status and type",
      await times(ROUNDS, () => queue.list({ statuses: ["PENDING"], task_types: ["red"] }, 50)),
    );
    const { states } = await queue.list({}, 200);
    const cursor = states[199]?.task.id;
    line("list: a later page, oldest first", await times(ROUNDS, () => queue.list({}, 50, cursor, "oldest")));
    line("counts by status and type", await times(ROUNDS, () => queue.counts()));
    for (const { type } of types) await queue.pause(type, "bench");
    await queue.stop();

    // The start of another type, of which nothing waits, beside all that does.
    const other = new Queue({ kv, definitions: [...types, amber] });
    await other.start();
    const starts = await times(ROUNDS, async () => {
      const running = new Promise<void>((resolve) => started = resolve);
      await other.submit({ task_type: "amber" });
      await running;
    });
    line("submit to start of another type", starts);
    await other.stop();
  });
  await onFile(async (kv) => {
    await fill(kv, size, PLAIN);
    // As many tasks are submitted as end, so that what waits is the same before and after.
    const worker = new Queue({ kv, definitions: types });
    await worker.start();
    await steady(worker, STEADY_WARM_UP);
    console.log(`  ${"submitted and run, in order of submit".padEnd(46)} ${perSecond(await steady(worker, STEADY))}`);
    await worker.stop();
  });
}

/** Tasks a second, while a batch is submitted for each 200 that end. */
async function steady(queue: Queue, count: number): Promise<number> {
  const before = await ended(queue);
  let submitted = 0;
  return await rate(count, async () => {
    while (true) {
      const ends = await ended(queue) - before;
      if (ends >= count) return;
      const submits: Promise<unknown>[] = [];
      for (; submitted <= ends; submitted += 200) submits.push(queue.submitBatch(PLAIN));
      await Promise.all([...submits, new Promise((resolve) => setTimeout(resolve, 1))]);
    }
  });
}

/** Bytes of heap of a process that serves a store, once it has looked around. */
async function heap(path: string): Promise<number> {
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--v8-flags=--expose-gc", new URL("memory_child.ts", import.meta.url).pathname, path],
    stderr: "inherit",
  }).output();
  return Number(new TextDecoder().decode(output.stdout));
}

async function memory(): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    const found: number[] = [];
    for (const count of [0, MEMORY_TASKS]) {
      const path = `${directory}/${count}.db`;
      const kv = await Deno.openKv(path);
      await fill(kv, count);
      kv.close();
      found.push(await heap(path));
    }
    const mb = (bytes: number) => `${(bytes / 1024 ** 2).toFixed(1)} MB`;
    const perTask = (found[1] - found[0]) / MEMORY_TASKS;
    console.log(
      `\nheap of a server: empty store ${mb(found[0])}, 100,000 waiting tasks ${mb(found[1])} ` +
        `(${perTask.toFixed(1)} bytes a task)`,
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

await memory();
for (const size of SIZES) await atSize(size);
Deno.exit(0);
