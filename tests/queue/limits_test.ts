/** Pauses, rate limits, expiry, unique keys, retention: what holds tasks back or ends them without a handler. */

import { allowance, parseRate } from "../../queue/task/rate_limit.ts";
import type { QueueOptions } from "../../queue/options.ts";
import { Queue } from "../../queue/queue.ts";
import { totalOf } from "../../queue/store/listing.ts";
import { statusOf } from "../../queue/task/record.ts";
import { assertEquals, assertRejects, assertThrows, ok } from "../support/assert.ts";
import { driven, FakeClock, turn } from "../support/fake_clock.ts";
import { allReach, heldType, noop, reaches } from "../support/queue.ts";

let year = 2031;

async function withFakeClock(
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
  }
}

Deno.test("a paused type starts nothing, also after a restart; what runs goes on; resumed, it starts what waited", async () => {
  const kv = await Deno.openKv(":memory:");
  const held = heldType();
  const definitions = [held.definition, noop];
  const first = new Queue({ kv, definitions });
  await first.start();
  await first.submit({ task_type: "held" });
  const running = await held.next();
  await first.pause("held", "ana", "the mail server is down");
  const { task: { task: { id } } } = await first.submit({ task_type: "held" });
  await first.submit({ task_type: "noop" });
  await allReach(first, 1, "SUCCESS");
  running.finish();
  await allReach(first, 2, "SUCCESS");
  await first.stop(2_000);

  const second = new Queue({ kv, definitions });
  await second.start();
  assertEquals(
    [...await second.pauses()].map(([type, { by, reason }]) => [type, by, reason]),
    [["held", "ana", "the mail server is down"]],
  );
  await second.submit({ task_type: "noop" });
  await allReach(second, 3, "SUCCESS");
  assertEquals(statusOf(await second.get(id)), "PENDING");
  await second.resume("held");
  (await held.next()).finish();
  await reaches(second, id, "SUCCESS");
  await assertRejects(second.pause("none", "ana"), { code: "not_found" });
  await second.stop(2_000);
  kv.close();
});

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

Deno.test("a task that is not started by its expires_at is CANCELLED with that reason; one that was started is not", async () => {
  const held = heldType("held", { concurrency: 1 });
  await withFakeClock({ definitions: [held.definition] }, async (queue, clock, kv) => {
    const started = await queue.submit({ task_type: "held", expires_in_ms: 60_000 });
    const handler = await held.next();
    const waiting = await queue.submit({ task_type: "held", expires_in_ms: 60_000 });
    const blocked = await queue.submit({
      task_type: "held",
      expires_in_ms: 30_000,
      depends_on: [started.task.task.id],
    });
    const id = waiting.task.task.id;
    await clock.advance(59_999);
    assertEquals(statusOf(await queue.get(id)), "PENDING");
    while (statusOf(await queue.get(id)) === "PENDING") await clock.advance(1);
    const expired = await queue.get(id);
    assertEquals([statusOf(expired), expired.task.error?.code], ["CANCELLED", "expired"]);
    assertEquals(statusOf(await queue.get(blocked.task.task.id)), "CANCELLED");
    assertEquals(statusOf(await queue.get(handler.ctx.id)), "RUNNING");
    for await (const { key } of kv.list({ prefix: ["expiry"] })) throw new Error(`left: ${key.join()}`);
    handler.finish();
    const retried = await queue.retry(id);
    assertEquals(retried.task.expires_at, clock.now() + 60_000);
    (await held.next()).finish();
  });
});

Deno.test("a slot that becomes free after the expiry starts nothing that has expired", async () => {
  const held = heldType();
  await withFakeClock({ definitions: [held.definition, noop], worker: false }, async (queue, clock, kv) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held", expires_in_ms: 1_000 });
    clock.set(clock.now() + 2_000);
    const worker = new Queue({ kv, clock, definitions: [held.definition] });
    await worker.start();
    while (statusOf(await queue.get(id)) === "PENDING") await turn();
    assertEquals((await queue.get(id)).task.error?.code, "expired");
    await driven(clock, worker.stop());
  });
});

Deno.test("a unique key answers the task that there is, within its period and its states", async () => {
  const held = heldType("held", { maxAttempts: 1 });
  await withFakeClock({ definitions: [held.definition] }, async (queue, clock, kv) => {
    const submit = (unique: object = {}) => queue.submit({ task_type: "held", unique: { key: "report", ...unique } });
    const answers = await Promise.all(Array.from({ length: 8 }, () => submit()));
    assertEquals(new Set(answers.map(({ task }) => task.task.id)).size, 1);
    assertEquals(answers.filter(({ created }) => created).length, 1);
    const first = answers[0].task.task.id;
    const handler = await held.next();
    clock.set(clock.now() + 3_600_000);
    assertEquals((await submit()).task.task.id, first);
    const later = await submit({ period_ms: 3_600_000 });
    ok(later.created);
    handler.finish();
    (await held.next()).fail(new Error("no"));
    const second = later.task.task.id;
    while (statusOf(await queue.get(second)) !== "FAILED") await turn();
    // The newest has FAILED, which does not count unless one says so.
    assertEquals((await submit({ states: ["FAILED"] })).task.task.id, second);
    const third = await submit();
    ok(third.created);
    // With an idempotency key too: the key remembers what was answered.
    const key = { scope: "", key: "k" };
    const known = await queue.submit({ task_type: "held", unique: { key: "report" } }, key);
    assertEquals([known.created, known.task.task.id], [false, third.task.task.id]);
    await queue.cancel(third.task.task.id);
    assertEquals(
      (await queue.submit({ task_type: "held", unique: { key: "report" } }, key)).task.task.id,
      third.task.task.id,
    );
    await queue.delete(third.task.task.id);
    for await (const { key } of kv.list({ prefix: ["unique"] })) throw new Error(`left: ${key.join()}`);
  });
});

Deno.test("ended tasks are kept by their status, or for as long as they say themselves", async () => {
  const DAY = 86_400_000;
  const retention = { SUCCESS: DAY, FAILED: 3 * DAY, CANCELLED: 2 * DAY };
  await withFakeClock({ worker: false, retention }, async (queue, clock, kv) => {
    const cancelled = async (more = {}) => {
      const { task: { task: { id } } } = await queue.submit({ task_type: "noop", ...more });
      await queue.cancel(id);
      return id;
    };
    const plain = await cancelled();
    const short = await cancelled({ retention_ms: DAY });
    const long = await cancelled({ retention_ms: 5 * DAY });
    const there = async () => {
      await queue.clean();
      return (await queue.list({}, 10)).states.map(({ task }) => task.id).sort();
    };
    clock.set(clock.now() + DAY + 1);
    assertEquals(await there(), [plain, long].sort());
    await assertRejects(queue.get(short), { code: "not_found" });
    clock.set(clock.now() + DAY);
    assertEquals(await there(), [long]);
    clock.set(clock.now() + 3 * DAY);
    assertEquals(await there(), []);
    for await (const { key } of kv.list({ prefix: ["drop"] })) throw new Error(`left: ${key.join()}`);
  });
});

Deno.test("who reads the pauses beside a resume does not bring the pause back", async () => {
  await withFakeClock({}, async (queue) => {
    for (let i = 0; i < 50; i++) {
      await queue.pause("noop", "test");
      const reading = queue.pauses();
      await queue.resume("noop");
      await reading;
      await queue.submit({ task_type: "noop" });
      while ((await queue.counts()).noop.SUCCESS !== i + 1) await turn();
    }
  });
});

Deno.test("a retry does not make a second task beside the one that has its unique key now", async () => {
  await withFakeClock({ worker: false }, async (queue) => {
    const submit = async () => (await queue.submit({ task_type: "noop", unique: { key: "u" } })).task.task.id;
    const first = await submit();
    await queue.cancel(first);
    const second = await submit();
    await assertRejects(queue.retry(first), /has the same unique key and has not ended/);
    await queue.cancel(second);
    await queue.retry(first);
    assertEquals(await submit(), first);
  });
});
