/** KV's own queue: messages that wake, and what it does with messages that are late, lost, doubled or broken. */

import { DatabaseSync } from "node:sqlite";
import * as z from "zod";
import { EffectWorker } from "../../../queue/background/effect_worker.ts";
import { defineTask } from "../../../queue/define.ts";
import { createLogger } from "../../../queue/log.ts";
import { Queue } from "../../../queue/queue.ts";
import { Runner } from "../../../queue/run/runner.ts";
import { WAKEUP } from "../../../queue/store/commit/lane.ts";
import { taskMessage } from "../../../queue/submit/inbox.ts";
import { isTerminal, statusOf } from "../../../queue/task/record.ts";
import { type Clock, systemClock, within } from "../../../queue/task/clock.ts";
import { Notifier } from "../../../queue/watch/notifier.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { withDirectory } from "../../support/directory.ts";
import { driven, FakeClock, turn } from "../../support/fake_clock.ts";
import { messagesKv } from "../../support/kv/messages_kv.ts";
import { allReach, heldType, noop, withQueue } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

/** A type that fails at its first attempt. */
const flaky = defineTask({
  type: "flaky",
  title: "Flaky",
  description: "Fails once.",
  params: z.strictObject({}),
  backoff: { base: 20, factor: 1, cap: 20 },
  run: ({ attempt }) => attempt === 1 ? Promise.reject(new Error("once")) : Promise.resolve(null),
});

/** Runs a test without the calls by which a commit wakes this process: only messages and the poll are left. */
async function withoutCalls(test: () => Promise<void>): Promise<void> {
  const { committed } = Notifier.prototype;
  const { committed: effectsCommitted } = EffectWorker.prototype;
  const { claimOnSubmit } = Runner.prototype;
  Notifier.prototype.committed = EffectWorker.prototype.committed = () => {};
  Runner.prototype.claimOnSubmit = (state) => state;
  try {
    await test();
  } finally {
    Notifier.prototype.committed = committed;
    EffectWorker.prototype.committed = effectsCommitted;
    Runner.prototype.claimOnSubmit = claimOnSubmit;
  }
}

/** The machine's clock, on which nothing that waits for half a minute or longer ever comes: neither poll nor sweep. */
const withoutPolls: Clock = {
  ...systemClock,
  after: (ms, callback) => ms >= 30_000 ? () => {} : systemClock.after(ms, callback),
};

Deno.test("messages alone start what is ready, due, tried again, expired, released by a parent or by a key", async () => {
  await withoutCalls(async () => {
    const held = heldType("held", { concurrency: 2 });
    const definitions = [noop, flaky, held.definition];
    await withQueue({ clock: withoutPolls, wakeups: "messages", definitions }, async (queue) => {
      const submit = async (task_type: string, more = {}) => (await queue.submit({ task_type, ...more })).task.task.id;
      // The change stream waits for wake-ups too: so the tasks themselves are read.
      const ends = async (id: string) => {
        const ended = async () => {
          while (!isTerminal(statusOf(await queue.get(id)))) await turn();
        };
        ok(await within(systemClock, 20_000, ended()), "it was never started");
        return statusOf(await queue.get(id));
      };
      assertEquals(await ends(await submit("noop")), "SUCCESS");
      assertEquals(await ends(await submit("noop", { run_at: Date.now() + 200 })), "SUCCESS");
      assertEquals(await ends(await submit("flaky")), "SUCCESS");
      const parent = await submit("held", { concurrency_key: "a" });
      const first = await held.next();
      const child = await submit("noop", { depends_on: [parent] });
      const second = await submit("held", { concurrency_key: "a" });
      await submit("held");
      const other = await held.next();
      assertEquals(await ends(await submit("held", { expires_in_ms: 100 })), "CANCELLED");
      first.finish();
      assertEquals(await ends(child), "SUCCESS");
      (await held.next()).finish();
      assertEquals(await ends(second), "SUCCESS");
      other.finish();
    });
  });
});

Deno.test("a schedule's tick, and what is due in a year, are enqueued with what makes them due", async () => {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const delays: number[] = [];
  const record = (message: unknown, delay: number) => void (message === WAKEUP && delays.push(delay));
  const queue = new Queue({
    kv: messagesKv(kv, () => Promise.resolve(), record),
    clock,
    wakeups: "messages",
    definitions: [noop],
  });
  await queue.start();
  await queue.schedules.create({ cron: "0 * * * *", submission: { task_type: "noop" } }, "ana");
  assertEquals(delays, [3_600_000]);
  // The message of the tick does for all that is due later.
  await queue.submit({ task_type: "noop", run_at: clock.now() + 3_700_000 });
  assertEquals(delays.length, 1);
  await clock.advance(1_000);
  for (let i = 0; i < 100; i++) await queue.submit({ task_type: "noop", run_at: clock.now() + 1_000_000 - i * 1_000 });
  // Each is due before all others; yet there are at most twenty messages in a second.
  assertEquals(delays.slice(1), [1_000_000, 50]);
  await driven(clock, queue.stop());
  kv.close();

  const empty = await Deno.openKv(":memory:");
  const later = new Queue({
    kv: messagesKv(empty, () => Promise.resolve(), record),
    clock,
    wakeups: "messages",
    definitions: [noop],
  });
  await later.start();
  delays.length = 0;
  await later.submit({ task_type: "noop", run_at: clock.now() + 300 * 86_400_000 });
  assertEquals(delays, [29 * 86_400_000]);
  await driven(clock, later.stop());
  empty.close();
});

Deno.test("with all messages lost, the poll starts what is due", async () => {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const queue = new Queue({
    kv: messagesKv(kv, () => Promise.resolve()),
    clock,
    wakeups: "messages",
    definitions: [noop],
  });
  await queue.start();
  const { task: { task: { id } } } = await queue.submit({ task_type: "noop", run_at: clock.now() + 30_000 });
  await clock.advance(59_000);
  assertEquals(statusOf(await queue.get(id)), "PENDING");
  await clock.advance(1_000);
  while (statusOf(await queue.get(id)) !== "SUCCESS") await turn();
  await driven(clock, queue.stop());
  kv.close();
  await listeningEnds(kv);
});

Deno.test("with each message delivered three times at once, nothing happens twice", async () => {
  const kv = await Deno.openKv(":memory:");
  const thrice = messagesKv(
    kv,
    (message, listener) => Promise.all([listener(message), listener(message), listener(message)]),
  );
  const ran = new Map<string, number>();
  const counted = defineTask({
    type: "counted",
    title: "Counted",
    description: "Counts its runs.",
    params: z.strictObject({ name: z.string() }),
    run({ params: { name } }) {
      ran.set(name, (ran.get(name) ?? 0) + 1);
      return Promise.resolve(null);
    },
  });
  const queue = new Queue({ kv: thrice, wakeups: "messages", definitions: [counted] });
  await queue.start();
  const names = Array.from({ length: 50 }, (_, i) => `n${i}`);
  await Promise.all(
    names.map((name, i) =>
      i % 2
        ? kv.enqueue(...taskMessage({ task_type: "counted", input_params: { name }, delay: i / 100 }))
        : queue.submit({ task_type: "counted", input_params: { name }, run_at: Date.now() + 10 * i })
    ),
  );
  await allReach(queue, names.length, "SUCCESS");
  assertEquals([...ran.keys()].sort(), names.toSorted());
  assertEquals([...ran.values()].filter((times) => times !== 1), []);
  await queue.stop();
  kv.close();
  await listeningEnds(kv);
});

// KV itself leaks the message that it could not read.
Deno.test(
  "a message that KV cannot read stops nothing: listening starts anew",
  { sanitizeResources: false },
  async () => {
    await withDirectory(async (directory) => {
      const path = `${directory}/store.db`;
      const kv = await Deno.openKv(path);
      const lines: string[] = [];
      const queue = new Queue({
        kv,
        definitions: [noop],
        log: createLogger("info", "json", () => 0, (line) => lines.push(line)),
      });
      await queue.start();
      const database = new DatabaseSync(path);
      database.prepare(
        "INSERT INTO queue (ts, id, data, backoff_schedule, keys_if_undelivered) VALUES (?, 'broken', ?, '[]', '[]')",
      ).run(Date.now(), new Uint8Array([1, 2, 3]));
      database.close();
      await kv.enqueue(...taskMessage({ task_type: "noop" }));
      await allReach(queue, 1, "SUCCESS");
      await kv.enqueue(...taskMessage({ task_type: "noop" }));
      await allReach(queue, 2, "SUCCESS");
      ok(lines.some((line) => line.includes("could not be read")));
      await queue.stop();
      kv.close();
    });
  },
);

Deno.test("messages that come while no queue is started wait for the next one on the handle", async () => {
  const kv = await Deno.openKv(":memory:");
  const first = new Queue({ kv, definitions: [noop] });
  await first.start();
  await first.stop();
  await kv.enqueue(...taskMessage({ task_type: "noop" }));
  const delivered = Promise.withResolvers<void>();
  const second = new Queue({ kv, definitions: [noop] });
  const { receive } = second.inbox;
  second.inbox.receive = async (message) => {
    await receive.call(second.inbox, message);
    delivered.resolve();
  };
  await second.start();
  await delivered.promise;
  await allReach(second, 1, "SUCCESS");
  await second.stop();
  kv.close();
  await listeningEnds(kv);
});
