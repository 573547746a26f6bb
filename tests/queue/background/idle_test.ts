/** What is idle writes next to nothing: writes are billed where a store is shared. */

import { Queue } from "../../../queue/queue.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { driven, FakeClock } from "../../support/fake_clock.ts";
import { decode } from "../../../queue/store/codec.ts";
import type { InstanceRecord } from "../../../queue/store/commit/committer.ts";
import { faulty } from "../../support/kv/faulty_kv.ts";
import { countingKv } from "../../support/kv/counting_kv.ts";
import { allReach, heldType, noop } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

for (const worker of [true, false]) {
  for (const distributed of [true, false]) {
    const what = `${worker ? "a worker" : "an instance without work"}${distributed ? " that shares its store" : ""}`;
    Deno.test(`${what} writes at most twice a minute while it is idle`, async () => {
      const real = await Deno.openKv(":memory:");
      const { kv, operations } = countingKv(real);
      const clock = new FakeClock();
      const queue = new Queue({ kv, clock, definitions: [noop], distributed, worker });
      await queue.start();
      await driven(clock, queue.submit({ task_type: "noop" }));
      if (worker) await driven(clock, allReach(queue, 1, "SUCCESS"));
      // What the task has left is trimmed within 15 minutes.
      await clock.advance(20 * 60_000);
      for (let minute = 0; minute < 10; minute++) {
        const start = operations.writeCalls;
        await clock.advance(60_000);
        ok(operations.writeCalls - start <= 2, `${operations.writeCalls - start} writes in a minute`);
      }
      await driven(clock, queue.stop());
      real.close();
    });
  }
}

Deno.test("an idle instance is left alone for an hour, one that holds a task for a lease, and a claim tells that it is awake", async () => {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const held = heldType();
  const options = { kv, clock, definitions: [held.definition], distributed: true };
  const idle = new Queue(options);
  const other = new Queue({ ...options, worker: false });
  await idle.start();
  await other.start();
  const { instance } = idle;
  await clock.advance(10 * 60_000);
  assertEquals(idle.instance, instance);
  const { task } = await driven(clock, other.submit({ task_type: "held" }));
  const handler = await driven(clock, held.next());
  assertEquals(handler.ctx.id, task.task.id);
  // It beats while it holds the task: nobody takes it over.
  await clock.advance(60_000);
  assertEquals([idle.instance, handler.ctx.signal.aborted], [instance, false]);
  handler.finish();
  await driven(clock, allReach(other, 1, "SUCCESS"));
  await driven(clock, idle.stop());
  await driven(clock, other.stop());
  kv.close();
  await listeningEnds(kv);
});

for (const fault of ["locked", "applied, then error"] as const) {
  Deno.test(`a beat that fails (${fault}) does not end the heartbeat, and an idle one whose answer is lost hides no claim`, async () => {
    const real = await Deno.openKv(":memory:");
    const state = faulty(real);
    const clock = new FakeClock();
    const held = heldType();
    const options = { clock, definitions: [held.definition], distributed: true };
    const watcher = new Queue({ ...options, kv: real, worker: false });
    await watcher.start();
    const queue = new Queue({ ...options, kv: state.kv });
    await queue.start();
    const { instance } = queue;
    const record = async () => decode<InstanceRecord>((await real.get(["instance", instance])).value);
    for (let round = 0; round < 3; round++) {
      await driven(clock, watcher.submit({ task_type: "held" }));
      const handler = await driven(clock, held.next());
      assertEquals((await record()).idle, false);
      // Each beat fails for a while, but for less than a lease.
      await clock.advance(6_000);
      state.fault = () => fault;
      await clock.advance(6_000);
      state.fault = () => null;
      await clock.advance(60_000);
      assertEquals([queue.instance, handler.ctx.signal.aborted], [instance, false]);
      handler.finish();
      await driven(clock, allReach(watcher, round + 1, "SUCCESS"));
      state.fault = () => fault;
      await clock.advance(6_000);
      state.fault = () => null;
      await clock.advance(round * 10_000);
    }
    await driven(clock, queue.stop());
    await driven(clock, watcher.stop());
    real.close();
  });
}
