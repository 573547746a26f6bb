import { nextTimes } from "../../../queue/actions/cron.ts";
import type { ScheduleInput } from "../../../queue/actions/schedules.ts";
import { Queue } from "../../../queue/queue.ts";
import { encode } from "../../../queue/store/codec.ts";
import { keys } from "../../../queue/store/keys.ts";
import { assertEquals, assertRejects, ok } from "../../support/assert.ts";
import { driven, FakeClock, turn } from "../../support/fake_clock.ts";
import { noop } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

const MINUTE = 60_000;
const everyMinute: ScheduleInput = { cron: "* * * * *", submission: { task_type: "noop" } };

/** Queues on one store and one clock that submit, but do not run, what schedules make. */
async function withQueues(
  count: number,
  test: (queues: Queue[], clock: FakeClock, tasks: () => Promise<number>, kv: Deno.Kv) => Promise<void>,
): Promise<void> {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock(Date.UTC(2030, 0, 1, 0, 0, 30));
  const queues = Array.from(
    { length: count },
    () =>
      new Queue({ kv, clock, definitions: [{ ...noop, concurrency: 1 }], distributed: count > 1, leaseMs: 600_000 }),
  );
  for (const queue of queues) {
    await driven(clock, queue.start());
    await driven(clock, queue.pause("noop", "test"));
  }
  const tasks = async () => (await queues[0].list({}, 200)).total;
  try {
    await test(queues, clock, tasks, kv);
  } finally {
    await driven(clock, Promise.all(queues.map((queue) => queue.stop())));
    kv.close();
    await listeningEnds(kv);
  }
}

/** Lets time pass in steps until there are so many tasks. */
async function until(clock: FakeClock, tasks: () => Promise<number>, wanted: number): Promise<void> {
  while (await tasks() < wanted) await clock.advance(100);
}

Deno.test("each tick makes one task, however many instances run", async () => {
  await withQueues(3, async ([queue], clock, tasks) => {
    const { schedule } = await driven(clock, queue.schedules.create(everyMinute, "ana"));
    assertEquals(nextTimes(schedule, 2), [1, 2].map((minute) => Date.UTC(2030, 0, 1, 0, minute)));
    for (let minute = 1; minute <= 5; minute++) {
      await clock.advance(clock.now() % MINUTE === 0 ? MINUTE : MINUTE - clock.now() % MINUTE);
      await until(clock, tasks, minute);
    }
    // Whatever the other instances might still do is done.
    for (let i = 0; i < 50; i++) await turn();
    assertEquals(await tasks(), 5);
    const { last_task_id, next_at } = await queue.schedules.get(schedule.id);
    assertEquals((await queue.get(last_task_id!)).task.schedule_id, schedule.id);
    assertEquals(next_at, Date.UTC(2030, 0, 1, 0, 6));
  });
});

Deno.test("a tick that is late by no more than max_lateness is made, and tells for which time it is", async () => {
  for (const [lateness, expected] of [[3 * 3_600_000, 1], [3_600_000, 0]] as const) {
    await withQueues(1, async ([queue], clock, tasks, kv) => {
      const daily: ScheduleInput = { cron: "0 1 * * *", max_lateness_ms: lateness, submission: { task_type: "noop" } };
      const { schedule } = await driven(clock, queue.schedules.create(daily, "ana"));
      await driven(clock, queue.stop());
      clock.sleep(3 * 3_600_000);
      const next = new Queue({ kv, clock, definitions: [{ ...noop, concurrency: 1 }] });
      await driven(clock, next.start());
      while ((await next.schedules.get(schedule.id)).next_at! < Date.UTC(2030, 0, 2)) await clock.advance(100);
      assertEquals(await tasks(), expected);
      if (expected === 1) {
        const { last_task_id, recent_tasks } = await next.schedules.get(schedule.id);
        assertEquals(recent_tasks, [last_task_id!]);
        assertEquals((await next.get(last_task_id!)).task.scheduled_for, Date.UTC(2030, 0, 1, 1));
      }
      await driven(clock, next.stop());
    });
  }
});

Deno.test("a backfill makes one task for each time in a window of the past, or none", async () => {
  await withQueues(1, async ([queue], clock, tasks) => {
    const create = (more: Partial<ScheduleInput> = {}) => queue.schedules.create({ ...everyMinute, ...more }, "ana");
    const { schedule: { id } } = await driven(clock, create());
    const at = (minute: number, second = 0) => Date.UTC(2029, 11, 31, 23, minute, second);
    const key = { scope: "ana", key: "again" };
    const fill = (from: number, to: number) => driven(clock, queue.schedules.backfill(id, from, to, "ana", key));
    const { ids, created } = await fill(at(10), at(13));
    const times = (await queue.getAll(ids)).map((
      { task },
    ) => [task.scheduled_for, task.schedule_id, task.submitted_by]);
    assertEquals(times, [10, 11, 12].map((minute) => [at(minute), id, "ana"]));
    assertEquals(created?.length, 3);
    const again = await fill(at(10), at(13));
    assertEquals([again.ids, again.created, await tasks()], [ids, null, 3]);
    // The newest first.
    assertEquals((await queue.schedules.get(id)).recent_tasks, ids.toReversed());
    const refused = async (from: number, to: number, detail: RegExp, schedule = id) =>
      await assertRejects(driven(clock, queue.schedules.backfill(schedule, from, to)), {
        code: "invalid_input",
        message: detail,
      });
    await refused(at(13), at(13), /later than from/);
    await refused(at(10), clock.now() + 86_400_000, /in the past/);
    await refused(at(10, 1), at(10, 59), /no time of this schedule/);
    await refused(at(10) - 86_400_000, at(10), /more than 200 times/);
    const unique = { submission: { task_type: "noop", unique: { key: "one" } } };
    const { schedule } = await driven(clock, create(unique));
    await refused(at(10), at(12), /unique key/, schedule.id);
    assertEquals(await tasks(), 3);
  });
});

Deno.test("a schedule remembers its last ten tasks; one of an earlier version remembers none", async () => {
  await withQueues(1, async ([queue], clock, _tasks, kv) => {
    const { schedule: { id } } = await driven(clock, queue.schedules.create(everyMinute, "ana"));
    const ids: string[] = [];
    for (let i = 0; i < 12; i++) ids.push((await driven(clock, queue.schedules.trigger(id))).id);
    assertEquals((await queue.schedules.get(id)).recent_tasks, ids.slice(2).toReversed());
    const { recent_tasks: _, max_lateness_ms: __, ...old } = await queue.schedules.get(id);
    await kv.set(keys.schedule(id), encode(old));
    const { recent_tasks, max_lateness_ms } = await queue.schedules.get(id);
    assertEquals([recent_tasks, max_lateness_ms], [[], 60_000]);
  });
});

for (const [missed, expected] of [["skip", 0], ["once", 1]] as const) {
  Deno.test(`an hour without an instance makes ${expected} tasks by the policy ${missed}`, async () => {
    await withQueues(1, async ([queue], clock, tasks, kv) => {
      await queue.schedules.create({ ...everyMinute, missed }, "ana");
      await driven(clock, queue.stop());
      clock.set(clock.now() + 60 * MINUTE);
      const again = new Queue({ kv, clock, definitions: [noop] });
      await again.start();
      await again.pause("noop", "test");
      const moved = async () => (await again.schedules.list())[0].next_at! > clock.now();
      while (!await moved()) await turn();
      assertEquals(await tasks(), expected);
      await driven(clock, again.stop());
    });
  });
}

Deno.test("a paused schedule makes no task, goes on from its next time, and a deleted one is gone", async () => {
  await withQueues(1, async ([queue], clock, tasks, kv) => {
    const { schedule: { id } } = await queue.schedules.create(everyMinute, "ana");
    assertEquals(nextTimes(await queue.schedules.setPaused(id, true), 5), []);
    await clock.advance(10 * MINUTE);
    assertEquals(await tasks(), 0);
    const resumed = await queue.schedules.setPaused(id, false);
    ok(resumed.next_at! > clock.now() && resumed.next_at! <= clock.now() + MINUTE);
    await until(clock, tasks, 1);
    await queue.schedules.trigger(id);
    assertEquals(await tasks(), 2);
    await queue.schedules.delete(id);
    await clock.advance(10 * MINUTE);
    assertEquals(await tasks(), 2);
    await assertRejects(queue.schedules.get(id), { code: "not_found" });
    for await (const { key } of kv.list({ prefix: ["tick"] })) throw new Error(`left: ${key.join()}`);
  });
});

Deno.test("times follow the time zone over the change to summer time and back", async () => {
  await withQueues(1, async ([queue]) => {
    const { schedule } = await queue.schedules.create({
      cron: "30 9 * * *",
      timezone: "Europe/Zurich",
      submission: { task_type: "noop" },
    }, "ana");
    const around = (month: number, day: number) =>
      nextTimes({ ...schedule, next_at: Date.UTC(2030, month, day - 1, month === 2 ? 8 : 7, 30) }, 2)
        .map((at) => new Date(at).toISOString().slice(11, 16));
    assertEquals(around(2, 31), ["08:30", "07:30"]);
    assertEquals(around(9, 27), ["07:30", "08:30"]);
  });
});

Deno.test("a wrong expression, time zone or submission is refused with its pointer and stores nothing", async () => {
  await withQueues(1, async ([queue]) => {
    const pointer = async (input: Partial<ScheduleInput>) => {
      let found = "";
      await assertRejects(queue.schedules.create({ ...everyMinute, ...input }, "ana"), (error: unknown) => {
        found = (error as { issues: { pointer: string }[] }).issues[0].pointer;
        return true;
      });
      return found;
    };
    assertEquals(await pointer({ cron: "61 * * * *" }), "/cron");
    assertEquals(await pointer({ cron: "" }), "/cron");
    assertEquals(await pointer({ cron: "0 0 30 2 *" }), "/cron");
    assertEquals(await pointer({ cron: "2030-05-01T00:00:00" }), "/cron");
    assertEquals(await pointer({ timezone: "Mars/Olympus" }), "/timezone");
    assertEquals(await pointer({ submission: { task_type: "none" } }), "/task_type");
    assertEquals(await queue.schedules.list(), []);
  });
});

Deno.test("a schedule with a unique key submits nothing while its last task is there, and says so", async () => {
  await withQueues(1, async ([queue], clock, tasks) => {
    const submission = { task_type: "noop", unique: { key: "report" } };
    const { schedule: { id } } = await queue.schedules.create({ cron: "* * * * *", submission }, "ana");
    await until(clock, tasks, 1);
    const first = (await queue.schedules.get(id)).last_task_id!;
    const skipped = async () => (await queue.schedules.get(id)).last_error;
    while (!await skipped()) await clock.advance(1_000);
    assertEquals([await tasks(), await skipped()], [1, `Not submitted: task ${first} has the same unique key.`]);
    assertEquals((await queue.schedules.trigger(id)).id, first);
    await queue.cancel(first);
    await until(clock, tasks, 2);
  });
});

Deno.test("of ticks that come late, only the last is made up for, and only by the policy once", async () => {
  for (const [missed, expected] of [["skip", 0], ["once", 1]] as const) {
    await withQueues(1, async ([queue], clock, tasks) => {
      await queue.schedules.create({ cron: "* * * * * *", missed, submission: { task_type: "noop" } }, "ana");
      const before = await tasks();
      clock.set(clock.now() + 20_000);
      await clock.advance(0);
      const moved = async () => (await queue.schedules.list())[0].next_at! > clock.now();
      // The wall clock is looked at again within a minute.
      await queue.schedules.trigger((await queue.schedules.list())[0].id);
      while (!await moved()) await clock.advance(100);
      ok(await tasks() - before - 1 <= expected + 1, `${await tasks() - before - 1} tasks by the policy ${missed}`);
    });
  }
});

Deno.test("a schedule without a time zone is in UTC, wherever the service runs", async () => {
  const code = `
    import { Queue } from "${new URL("../../../queue/queue.ts", import.meta.url)}";
    import { noop } from "${new URL("../../support/queue.ts", import.meta.url)}";
    const kv = await Deno.openKv(":memory:");
    const queue = new Queue({ kv, definitions: [noop], worker: false });
    await queue.start();
    const input = { cron: "0 6 * * *", timezone: undefined, submission: { task_type: "noop" } };
    const { schedule } = await queue.schedules.create(input, "test");
    console.log(new Date(schedule.next_at).getUTCHours());
    await queue.stop();
    kv.close();
  `;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--ext=ts", code],
    cwd: new URL("../../../", import.meta.url),
    env: { TZ: "Asia/Tokyo" },
  }).output();
  assertEquals(new TextDecoder().decode(stdout).trim(), "6", new TextDecoder().decode(stderr));
});
