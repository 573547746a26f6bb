import type { Queue } from "../../../queue/queue.ts";
import type { TaskState } from "../../../queue/task/record.ts";
import type { TaskChange } from "../../../queue/watch/change_stream.ts";
import { RecentFailures } from "../../../routes/live/recent_failures.ts";
import { assertEquals } from "../../support/assert.ts";
import { FakeClock } from "../../support/fake_clock.ts";

Deno.test("failures of the last hour are kept current by changes: new ones, retries, deletes, and those that grow old", async () => {
  const clock = new FakeClock();
  const failed = (id: string, task_type: string, minutesAgo: number): TaskState => {
    const completed_at = clock.now() - minutesAgo * 60_000;
    return { run: null, task: { id, task_type, status: "FAILED", completed_at } } as TaskState;
  };
  let reads = 0;
  let stored = [failed("A", "one", 30), failed("B", "one", 50), failed("C", "two", 1)];
  const queue = {
    failuresSince: (from: number) => {
      reads++;
      const tasks = stored.filter(({ task }) => task.completed_at! >= from)
        .map(({ task: { id, task_type, completed_at } }) => ({ id, task_type, at: completed_at! }));
      return Promise.resolve({ tasks, capped: false });
    },
  } as unknown as Queue;
  const failures = new RecentFailures(queue, clock);
  const counts = async () => {
    // Sums are kept for a second.
    await clock.advance(1_000);
    return Object.fromEntries((await failures.count()).by_type);
  };
  const hear = (id: string, state: TaskState | null) =>
    failures.hear({ since: "", changes: [{ id, state } as TaskChange] });

  assertEquals(await counts(), { one: 2, two: 1 });
  stored = [stored[0]];
  assertEquals([await counts(), reads], [{ one: 2, two: 1 }, 1], "counted anew only after a while");
  await clock.advance(11_000);
  assertEquals([await counts(), reads], [{ one: 1 }, 2]);

  failures.follow();
  const reading = failures.count();
  hear("D", failed("D", "two", 0));
  assertEquals(
    Object.fromEntries((await reading).by_type),
    { one: 1, two: 1 },
    "what changes while the others are read counts",
  );
  hear("A", { run: null, task: { ...stored[0].task, status: "PENDING" } } as TaskState);
  hear("E", failed("E", "one", 10));
  hear("F", failed("F", "one", 10));
  hear("E", null);
  assertEquals([await counts(), reads], [{ one: 1, two: 1 }, 3]);
  await clock.advance(51 * 60_000);
  assertEquals([await counts(), reads], [{ two: 1 }, 3]);
  failures.forget();
  assertEquals(await counts(), {});
});

Deno.test("more failures than a list finds are counted as that many or more", async () => {
  const clock = new FakeClock();
  const tasks = Array.from({ length: 10_000 }, (_, i) => ({ id: `T${i}`, task_type: "one", at: clock.now() }));
  const queue = { failuresSince: () => Promise.resolve({ tasks, capped: false }) } as unknown as Queue;
  const failures = new RecentFailures(queue, clock);
  failures.follow();
  assertEquals(await failures.count(), { by_type: new Map([["one", 10_000]]), capped: false });
  const state = { run: null, task: { id: "X", task_type: "one", status: "FAILED", completed_at: clock.now() } };
  failures.hear({ since: "", changes: [{ id: "X", state } as unknown as TaskChange] });
  await clock.advance(2_000);
  assertEquals(await failures.count(), { by_type: new Map([["one", 10_000]]), capped: true });
});
