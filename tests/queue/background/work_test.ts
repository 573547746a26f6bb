/** Working until nothing is left to do, as a host wants it that stops what nothing keeps awake. */

import { Queue } from "../../../queue/queue.ts";
import { statusOf } from "../../../queue/task/record.ts";
import { assertEquals } from "../../support/assert.ts";
import { driven, FakeClock } from "../../support/fake_clock.ts";
import { mortal } from "../../support/kv/mortal_kv.ts";
import { heldType, noop, withFakeClock } from "../../support/queue.ts";

Deno.test("work ends at once when there is nothing to do, with the last task, or when its time is over", async () => {
  const held = heldType();
  await withFakeClock({ definitions: [noop, held.definition], distributed: true }, async (queue, clock) => {
    const start = clock.monotonic();
    await driven(clock, queue.work(50_000));
    assertEquals(clock.monotonic() - start < 5_000, true);

    const { task } = await driven(clock, queue.submit({ task_type: "held" }));
    const handler = await driven(clock, held.next());
    let ended = false;
    const work = queue.work(50_000).then(() => ended = true);
    await clock.advance(30_000);
    assertEquals(ended, false);
    handler.finish();
    await driven(clock, work);
    assertEquals(statusOf(await queue.get(task.task.id)), "SUCCESS");

    await driven(clock, queue.submit({ task_type: "held" }));
    const second = await driven(clock, held.next());
    const before = clock.monotonic();
    await driven(clock, queue.work(50_000));
    assertEquals(Math.abs(clock.monotonic() - before - 50_000) < 2_000, true);
    second.finish();
  });
});

Deno.test("work stays for what an instance holds that may be dead, takes it over after a lease and finishes it", async () => {
  const real = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const held = heldType();
  const options = { clock, definitions: [held.definition], distributed: true };
  const { kv, kill } = mortal(real);
  const dead = new Queue({ ...options, kv });
  await dead.start();
  const { task } = await driven(clock, dead.submit({ task_type: "held" }));
  await driven(clock, held.next());
  kill();
  const woken = new Queue({ ...options, kv: real });
  await woken.start();
  const work = woken.work(50_000);
  (await driven(clock, held.next())).finish();
  await driven(clock, work);
  const { task: ended } = await woken.get(task.task.id);
  assertEquals([ended.status, ended.attempts.map(({ outcome }) => outcome)], ["SUCCESS", ["interrupted", "success"]]);
  await driven(clock, woken.stop());
  real.close();
});
