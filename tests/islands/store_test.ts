import { createStore, mergeTask, type PageData, removeTask, showWaiting } from "../../islands/store.ts";
import type { TaskSummary } from "../../queue/task.ts";
import { assertEquals } from "../support/assert.ts";

function task(id: string, status: TaskSummary["status"], version = 1): TaskSummary {
  return { id, status, version } as TaskSummary;
}

function storeOf(tasks: TaskSummary[], next_cursor: string | null = null) {
  const view = { statuses: [], task_types: [], cursor: null, task: null, form: null };
  return createStore(
    { tasks, next_cursor, view, stats: {}, open: null, server_time: "2030-01-01T00:00:00Z" } as unknown as PageData,
  );
}

Deno.test("a row takes the newest version and never an older one", () => {
  const store = storeOf([task("B", "RUNNING", 2)]);
  mergeTask(store, task("B", "PENDING", 1));
  assertEquals(store.rows.get("B")!.value.status, "RUNNING");
  mergeTask(store, task("B", "SUCCESS", 3));
  assertEquals(store.rows.get("B")!.value.status, "SUCCESS");
});

Deno.test("a new task waits, and one that left the filter while it waited waits no more", () => {
  const store = storeOf([task("B", "RUNNING")]);
  mergeTask(store, { ...task("C", "RUNNING"), matches: true });
  mergeTask(store, { ...task("D", "RUNNING"), matches: true });
  mergeTask(store, { ...task("C", "SUCCESS", 2), matches: false });
  assertEquals(store.waiting.value.map(({ id }) => id), ["D"]);
  removeTask(store, "D");
  assertEquals(store.waiting.value, []);
});

Deno.test("a task that comes to fit the filter takes its place in the order, unless that is on an older page", () => {
  const whole = storeOf([task("D", "FAILED"), task("B", "FAILED")]);
  mergeTask(whole, { ...task("C", "FAILED"), matches: true });
  mergeTask(whole, { ...task("A", "FAILED"), matches: true });
  showWaiting(whole);
  assertEquals(whole.order.value, ["D", "C", "B", "A"]);
  const paged = storeOf([task("D", "FAILED"), task("B", "FAILED")], "B");
  mergeTask(paged, { ...task("A", "FAILED"), matches: true });
  assertEquals(paged.waiting.value, []);
});
