import { cancel, claim, fail, retry, succeed, type TaskState } from "../../queue/task.ts";
import { statusEvents } from "../../routes/follow.ts";
import { assertEquals } from "../support/assert.ts";
import { pending, T } from "../support/task.ts";

const told = (state: TaskState) => statusEvents(state).map((event) => event.kind === "status" && event.status);

Deno.test("the history of a task that succeeds, that fails, that is cancelled while it waits and while it runs", () => {
  const running = claim(pending(), "i", T + 2);
  assertEquals(told(succeed(running, 1, T + 3)), ["PENDING", "RUNNING", "SUCCESS"]);
  assertEquals(told(fail(running, { code: "error", message: "boom" }, T + 3)), ["PENDING", "RUNNING", "FAILED"]);
  assertEquals(told(cancel(pending(), T + 3)), ["PENDING", "CANCELLED"]);
  assertEquals(told(cancel(running, T + 3)), ["PENDING", "RUNNING", "CANCELLED"]);
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
