import type { Attempt, RunRecord, TaskRecord, TaskState } from "../../../queue/task/record.ts";
import { summaryOf } from "../../../queue/task/summary.ts";
import { assertEquals } from "../../support/assert.ts";

const RETENTION = { SUCCESS: 1, FAILED: 1, CANCELLED: 1 };

/** When the wait of a task began, in seconds since it was submitted. */
function waitingSince(task: Partial<TaskRecord>, run: Partial<RunRecord> | null = null): number {
  const record = {
    ...{ id: "", tags: [], created_at: 1_000_000, run_at: null, attempt: 0, attempts: [], actions: [], error: null },
    ...{ status: "PENDING", completed_at: null, expires_at: null, placement: null, started_at: null },
    ...task,
  };
  const state = { task: record, run: run && { started_at: 0, progress_at: 0, version: 1, ...run } };
  return (Date.parse(summaryOf(state as unknown as TaskState, RETENTION).waiting_since) - 1_000_000) / 1_000;
}

const at = (seconds: number) => 1_000_000 + seconds * 1_000;
const ended = (attempt: number, seconds: number) => ({ attempt, completed_at: at(seconds) }) as Attempt;

Deno.test("a wait begins with the submit, the due time, the retry, or the end of the attempt before", () => {
  assertEquals(waitingSince({}), 0);
  assertEquals(waitingSince({ run_at: at(60) }), 60);
  assertEquals(waitingSince({ attempt: 1, attempts: [ended(1, 30)], run_at: at(40) }), 40, "after a backoff");
  assertEquals(waitingSince({ attempt: 1, attempts: [ended(1, 30)] }, { attempt: 2 }), 30, "after an interruption");
  const retry = { action: "retry" as const, at: at(100), by: null, attempt: 1, detail: "" };
  assertEquals(waitingSince({ attempt: 1, attempts: [ended(1, 30)], actions: [retry] }, { attempt: 2 }), 100);
  const attempts = [ended(1, 30), ended(2, 160)];
  assertEquals(waitingSince({ attempt: 2, attempts, actions: [retry], run_at: at(165) }, { attempt: 3 }), 165);
  assertEquals(waitingSince({ attempt: 2, attempts, actions: [retry], status: "FAILED" }), 100, "the wait of the last");
});
