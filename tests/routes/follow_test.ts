import { cancel, claim, fail, retry, succeed, type TaskState } from "../../queue/task.ts";
import { statusEvents } from "../../routes/follow.ts";
import { assertEquals } from "../support/assert.ts";

function pending(): TaskState {
  return {
    run: null,
    task: {
      id: "01ARZ3NDEKTSV4RRFFQ69G5FAV",
      task_type: "t",
      title: "T",
      status: "PENDING",
      placement: { kind: "ready", score: 0 },
      progress: 0,
      message: "",
      input_params: {},
      result: null,
      error: null,
      attempt: 0,
      failures: 0,
      interruptions: 0,
      max_attempts: 1,
      timeout_ms: 1_000,
      priority: 0,
      tags: [],
      run_at: null,
      created_at: 1_000,
      started_at: null,
      completed_at: null,
      retried_from: null,
      attempts: [],
      uploads: [],
      version: 1,
    },
  };
}

const told = (state: TaskState) => statusEvents(state).map((event) => event.kind === "status" && event.status);

Deno.test("the history of a task that succeeds, that fails, that is cancelled while it waits and while it runs", () => {
  const running = claim(pending(), "i", 2_000);
  assertEquals(told(succeed(running, 1, 3_000)), ["PENDING", "RUNNING", "SUCCESS"]);
  assertEquals(told(fail(running, { code: "error", message: "boom" }, 3_000)), ["PENDING", "RUNNING", "FAILED"]);
  assertEquals(told(cancel(pending(), 3_000)), ["PENDING", "CANCELLED"]);
  assertEquals(told(cancel(running, 3_000)), ["PENDING", "RUNNING", "CANCELLED"]);
});

Deno.test("a cancel after a retry is told, and the attempt before it keeps its own end", () => {
  const failed = fail(claim(pending(), "i", 2_000), { code: "error", message: "boom" }, 3_000);
  const again = cancel(retry(failed, 4_000), 5_000);
  assertEquals(told(again), ["PENDING", "RUNNING", "PENDING", "CANCELLED"]);
  const cancelled = cancel(claim(pending(), "i", 2_000), 3_000);
  assertEquals(told(cancel(retry(cancelled, 4_000), 5_000)), ["PENDING", "RUNNING", "CANCELLED", "CANCELLED"]);
});
