/** What the benchmarks share: a store on a file, a task type that does nothing, rates and quantiles. */

import { defineTask } from "../../queue/define.ts";
import { Queue } from "../../queue/queue.ts";
import { totalOf } from "../../queue/store/listing.ts";
import type { Submission } from "../../queue/submit/new_task.ts";
import * as z from "zod";

/** Tasks of a run. */
export const TASKS = 40_000;
/** Tasks that are started one by one on an idle queue. */
export const IDLE_ROUNDS = 1_000;

let started: () => void = () => {};
let calls = 0;
/** Does nothing. */
export const noop = defineTask({
  type: "noop",
  title: "No-op",
  description: "Does nothing.",
  params: z.strictObject({}),
  concurrency: 512,
  run() {
    started();
    calls++;
    return Promise.resolve(null);
  },
});

/** Takes 200 ms. */
export const sleepy = defineTask({
  type: "sleepy",
  title: "Sleep",
  description: "Waits for 200 ms.",
  params: z.strictObject({}),
  concurrency: 100,
  run: (ctx) => ctx.sleep(200).then(() => null),
});

/** A store on a file of its own. */
export async function onFile<T>(work: (kv: Deno.Kv) => Promise<T>): Promise<T> {
  const directory = await Deno.makeTempDir();
  const kv = await Deno.openKv(`${directory}/bench.db`);
  try {
    return await work(kv);
  } finally {
    kv.close();
    await Deno.remove(directory, { recursive: true });
  }
}

/** A queue on a store of its own. */
export async function withQueue<T>(work: (queue: Queue) => Promise<T>): Promise<T> {
  return await onFile(async (kv) => {
    const queue = new Queue({ kv, definitions: [noop] });
    await queue.start();
    try {
      return await work(queue);
    } finally {
      await queue.stop();
    }
  });
}

/** Runs `work` and gives how many of `count` there were in a second. */
export async function rate(count: number, work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return count / ((performance.now() - start) / 1000);
}

/** 200 plain tasks of a type. */
export function batchOf(task_type: string): Submission[] {
  return Array.from({ length: 200 }, () => ({ task_type }));
}

/** Submits tasks in batches of 200, four at a time. */
export async function submitBatches(queue: Queue, count: number, batch = batchOf("noop")): Promise<void> {
  let left = count / 200;
  await Promise.all(Array.from({ length: 4 }, async () => {
    while (left-- > 0) await queue.submitBatch(batch);
  }));
}

/** How many tasks have succeeded. */
export async function ended(queue: Queue): Promise<number> {
  return totalOf(await queue.counts(), { statuses: ["SUCCESS"] });
}

/** Waits until so many tasks have succeeded. */
export async function untilEnded(queue: Queue, count: number, everyMs = 2): Promise<void> {
  while (await ended(queue) < count) await new Promise((resolve) => setTimeout(resolve, everyMs));
}

/** No-op tasks a second from the first submit to the last end, with 100 submitters. */
export async function endToEnd(count: number): Promise<number> {
  return await withQueue((queue) =>
    rate(count, async () => {
      let left = count;
      const submit = async () => {
        while (left-- > 0) await queue.submit({ task_type: "noop" });
      };
      await Promise.all(Array.from({ length: 100 }, submit));
      await untilEnded(queue, count);
    })
  );
}

/** Of many durations in milliseconds. */
export interface Quantiles {
  p50: number;
  p99: number;
}

/** The median and the 99th percentile. */
export function quantiles(values: number[]): Quantiles {
  const sorted = values.toSorted((a, b) => a - b);
  return { p50: sorted[Math.floor(sorted.length * 0.5)], p99: sorted[Math.floor(sorted.length * 0.99)] };
}

/** From the call of submit to the start of the handler, on an idle queue. */
export async function idleStart(): Promise<Quantiles> {
  return await withQueue(async (queue) => {
    const times: number[] = [];
    for (let i = 0; i < IDLE_ROUNDS; i++) {
      const before = calls;
      const start = performance.now();
      const running = new Promise<void>((resolve) => started = resolve);
      await queue.submit({ task_type: "noop" });
      await running;
      times.push(performance.now() - start);
      while (calls === before) await new Promise((resolve) => setTimeout(resolve, 0));
      // Let the end of the task be committed: the next one starts on an idle queue.
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    started = () => {};
    return quantiles(times);
  });
}

export const perSecond = (value: number) => `${Math.round(value).toLocaleString("en-US").padStart(8)} /s`;
export const ms = (value: number) => `${value.toFixed(2).padStart(6)} ms`;
export const ratio = (value: number, floor: number) => `${(100 * value / floor).toFixed(0).padStart(4)} %`;
