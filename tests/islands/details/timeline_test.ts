import { phasesOf } from "../../../islands/details/timeline.tsx";
import type { Task } from "../../../queue/task/summary.ts";
import { assertEquals, ok } from "../../support/assert.ts";

const at = (seconds: number) => new Date(Date.UTC(2030, 0, 1) + seconds * 1000).toISOString();
const ms = (seconds: number) => Date.parse(at(seconds));

function task(more: Partial<Task>): Task {
  return {
    created_at: at(0),
    run_at: null,
    started_at: null,
    completed_at: null,
    attempts: [],
    actions: [],
    status: "PENDING",
    ...more,
  } as Task;
}

const attempt = (n: number, from: number, to: number, outcome: "success" | "failed" | "interrupted") => ({
  attempt: n,
  instance: "01ARZ3NDEKTSV4RRFFQ69G5FAV",
  started_at: at(from),
  completed_at: at(to),
  outcome,
  error: null,
});

const shape = (phases: ReturnType<typeof phasesOf>) =>
  phases.map(({ kind, from, to }) => [kind, (from - ms(0)) / 1000, (to - ms(0)) / 1000]);

Deno.test("the phases of a task follow each other and add up to its whole time", () => {
  const done = task({
    status: "SUCCESS",
    attempts: [attempt(1, 2, 5, "failed"), attempt(2, 15, 20, "success")],
    completed_at: at(20),
  });
  const phases = phasesOf(done, ms(99));
  assertEquals(shape(phases), [["waiting", 0, 2], ["failed", 2, 5], ["backoff", 5, 15], ["success", 15, 20]]);
  assertEquals(phases.reduce((sum, { from, to }) => sum + to - from, 0), 20_000);
});

Deno.test("scheduled, running and cancelled while it waited", () => {
  assertEquals(shape(phasesOf(task({ run_at: at(60) }), ms(10))), [["scheduled", 0, 10]]);
  assertEquals(
    shape(phasesOf(task({ status: "RUNNING", run_at: at(5), started_at: at(7), attempt: 1 }), ms(10))),
    [["scheduled", 0, 5], ["waiting", 5, 7], ["running", 7, 10]],
  );
  assertEquals(shape(phasesOf(task({ status: "CANCELLED", completed_at: at(8) }), ms(10))), [["waiting", 0, 8]]);
});

Deno.test("clocks that differ by two seconds make nothing negative", () => {
  const skewed = task({
    status: "SUCCESS",
    attempts: [attempt(1, -2, -1, "interrupted"), attempt(2, 3, 2, "success")],
    completed_at: at(2),
  });
  for (const { from, to } of phasesOf(skewed, ms(-5))) ok(to >= from);
});

Deno.test("a retry by hand is no backoff: the task had ended until then, failed or cancelled", () => {
  const retry = { action: "retry" as const, at: at(98), by: "ana", attempt: 1, detail: "" };
  const retried = task({
    status: "SUCCESS",
    attempts: [attempt(1, 1, 5, "failed"), attempt(2, 99, 100, "success")],
    actions: [retry],
    completed_at: at(100),
  });
  assertEquals(shape(phasesOf(retried, ms(200))), [
    ["waiting", 0, 1],
    ["failed", 1, 5],
    ["ended", 5, 98],
    ["waiting", 98, 99],
    ["success", 99, 100],
  ]);
  const cancelled = task({
    status: "RUNNING",
    started_at: at(99),
    attempt: 1,
    actions: [{ ...retry, action: "cancel", at: at(10) }, retry],
  });
  assertEquals(shape(phasesOf(cancelled, ms(110))), [
    ["waiting", 0, 10],
    ["ended", 10, 98],
    ["waiting", 98, 99],
    ["running", 99, 110],
  ]);
});
