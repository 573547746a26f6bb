import type { TaskState } from "../../../queue/task/record.ts";
import { cancel, claim, fail, retry, retryLater, succeed } from "../../../queue/task/transitions.ts";
import { statusEvents } from "../../../routes/live/task_events.ts";
import { assertEquals } from "../../support/assert.ts";
import { pending, T } from "../../support/task.ts";

const told = (state: TaskState) => statusEvents(state).map((event) => event.kind === "status" && event.status);

Deno.test("the history of a task that succeeds, that fails, that is cancelled while it waits and while it runs", () => {
  const running = claim(pending(), "i", T + 2);
  assertEquals(told(succeed(running, 1, T + 3)), ["PENDING", "RUNNING", "SUCCESS"]);
  assertEquals(told(fail(running, { code: "error", message: "boom" }, T + 3)), ["PENDING", "RUNNING", "FAILED"]);
  assertEquals(told(cancel(pending(), T + 3)), ["PENDING", "CANCELLED"]);
  assertEquals(told(cancel(running, T + 3)), ["PENDING", "RUNNING", "CANCELLED"]);
});

Deno.test("a cancel that no action is kept of is told all the same, as in records of older versions", () => {
  const older = (state: TaskState): TaskState => ({ ...state, task: { ...state.task, actions: [] } });
  const running = claim(pending(), "i", T + 2);
  assertEquals(told(older(cancel(running, T + 3))), ["PENDING", "RUNNING", "CANCELLED"]);
  assertEquals(told(older(cancel(pending(), T + 3))), ["PENDING", "CANCELLED"]);
});

Deno.test("a cancel after a retry is told, and the attempt before it keeps its own end", () => {
  const failed = fail(claim(pending(), "i", T + 2), { code: "error", message: "boom" }, T + 3);
  const again = cancel(retry(failed, T + 4), T + 5);
  assertEquals(told(again), ["PENDING", "RUNNING", "FAILED", "PENDING", "CANCELLED"]);
  const cancelled = cancel(claim(pending(), "i", T + 2), T + 3);
  assertEquals(told(cancel(retry(cancelled, T + 4), T + 5)), [
    "PENDING",
    "RUNNING",
    "CANCELLED",
    "PENDING",
    "CANCELLED",
  ]);
});

Deno.test("a failure that is tried again is PENDING; a retry by hand and its asker are told, and change nothing before", () => {
  const boom = { code: "error", message: "boom" };
  const again = retryLater(claim(pending(), "i", T + 2), boom, T + 3, T + 9);
  const failed = fail(claim(again, "i", T + 10), boom, T + 11);
  assertEquals(told(failed), ["PENDING", "RUNNING", "PENDING", "RUNNING", "FAILED"]);
  const retried = retry(failed, T + 12, "start", "ana");
  assertEquals(told(retried), ["PENDING", "RUNNING", "PENDING", "RUNNING", "FAILED", "PENDING"]);
  const done = succeed(claim(retried, "i", T + 13), null, T + 14);
  const events = statusEvents(done);
  assertEquals(told(done).slice(4), ["FAILED", "PENDING", "RUNNING", "SUCCESS"]);
  assertEquals(events.map((event) => event.kind === "status" && event.detail)[5], "retried by ana");
});

Deno.test("a cancel while it waited between two attempts is told where it was", () => {
  const boom = { code: "error", message: "boom" };
  const waiting = retryLater(claim(pending(), "i", T + 2), boom, T + 3, T + 9);
  const cancelled = cancel(waiting, T + 4, "ben");
  assertEquals(told(cancelled), ["PENDING", "RUNNING", "PENDING", "CANCELLED"]);
  assertEquals(told(retry(cancelled, T + 5)), ["PENDING", "RUNNING", "PENDING", "CANCELLED", "PENDING"]);
});
