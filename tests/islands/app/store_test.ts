import { mock } from "node:test";
import type { LogEvent, PageData } from "../../../islands/app/state.ts";
import {
  addEarlier,
  createStore,
  dismiss,
  hasRoomForMore,
  mergeLog,
  mergeOpen,
  mergeTasks,
  removeTask,
  replaceList,
  select,
  showWaiting,
  toast,
} from "../../../islands/app/store.ts";
import { HOME, type View } from "../../../islands/app/url.ts";
import type { TaskHistoryEvent } from "../../../queue/task/api_types.ts";
import type { Task, TaskSummary } from "../../../queue/task/summary.ts";
import { assertEquals } from "../../support/assert.ts";

function task(id: string, status: TaskSummary["status"], version = 1, more: Partial<TaskSummary> = {}): TaskSummary {
  const created_at = "2030-01-01T00:00:00.000Z";
  return {
    id,
    status,
    version,
    title: `Task ${id}`,
    task_type: "t",
    message: "",
    tags: [],
    created_at,
    ...more,
  } as TaskSummary;
}

function storeOf(tasks: TaskSummary[], next_cursor: string | null = null, view: Partial<View> = {}) {
  const list = { next_cursor, prev_cursor: null, total: tasks.length, total_capped: false, searched: null, as_of: "0" };
  return createStore(
    {
      tasks,
      list,
      view: { ...HOME, ...view },
      types: [],
      stats: {},
      open: null,
      server_time: "2030-01-01T00:00:00Z",
    } as unknown as PageData,
  );
}

const waiting = (store: ReturnType<typeof storeOf>) => store.waiting.value.map(({ id }) => id);

Deno.test("a row takes the newest version and never an older one", () => {
  const store = storeOf([task("B", "RUNNING", 2)]);
  mergeTasks(store, [task("B", "PENDING", 1)]);
  assertEquals(store.rows.get("B")!.value.task.status, "RUNNING");
  mergeTasks(store, [task("B", "SUCCESS", 3)]);
  assertEquals(store.rows.get("B")!.value.task.status, "SUCCESS");
});

Deno.test("a row that stops matching stays, and says so", () => {
  const store = storeOf([task("B", "RUNNING")], null, { statuses: ["RUNNING"] });
  mergeTasks(store, [{ ...task("B", "SUCCESS", 2), matches: false }]);
  assertEquals(store.order.value, ["B"]);
  assertEquals(store.rows.get("B")!.value.matches, false);
});

Deno.test("a new task waits, and one that left the filter while it waited waits no more", () => {
  const store = storeOf([task("B", "RUNNING")]);
  mergeTasks(store, [{ ...task("C", "RUNNING"), matches: true }, { ...task("D", "RUNNING"), matches: true }]);
  mergeTasks(store, [{ ...task("C", "SUCCESS", 2), matches: false }]);
  assertEquals(waiting(store), ["D"]);
  removeTask(store, "D");
  assertEquals(waiting(store), []);
});

Deno.test("what the stream does not filter by, the page does: text, tag and time", () => {
  const store = storeOf([], null, { q: "orders", tag: "x", created_from: "2030-01-01" });
  mergeTasks(store, [
    task("A", "PENDING", 1, { title: "Orders", tags: ["x"] }),
    task("B", "PENDING", 1, { title: "Orders" }),
    task("C", "PENDING", 1, { tags: ["x"] }),
    task("D", "PENDING", 1, { title: "Orders", tags: ["x"], created_at: "2029-12-31T23:59:59.000Z" }),
  ]);
  assertEquals(waiting(store), ["A"]);
});

Deno.test("a task that comes to fit the filter takes its place in the order, unless that is on an older page", () => {
  const whole = storeOf([task("D", "FAILED"), task("B", "FAILED")]);
  mergeTasks(whole, [{ ...task("C", "FAILED"), matches: true }, { ...task("A", "FAILED"), matches: true }]);
  showWaiting(whole, "2");
  assertEquals(whole.order.value, ["D", "C", "B", "A"]);
  const paged = storeOf([task("D", "FAILED"), task("B", "FAILED")], "B");
  mergeTasks(paged, [{ ...task("A", "FAILED"), matches: true }]);
  assertEquals(waiting(paged), []);
  const later = storeOf([task("B", "FAILED")], null, { cursor: "C" });
  mergeTasks(later, [task("D", "FAILED")]);
  assertEquals(waiting(later), []);
});

Deno.test("what joins a full page pushes the oldest onto the next one", () => {
  const many = Array.from({ length: 50 }, (_, i) => task(String(99 - i), "PENDING"));
  const store = storeOf(many);
  mergeTasks(store, [task("A1", "PENDING")]);
  showWaiting(store, "2");
  assertEquals([store.order.value.length, store.order.value[0], store.order.value.at(-1)], [50, "A1", "51"]);
  assertEquals(store.list.value.next_cursor, "51");
  assertEquals(store.rows.has("50"), false);
});

Deno.test("a list that is read anew keeps what is newer, and the selection stays", () => {
  const store = storeOf([task("B", "SUCCESS", 5), task("A", "FAILED")]);
  select(store, ["A", "B"], true);
  replaceList(store, [task("C", "PENDING"), task("B", "RUNNING", 4)], { ...store.list.value, total: 2 });
  assertEquals(store.order.value, ["C", "B"]);
  assertEquals(store.rows.get("B")!.value.task.status, "SUCCESS");
  assertEquals([...store.selected.value.keys()], ["A", "B"]);
});

Deno.test("the open task keeps what a summary lacks, and log lines come once", () => {
  const store = storeOf([]);
  store.open.value = { task: { ...task("B", "RUNNING", 2), input_params: { n: 1 } } as unknown as Task };
  mergeOpen(store, task("B", "RUNNING", 3, { progress: 40 }));
  mergeOpen(store, task("B", "RUNNING", 1, { progress: 10 }));
  assertEquals([store.task.value?.progress, store.task.value?.input_params], [40, { n: 1 }]);
  const line = (line: number): TaskHistoryEvent => ({ kind: "log", at: "", attempt: 1, line, level: "info", text: "" });
  mergeLog(store, [line(0), line(1)]);
  mergeLog(store, [line(1), line(2)]);
  assertEquals(store.log.value.map(({ line }) => line), [0, 1, 2]);
});

Deno.test("errors stay until they are dismissed, however many; of what went well the last few are shown", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const store = storeOf([]);
  for (let i = 0; i < 8; i++) toast(store, { kind: "error", text: `error ${i}` });
  for (let i = 0; i < 5; i++) toast(store, { kind: "done", text: `done ${i}` });
  const texts = store.toasts.value.map(({ text }) => text);
  assertEquals(texts.filter((text) => text.startsWith("error")).length, 8);
  assertEquals(texts.filter((text) => text.startsWith("done")), ["done 2", "done 3", "done 4"]);
  mock.timers.tick(10_000);
  assertEquals(store.toasts.value.length, 8);
  for (const { id } of store.toasts.value) dismiss(store, id);
  assertEquals(store.toasts.value, []);
  mock.timers.reset();
});

Deno.test("a deleted row is not counted any more, and leaves room on the page", () => {
  const ids = Array.from({ length: 50 }, (_, i) => `t${99 - i}`);
  const store = storeOf(ids.map((id) => task(id, "SUCCESS")), "t50", { limit: 50 });
  assertEquals(hasRoomForMore(store), false);
  removeTask(store, "t70");
  assertEquals([store.list.value.total, hasRoomForMore(store)], [49, true]);
});

function lines(from: number, to: number): LogEvent[] {
  return Array.from({ length: to - from }, (_, i) => ({
    kind: "log",
    at: "2030-01-01T00:00:00.000Z",
    attempt: 1,
    line: from + i,
    level: "info",
    text: "x",
  }));
}

Deno.test("the next line of a running task does not undo what was loaded earlier", () => {
  const store = storeOf([]);
  mergeLog(store, lines(10_000, 15_000));
  assertEquals(store.log.value.length, 5_000);
  addEarlier(store, lines(5_000, 10_000), null, false);
  mergeLog(store, lines(15_000, 15_001));
  assertEquals([store.log.value.length, store.log.value[0].line], [10_001, 5_000]);
});

Deno.test("lines that were passed over are a gap until they are loaded", () => {
  const store = storeOf([]);
  mergeLog(store, lines(0, 10));
  mergeLog(store, lines(50, 60), { after: "1:9", before: "1:50" });
  const [gap] = store.gaps.value;
  assertEquals(gap, { after: "1:9", before: "1:50" });
  addEarlier(store, lines(30, 50), gap, false);
  assertEquals(store.gaps.value, [{ after: "1:9", before: "1:30" }]);
  addEarlier(store, lines(10, 30), store.gaps.value[0], true);
  assertEquals(store.gaps.value, []);
  assertEquals(store.log.value.map(({ line }) => line), Array.from({ length: 60 }, (_, i) => i));
});
