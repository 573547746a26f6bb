import * as task from "../../../queue/task/transitions.ts";
import { isTerminal, type Status, STATUSES, statusOf, type TaskState, versionOf } from "../../../queue/task/record.ts";
import { EVENTS, type TaskEvent } from "../../../queue/task/transitions.ts";
import { assertEquals, assertThrows, ok } from "../../support/assert.ts";
import { pending, T } from "../../support/task.ts";

const running = () => task.claim(pending(), "i", T + 1);
const error = { code: "error", message: "no" };

const inStatus: Record<Status, () => TaskState> = {
  PENDING: pending,
  RUNNING: running,
  SUCCESS: () => task.succeed(running(), 1, T + 2),
  FAILED: () => task.fail(running(), error, T + 2),
  CANCELLED: () => task.cancel(pending(), T + 2),
};

const happen: Record<TaskEvent, (state: TaskState) => TaskState> = {
  become_due: (state) => task.becomeDue(state, T + 3),
  claim: (state) => task.claim(state, "i", T + 3),
  succeed: (state) => task.succeed(state, 1, T + 3),
  fail: (state) => task.fail(state, error, T + 3),
  retry_later: (state) => task.retryLater(state, error, T + 3, T + 9),
  interrupt: (state) => task.interrupt(state, T + 3),
  give_back: task.giveBack,
  cancel: (state) => task.cancel(state, T + 3),
  retry: (state) => task.retry(state, T + 3),
};

/** The whole table, written out once more: from each status, where each event leads. */
const EXPECTED: Record<Status, Partial<Record<TaskEvent, Status>>> = {
  PENDING: { become_due: "PENDING", claim: "RUNNING", cancel: "CANCELLED" },
  RUNNING: {
    succeed: "SUCCESS",
    fail: "FAILED",
    retry_later: "PENDING",
    interrupt: "PENDING",
    give_back: "PENDING",
    cancel: "CANCELLED",
  },
  SUCCESS: {},
  FAILED: { retry: "PENDING" },
  CANCELLED: { retry: "PENDING" },
};

for (const status of STATUSES) {
  for (const event of EVENTS) {
    const expected = EXPECTED[status][event];
    Deno.test(`${status}: ${event} ${expected ? `leads to ${expected}` : "is refused"}`, () => {
      const before = inStatus[status]();
      assertEquals(statusOf(before), status);
      if (!expected) {
        assertThrows(() => happen[event](before), RangeError);
        return;
      }
      const after = happen[event](before);
      assertEquals(statusOf(after), expected);
      ok(versionOf(after) > versionOf(before));
      assertEquals(after.task.placement !== null, expected === "PENDING" || expected === "RUNNING");
      assertEquals(after.task.completed_at !== null, isTerminal(expected));
    });
  }
}

Deno.test("one step of priority is worth a minute of waiting", () => {
  assertEquals(task.placementAt(T, { priority: 0, concurrency_key: null }, T), { kind: "ready", score: T });
  assertEquals(task.placementAt(T, { priority: 9, concurrency_key: null }, T), { kind: "ready", score: T - 540_000 });
  assertEquals(task.placementAt(T + 1, { priority: 9, concurrency_key: null }, T), { kind: "scheduled", due: T + 1 });
});

Deno.test("ten interruptions in a row without a checkpoint end a task; a checkpoint starts the count again", () => {
  let state = pending();
  for (let i = 1; i < 10; i++) {
    state = task.interrupt(task.claim(state, "i", T), T);
    assertEquals([statusOf(state), state.task.interruptions], ["PENDING", i]);
  }
  const claimed = task.claim(state, "i", T);
  const saved = task.interrupt({ ...claimed, run: { ...claimed.run, checkpointed: true } }, T);
  assertEquals([statusOf(saved), saved.task.interruptions], ["PENDING", 1]);
  const ended = task.interrupt(claimed, T);
  assertEquals([statusOf(ended), ended.task.error?.code, ended.task.failures], ["FAILED", "interrupted", 0]);
});

Deno.test("an interrupted task goes back to the place that it had, and its start counts as an attempt but no failure", () => {
  const state = task.interrupt(task.claim(pending(), "i", T + 5_000), T + 6_000);
  assertEquals(state.task.placement, { kind: "ready", score: T });
  assertEquals([state.task.attempt, state.task.failures], [1, 0]);
});

Deno.test("a clock that runs behind makes no attempt end before it began", () => {
  const state = task.succeed(task.claim(pending(), "i", T + 100), 1, T + 50);
  assertEquals(state.task.attempts[0].completed_at, T + 100);
});

Deno.test("a task whose process has ended twice under it waits, longer each time; one that was handed back does not", () => {
  const crash = (state: TaskState, at: number) => task.interrupt(task.claim(state, "i", at), at, true);
  const once = crash(pending(), T);
  assertEquals(once.task.placement?.kind, "ready");
  const twice = crash(once, T);
  assertEquals(twice.task.placement, { kind: "scheduled", due: T + 10_000 });
  assertEquals(crash(twice, T + 10_000).task.placement, { kind: "scheduled", due: T + 30_000 });
  assertEquals(task.interrupt(task.claim(once, "i", T), T).task.placement?.kind, "ready");
});

Deno.test("only the newest 25 attempts are kept, each with its stack", () => {
  let state = pending();
  for (let i = 0; i < 40; i++) {
    state = task.retryLater(task.claim(state, "i", T), { code: "error", message: `${i}`, stack: "s" }, T, T);
  }
  assertEquals(state.task.attempts.length, 25);
  assertEquals(state.task.attempts.filter((attempt) => attempt.error?.stack).length, 25);
  assertEquals(state.task.attempt, 40);
});
