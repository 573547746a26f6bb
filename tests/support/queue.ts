/** Queues on a store of their own, and handlers that a test holds by the hand. */

import { driven, FakeClock } from "./fake_clock.ts";
import * as z from "zod";
import { type AnyTaskDefinition, defineTask, type TaskContext } from "../../queue/define.ts";
import { addChanges, type Counts } from "../../queue/store/counts.ts";
import { decode } from "../../queue/store/codec.ts";
import type { QueueOptions } from "../../queue/options.ts";
import { Queue } from "../../queue/queue.ts";
import { type Json, type Status, statusOf, type TaskState } from "../../queue/task/record.ts";
import { totalOf } from "../../queue/store/listing.ts";
import { readTasks } from "../../queue/store/reads.ts";
import { listeningEnds } from "../../queue/watch/messages.ts";

/** Does nothing. */
export const noop = defineTask({
  type: "noop",
  title: "Nothing",
  description: "Does nothing.",
  params: z.strictObject({}),
  concurrency: 64,
  run: () => Promise.resolve(null),
});

/** A started handler: the test ends it. */
export interface Held {
  ctx: TaskContext;
  finish(result?: Json): void;
  fail(error: Error): void;
}

/** A task type whose handlers wait for the test. They stop when their signal fires, unless `deaf`. */
export function heldType(type = "held", options: Partial<AnyTaskDefinition> & { deaf?: boolean } = {}) {
  const started: Held[] = [];
  const waiting: ((held: Held) => void)[] = [];
  const definition = defineTask({
    type,
    title: "Held",
    description: "Waits for the test.",
    params: z.looseObject({}),
    concurrency: 64,
    run(ctx) {
      return new Promise<Json>((resolve, reject) => {
        const held: Held = { ctx, finish: (result = null) => resolve(result), fail: reject };
        if (!options.deaf) ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason));
        const next = waiting.shift();
        if (next) next(held);
        else started.push(held);
      });
    },
    ...options,
  });
  return {
    definition,
    /** The next handler that starts. */
    next: (): Promise<Held> => {
      const held = started.shift();
      return held ? Promise.resolve(held) : new Promise((resolve) => waiting.push(resolve));
    },
  };
}

/** Runs a test with a started queue on a store in memory. */
export async function withQueue(
  options: Partial<QueueOptions>,
  test: (queue: Queue, kv: Deno.Kv) => Promise<void>,
): Promise<void> {
  const kv = await Deno.openKv(":memory:");
  const queue = new Queue({ kv, definitions: [noop], ...options });
  await queue.start();
  try {
    await test(queue, kv);
  } finally {
    await queue.stop(2_000);
    kv.close();
    await listeningEnds(kv);
  }
}

/** Looks again after each change until `look` finds something. */
export async function until<T>(queue: Queue, look: () => Promise<T | null>): Promise<T> {
  let wake: () => void = () => {};
  const unsubscribe = await queue.stream.subscribe(() => wake());
  try {
    while (true) {
      const changed = new Promise<void>((resolve) => wake = resolve);
      const found = await look();
      if (found !== null) return found;
      await changed;
    }
  } finally {
    unsubscribe();
  }
}

/** Resolves with the task once it is in one of these statuses. */
export function reaches(queue: Queue, id: string, ...statuses: Status[]): Promise<TaskState> {
  return until(queue, async () => {
    const state = await queue.get(id);
    return statuses.includes(statusOf(state)) ? state : null;
  });
}

/** Resolves once `total` tasks are in one of these statuses. */
export async function allReach(queue: Queue, total: number, ...statuses: Status[]): Promise<void> {
  await until(queue, async () => {
    return totalOf(await queue.counts(), { statuses }) === total ? true : null;
  });
}

/** Counts by reading every task of the store. */
export async function fullCount(kv: Deno.Kv): Promise<Counts> {
  const ids: string[] = [];
  for await (const entry of kv.list({ prefix: ["task"] })) ids.push(decode<{ id: string }>(entry.value).id);
  return addChanges({ counts: {} }, (await readTasks(kv, ids)).map((after) => ({ before: null, after }))).counts;
}

/** Counters without their zeros, so that they compare. */
export function nonZero(counts: Counts): Counts {
  const kept: Counts = {};
  for (const [type, byStatus] of Object.entries(counts)) {
    const entries = Object.entries(byStatus).filter(([, value]) => value !== 0);
    if (entries.length > 0) kept[type] = Object.fromEntries(entries);
  }
  return kept;
}

let year = 2031;

/** Runs a test with a started queue on a clock that stands still. */
export async function withFakeClock(
  options: Partial<QueueOptions>,
  test: (queue: Queue, clock: FakeClock, kv: Deno.Kv) => Promise<void>,
): Promise<void> {
  const kv = await Deno.openKv(":memory:");
  // Ids only grow within a process: each test begins after what the others have made of the time.
  const clock = new FakeClock(Date.UTC(year++, 0, 1));
  const queue = new Queue({ kv, clock, definitions: [noop], ...options });
  await queue.start();
  try {
    await test(queue, clock, kv);
  } finally {
    await driven(clock, queue.stop());
    kv.close();
    await listeningEnds(kv);
  }
}
