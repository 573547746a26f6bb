import { Queue } from "../../../queue/queue.ts";
import { type Histogram, observe, quantile } from "../../../queue/store/commit/lane_series.ts";
import { decode } from "../../../queue/store/codec.ts";
import type { SeriesBucket } from "../../../queue/task/api_types.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { driven, FakeClock } from "../../support/fake_clock.ts";
import { allReach, heldType, noop, reaches, withQueue } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function sum(buckets: SeriesBucket[], field: "submitted" | "succeeded" | "failed" | "cancelled"): number {
  return buckets.reduce((total, bucket) => total + bucket[field], 0);
}

Deno.test("a quantile is within 5 % of the truth, from 1 ms to a day; histograms merge by adding", () => {
  const histogram: Histogram = {};
  const values = Array.from({ length: 1_000 }, (_, i) => 1.018 ** i);
  for (const value of values) observe(histogram, value);
  for (const q of [0.01, 0.5, 0.95, 1]) {
    const truth = values[Math.ceil(q * values.length) - 1];
    ok(Math.abs(quantile(histogram, q)! / truth - 1) < 0.05, `${q}: ${quantile(histogram, q)} for ${truth}`);
  }
  assertEquals(quantile({}, 0.5), null);
  const zero: Histogram = {};
  observe(zero, 0);
  assertEquals(quantile(zero, 0.5), 1);
});

Deno.test("each bucket holds what happened in it, by type, and how many waited at its end", async () => {
  const clock = new FakeClock();
  const held = heldType();
  await withQueue({ clock, definitions: [noop, held.definition] }, async (queue) => {
    for (let i = 0; i < 3; i++) await queue.submit({ task_type: "held" });
    const [one, two, three] = [await held.next(), await held.next(), await held.next()];
    clock.sleep(2_000);
    one.finish();
    await driven(clock, reaches(queue, one.ctx.id, "SUCCESS"));
    await queue.pause("noop", "ana");
    await queue.submitBatch(Array.from({ length: 5 }, () => ({ task_type: "noop" })));
    clock.sleep(3 * MINUTE);
    two.finish();
    await driven(clock, reaches(queue, two.ctx.id, "SUCCESS"));
    await queue.cancel(three.ctx.id);
    await queue.resume("noop");
    await driven(clock, allReach(queue, 7, "SUCCESS"));

    const { buckets, bucket_seconds, marks } = await queue.series.read("15m");
    assertEquals([buckets.length, bucket_seconds], [15, 60]);
    const [then, , , now] = buckets.slice(-4);
    assertEquals([then.submitted, then.succeeded, now.succeeded, now.cancelled], [8, 1, 6, 1]);
    assertEquals(then.waiting, { noop: 5, held: 0 });
    assertEquals(now.waiting, { noop: 0, held: 0 });
    ok(Math.abs(then.run_p50! - 2_000) < 250, `${then.run_p50} ms of a run of 2 s`);
    // What was paused has waited.
    ok(now.wait_p95! > 170_000, `${now.wait_p95} ms of a wait of 3 min`);
    assertEquals(buckets[0].run_p50, null);
    assertEquals(marks.map(({ kind, task_type }) => [kind, task_type]), [["start", null], ["pause", "noop"], [
      "resume",
      "noop",
    ]]);
    const only = await queue.series.read("15m", ["held"]);
    assertEquals([sum(only.buckets, "submitted"), only.marks.length], [3, 1]);
    const hour = await queue.series.lastHour();
    ok(Math.abs(hour.held! - 182_000) < 10_000, `${hour.held} ms of a run of 3 min`);
    assertEquals([then.by_type, now.by_type], [{ noop: 0, held: 1 }, { noop: 5, held: 2 }]);
  });
});

Deno.test("the sums equal the counters, also where commits fail and are tried again", async () => {
  await withQueue({}, async (queue) => {
    const batch = Array.from({ length: 100 }, () => ({ task_type: "noop" }));
    await Promise.all(Array.from({ length: 10 }, () => queue.submitBatch(batch)));
    await allReach(queue, 1_000, "SUCCESS");
    const { states } = await queue.list({}, 50);
    // Of two that want the same, one loses its check: it is told of once.
    await Promise.allSettled(states.flatMap(({ task }) => [queue.delete(task.id), queue.delete(task.id)]));
    const { buckets } = await queue.series.read("1h");
    assertEquals([sum(buckets, "submitted"), sum(buckets, "succeeded"), sum(buckets, "cancelled")], [1_000, 1_000, 0]);
  });
});

Deno.test("a clock that is set back loses nothing of the minute that it goes back to", async () => {
  const clock = new FakeClock();
  await withQueue({ clock, lanes: 1 }, async (queue) => {
    await queue.submit({ task_type: "noop" });
    clock.set(clock.now() + 2 * MINUTE);
    await queue.submit({ task_type: "noop" });
    clock.set(clock.now() - 2 * MINUTE);
    await queue.submit({ task_type: "noop" });
    clock.set(clock.now() + 2 * MINUTE);
    await driven(clock, allReach(queue, 3, "SUCCESS"));
    assertEquals(sum((await queue.series.read("15m")).buckets, "submitted"), 3);
  });
});

Deno.test("minutes are kept for a day and summed up by the hour, hours and marks for thirty days", async () => {
  const clock = new FakeClock();
  await withQueue({ clock, worker: false }, async (queue, kv) => {
    const count = async (prefix: Deno.KvKey) => {
      let entries = 0;
      for await (const _ of kv.list({ prefix })) entries++;
      return entries;
    };
    for (let hour = 0; hour < 30; hour++) {
      await queue.submitBatch([{ task_type: "noop" }, { task_type: "noop" }]);
      clock.sleep(HOUR);
      await queue.clean();
    }
    // The hour that has just ended may still be told of by a slow lane.
    assertEquals(await count(["series", "hour"]), 29);
    ok(await count(["series", "minute"]) <= 26, `${await count(["series", "minute"])} minutes`);
    const { buckets } = await queue.series.read("30d");
    assertEquals(sum(buckets, "submitted"), 60);
    // The quarter of an hour that has just begun is the last of 96: the first of the day before is not among them.
    assertEquals(sum((await queue.series.read("24h")).buckets, "submitted"), 46);
    clock.sleep(31 * 24 * HOUR);
    await queue.clean();
    await queue.clean();
    assertEquals([await count(["series"]), await count(["annotation"])], [0, 0]);
    assertEquals(sum((await queue.series.read("30d")).buckets, "submitted"), 0);
  });
});

Deno.test("an entry stays small whatever there is in it", async () => {
  await withQueue({}, async (queue, kv) => {
    await queue.submitBatch(Array.from({ length: 200 }, () => ({ task_type: "noop" })));
    await allReach(queue, 200, "SUCCESS");
    for await (const { value } of kv.list({ prefix: ["series"] })) {
      ok((value as Uint8Array).length < 5_000);
      ok(decode<{ submitted: number }>(value).submitted >= 0);
    }
  });
  const all: Histogram = {};
  for (let ms = 1; ms < 86_400_000 * 2; ms *= 1.05) for (let i = 0; i < 100; i++) observe(all, ms);
  ok(JSON.stringify(all).length * 2 + 100 < 5_000, `${JSON.stringify(all).length} bytes`);
});

Deno.test("after a stop of three days the hours before it are summed up, not lost", async () => {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const queue = new Queue({ kv, clock, definitions: [noop], worker: false });
  await queue.start();
  for (let i = 0; i < 5; i++) await driven(clock, queue.submit({ task_type: "noop" }));
  clock.set(clock.now() + 3 * 24 * 3_600_000);
  await driven(clock, queue.clean());
  const { buckets } = await queue.series.read("30d");
  assertEquals(buckets.reduce((sum, { submitted }) => sum + submitted, 0), 5);
  await driven(clock, queue.stop());
  kv.close();
  await listeningEnds(kv);
});
