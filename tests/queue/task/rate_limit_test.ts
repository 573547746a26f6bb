import { allowance, parseRate } from "../../../queue/task/rate_limit.ts";
import { Queue } from "../../../queue/queue.ts";
import { totalOf } from "../../../queue/store/listing.ts";
import { assertEquals, assertThrows, ok } from "../../support/assert.ts";
import { driven, FakeClock } from "../../support/fake_clock.ts";
import { noop } from "../../support/queue.ts";

Deno.test("rates are read, and what is none is refused", () => {
  assertEquals(parseRate("10/s"), { limit: 10, windowMs: 1_000 });
  assertEquals(parseRate("1000/h"), { limit: 1_000, windowMs: 3_600_000 });
  for (const text of ["", "10", "0/s", "1001/s", "10/d", "-1/s", "1.5/s"]) {
    assertThrows(() => parseRate(text), RangeError);
  }
});

Deno.test("a window counts its starts to the millisecond, and those that a clock set back makes future as now", () => {
  const rate = parseRate("3/s");
  assertEquals(allowance([], rate, 5_000).free, 3);
  assertEquals(allowance([4_000, 4_001, 4_500], rate, 5_000), {
    counting: [4_001, 4_500],
    free: 1,
    nextAt: 5_001,
    setBack: false,
  });
  assertEquals(allowance([4_001, 4_500, 5_000], rate, 5_000), {
    counting: [4_001, 4_500, 5_000],
    free: 0,
    nextAt: 5_001,
    setBack: false,
  });
  assertEquals(allowance([9_000, 9_000, 9_000], rate, 5_000).nextAt, 6_000);
});

for (const instances of [1, 2]) {
  Deno.test(`a rate limit of 5/s holds in every window, over ${instances} instances and a restart`, async () => {
    const kv = await Deno.openKv(":memory:");
    const clock = new FakeClock();
    const limited = { ...noop, rateLimit: "5/s" };
    const make = () => new Queue({ kv, clock, definitions: [limited], distributed: instances > 1, leaseMs: 600_000 });
    let queues = Array.from({ length: instances }, make);
    for (const queue of queues) await driven(clock, queue.start());
    await driven(clock, queues[0].submitBatch(Array.from({ length: 23 }, () => ({ task_type: "noop" }))));
    const stop = () => driven(clock, Promise.all(queues.map((queue) => queue.stop())));
    const ended = async () => totalOf(await queues[0].counts(), { statuses: ["SUCCESS"] });
    while (await ended() < 12) await clock.advance(50);
    await stop();
    queues = Array.from({ length: instances }, make);
    for (const queue of queues) await driven(clock, queue.start());
    while (await ended() < 23) await clock.advance(50);
    const { states } = await queues[0].list({}, 50);
    const starts = states.map(({ task }) => task.started_at!).sort((a, b) => a - b);
    for (let i = 5; i < 23; i++) ok(starts[i] - starts[i - 5] >= 1_000, `starts ${i - 5} and ${i}: ${starts}`);
    await stop();
    kv.close();
  });
}
