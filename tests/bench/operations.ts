/**
 * `deno task bench:operations`: how many operations of KV a task, an idle hour and a wake-up cost where instances share a
 * store. Hosted KV bills them: a read for each key or listed entry, a write for each entry that is set or deleted, each
 * counted once per 4 KB read and 1 KB written.
 */

import { Queue } from "../../queue/queue.ts";
import { driven, FakeClock } from "../support/fake_clock.ts";
import { countingKv, type Operations } from "../support/kv/counting_kv.ts";
import { allReach, noop } from "../support/queue.ts";

const DEPLOY_LANES = 4;

async function measured(
  options: { worker?: boolean },
  prepare: (queue: Queue, clock: FakeClock) => Promise<void>,
  work: (queue: Queue, clock: FakeClock) => Promise<void>,
): Promise<Operations> {
  const real = await Deno.openKv(":memory:");
  const { kv, operations } = countingKv(real);
  const clock = new FakeClock();
  const queue = new Queue({ kv, clock, definitions: [noop], distributed: true, lanes: DEPLOY_LANES, ...options });
  await queue.start();
  await prepare(queue, clock);
  const before = { ...operations };
  await work(queue, clock);
  const after = { ...operations };
  await driven(clock, queue.stop());
  real.close();
  return Object.fromEntries(
    Object.entries(after).map(([name, count]) => [name, count - before[name as keyof Operations]]),
  ) as unknown as Operations;
}

function print(what: string, { reads, writes, readCalls, writeCalls }: Operations, per = 1): void {
  const of = (count: number) => (count / per).toFixed(per > 1 ? 1 : 0).padStart(7);
  console.log(
    `${what.padEnd(48)}${of(reads)} reads in ${of(readCalls)} calls ${of(writes)} writes in ${of(writeCalls)}`,
  );
}

const settle = async (_: Queue, clock: FakeClock) => await clock.advance(60_000);
const BATCH = 200;

print(
  "a task submitted alone",
  await measured({}, settle, async (queue, clock) => {
    await driven(clock, queue.submit({ task_type: "noop" }));
    await driven(clock, allReach(queue, 1, "SUCCESS"));
  }),
);
print(
  `each task of a batch of ${BATCH}`,
  await measured({}, settle, async (queue, clock) => {
    await driven(clock, queue.submitBatch(Array.from({ length: BATCH }, () => ({ task_type: "noop" }))));
    await driven(clock, allReach(queue, BATCH, "SUCCESS"));
  }),
  BATCH,
);
const hour = async (_: Queue, clock: FakeClock) => await clock.advance(3_600_000);
print("an idle hour of an instance that is kept awake", await measured({}, settle, hour));
print("an idle hour of one with ROLES=api", await measured({ worker: false }, settle, hour));

const real = await Deno.openKv(":memory:");
const { kv, operations } = countingKv(real);
const clock = new FakeClock();
const queue = new Queue({ kv, clock, definitions: [noop], distributed: true, lanes: DEPLOY_LANES });
await queue.start();
await driven(clock, queue.work(50_000));
await driven(clock, queue.stop());
print("a start by the cron that finds nothing to do", operations);
real.close();
