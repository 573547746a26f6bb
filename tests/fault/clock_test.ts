/** The wall clock is set back and forward while tasks wait, run and end: what was accepted ends all the same. */

import { Queue } from "../../queue/queue.ts";
import { totalOf } from "../../queue/store/listing.ts";
import { checkStore } from "../../queue/tools/check.ts";
import { assertEquals, ok } from "../support/assert.ts";
import { driven, FakeClock } from "../support/fake_clock.ts";
import { noop } from "../support/queue.ts";

const HOUR = 3_600_000;

for (const jump of [-48 * HOUR, -HOUR, HOUR, 48 * HOUR]) {
  Deno.test(`the clock is set ${jump < 0 ? "back" : "forward"} by ${Math.abs(jump) / HOUR} h: all tasks end, once each`, async () => {
    const kv = await Deno.openKv(":memory:");
    const clock = new FakeClock(Date.UTC(2050, 0, 1));
    const starts = new Map<string, number>();
    const counted = {
      ...noop,
      rateLimit: "50/s",
      run: (ctx: { id: string }) => {
        starts.set(ctx.id, (starts.get(ctx.id) ?? 0) + 1);
        return Promise.resolve(null);
      },
    };
    const queue = new Queue({ kv, clock, definitions: [counted] });
    await queue.start();
    const batch = (count: number, more: object) =>
      queue.submitBatch(Array.from({ length: count }, () => ({ task_type: "noop", ...more })));
    await batch(60, {});
    await batch(20, { run_at: clock.now() + 10_000 });
    await batch(20, { concurrency_key: "k" });
    await clock.advance(500);
    clock.set(clock.now() + jump);
    await batch(20, { priority: 9 });
    await batch(5, { run_at: clock.now() + 1_000 });
    const ended = async () => totalOf(await queue.counts(), { statuses: ["SUCCESS"] });
    const reach = async (wanted: number) => {
      for (let passed = 0; await ended() < wanted; passed += 250) {
        ok(passed < 120_000, `${await ended()} of ${wanted} tasks have ended`);
        await clock.advance(250);
      }
    };
    await reach(105);
    // What waits for a time of day waits until it is that time, or the clock is set right again.
    clock.set(clock.now() - jump);
    await reach(125);
    assertEquals([starts.size, [...starts.values()].every((n) => n === 1)], [125, true]);
    await driven(clock, queue.stop());
    assertEquals((await checkStore(kv, clock.now())).problems, []);
    kv.close();
  });
}
