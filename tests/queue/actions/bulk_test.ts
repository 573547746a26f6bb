import { delay, systemClock } from "../../../queue/task/clock.ts";
import type { BulkOutcome } from "../../../queue/actions/bulk.ts";
import { Queue } from "../../../queue/queue.ts";
import { totalOf } from "../../../queue/store/listing.ts";
import { statusOf, type TaskState } from "../../../queue/task/record.ts";
import { assertEquals, assertRejects, ok } from "../../support/assert.ts";
import { driven, FakeClock } from "../../support/fake_clock.ts";
import { fullCount, heldType, nonZero, noop, reaches, withQueue } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

const outcomesOf = (answer: BulkOutcome[] | TaskState): string[] => {
  ok(Array.isArray(answer), "a task instead of outcomes");
  return answer.map(({ outcome }) => outcome);
};

async function submitMany(queue: Queue, count: number, task_type: string): Promise<void> {
  for (let left = count; left > 0; left -= 200) {
    await queue.submitBatch(Array.from({ length: Math.min(200, left) }, () => ({ task_type })));
  }
}

Deno.test("by ids, each task has its own outcome", async () => {
  const held = heldType();
  await withQueue({ definitions: [held.definition, noop] }, async (queue) => {
    const done = (await queue.submit({ task_type: "noop" })).task.task.id;
    await reaches(queue, done, "SUCCESS");
    const running = (await queue.submit({ task_type: "held" })).task.task.id;
    await held.next();
    const nobody = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    assertEquals(
      (await queue.bulk.byIds("cancel", [done, running, nobody])).map(({ outcome }) => outcome),
      ["illegal_transition", "done", "not_found"],
    );
    assertEquals(statusOf(await queue.get(running)), "CANCELLED");
    assertEquals(outcomesOf(await queue.bulk.byIds("retry", [running, done])), ["done", "illegal_transition"]);
    assertEquals(outcomesOf(await queue.bulk.byIds("delete", [running, done])), ["illegal_transition", "done"]);
    await assertRejects(queue.get(done), { code: "not_found" });
    await assertRejects(queue.bulk.byIds("cancel", []), { code: "invalid_input" });
  });
});

Deno.test("a filter takes what was in the list at as_of and nothing that came later", async () => {
  await withQueue({ worker: false }, async (queue) => {
    const submit = async () => (await queue.submit({ task_type: "noop" })).task.task.id;
    const [seen, other] = [await submit(), await submit()];
    await queue.cancel(other);
    const asOf = await queue.stream.head();
    const late = await submit();
    const left = await submit();
    await queue.cancel(left);
    assertEquals(outcomesOf(await queue.bulk.byFilter("delete", { statuses: ["CANCELLED"] }, asOf)), ["done"]);
    assertEquals((await queue.list({}, 10)).states.map(({ task }) => task.id), [left, late, seen]);
    assertEquals(outcomesOf(await queue.bulk.byFilter("cancel", {}, asOf)), ["done"]);
    assertEquals(statusOf(await queue.get(seen)), "CANCELLED");
    assertEquals(statusOf(await queue.get(late)), "PENDING");
  });
});

Deno.test("a large set becomes a task of its own that says how far it is and what it has done", async () => {
  const held = heldType();
  await withQueue({ definitions: [held.definition, noop] }, async (queue, kv) => {
    await queue.pause("noop", "test");
    await submitMany(queue, 450, "noop");
    const asOf = await queue.stream.head();
    const bulk = await queue.bulk.byFilter("cancel", { task_types: ["noop"] }, asOf) as TaskState;
    assertEquals([bulk.task.task_type, bulk.task.title], ["bulk", "Cancel up to 450 tasks"]);
    const ended = await reaches(queue, bulk.task.id, "SUCCESS", "FAILED");
    assertEquals(ended.task.result, { action: "cancel", done: 450, failed: 0, failures: [] });
    assertEquals(totalOf(await queue.counts(), { task_types: ["noop"], statuses: ["CANCELLED"] }), 450);
    const again = await queue.bulk.byFilter("delete", {}, await queue.stream.head()) as TaskState;
    await reaches(queue, again.task.id, "SUCCESS", "FAILED");
    assertEquals(nonZero(await queue.counts()), await fullCount(kv));
    assertEquals(totalOf(await queue.counts(), { task_types: ["noop"] }), 0);
  });
});

Deno.test("nobody but the service submits its own task type", async () => {
  await withQueue({}, async (queue) => {
    await assertRejects(queue.submit({ task_type: "bulk", input_params: {} }), { code: "invalid_input" });
    await assertRejects(queue.pause("bulk", "ana"), { code: "not_found" });
  });
});

Deno.test("lists go from the oldest too, by time of creation, with totals; pages stay stable under writes", async () => {
  await withQueue({ worker: false }, async (queue) => {
    await submitMany(queue, 30, "noop");
    const ids = (await queue.list({}, 200, undefined, "oldest")).states.map(({ task }) => task.id);
    assertEquals(ids, ids.toSorted());
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await queue.list({}, 7, cursor, "oldest");
      seen.push(...page.states.map(({ task }) => task.id));
      cursor = page.next_cursor ?? undefined;
      await queue.cancel(seen[seen.length - 1]);
    } while (cursor);
    assertEquals(seen, ids);
    const at = (await queue.get(ids[0])).task.created_at;
    const last = (await queue.get(ids[29])).task.created_at;
    assertEquals((await queue.list({ created_from: at, created_to: last + 1 }, 5)).total, 30);
    assertEquals((await queue.list({ created_from: last + 1 }, 5)).total, 0);
    assertEquals((await queue.list({ created_to: at }, 5)).states, []);
    assertEquals((await queue.list({ created_from: at, statuses: ["PENDING"] }, 50, undefined, "oldest")).total, 25);
  });
});

Deno.test("a filter by PENDING or by RUNNING takes only what was just that at as_of", async () => {
  const held = heldType("held", { concurrency: 1 });
  await withQueue({ definitions: [held.definition] }, async (queue) => {
    const submit = async () => (await queue.submit({ task_type: "held" })).task.task.id;
    const [first, second] = [await submit(), await submit()];
    const handler = await held.next();
    while (!(await queue.get(first)).run) await reaches(queue, first, "RUNNING");
    const asOf = await queue.stream.head();
    // Starts are told to the millisecond: the next one falls into another.
    await delay(systemClock, 2);
    handler.finish();
    await reaches(queue, first, "SUCCESS");
    await held.next();
    // The second waited at as_of, and runs now.
    assertEquals(await queue.bulk.byFilter("cancel", { statuses: ["PENDING"] }, asOf), []);
    assertEquals(await queue.bulk.byFilter("cancel", { statuses: ["RUNNING"] }, asOf), []);
    const now = await queue.stream.head();
    assertEquals(outcomesOf(await queue.bulk.byFilter("cancel", { statuses: ["RUNNING"] }, now)), ["done"]);
    assertEquals(statusOf(await queue.get(second)), "CANCELLED");
    await assertRejects(
      queue.bulk.byFilter("cancel", { statuses: ["RUNNING"] }, "0".repeat(20)),
      { code: "invalid_input" },
    );
  });
});

for (const action of ["cancel", "retry", "delete"] as const) {
  Deno.test(`a stop in the middle of a bulk ${action} leaves no task out: the action goes on after the restart`, async () => {
    const kv = await Deno.openKv(":memory:");
    const start = async () => {
      const queue = new Queue({ kv, definitions: [noop] });
      await queue.start();
      return queue;
    };
    const total = 600;
    const first = await start();
    await first.pause("noop", "test");
    await submitMany(first, total, "noop");
    if (action !== "cancel") {
      const cancelled = await first.bulk.byFilter("cancel", { task_types: ["noop"] }, await first.stream.head());
      await reaches(first, (cancelled as TaskState).task.id, "SUCCESS");
    }
    const asOf = await first.stream.head();
    const made = await first.bulk.byFilter(action, { task_types: ["noop"] }, asOf, "ana");
    ok(!Array.isArray(made));
    // The service stops as soon as some of it is done.
    const before = action === "retry" ? "CANCELLED" : action === "cancel" ? "PENDING" : "CANCELLED";
    const left = async () => totalOf(await first.counts(), { statuses: [before], task_types: ["noop"] });
    while (await left() === total) await delay(systemClock, 1);
    await first.stop(4_000);
    const second = await start();
    const { task } = await reaches(second, made.task.id, "SUCCESS", "FAILED");
    assertEquals([task.status, task.failures], ["SUCCESS", 0]);
    const result = task.result as { done: number; failed: number };
    assertEquals([result.done, result.failed], [total, 0]);
    const counts = (await second.counts()).noop ?? {};
    const wanted = action === "cancel" ? { CANCELLED: total } : action === "retry" ? { PENDING: total } : {};
    assertEquals(nonZero({ noop: counts }), Object.keys(wanted).length > 0 ? { noop: wanted } : {});
    await second.stop(4_000);
    kv.close();
  });
}

Deno.test("after 15 quiet minutes a bulk action on RUNNING still knows what was running", async () => {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const held = heldType();
  const queue = new Queue({ kv, clock, definitions: [held.definition] });
  await queue.start();
  const { task } = await driven(clock, queue.submit({ task_type: "held" }));
  await driven(clock, held.next());
  clock.set(clock.now() + 20 * 60_000);
  await driven(clock, queue.clean());
  const asOf = await queue.stream.head();
  const outcomes = await driven(clock, queue.bulk.byFilter("cancel", { statuses: ["RUNNING"] }, asOf));
  assertEquals(outcomesOf(outcomes), ["done"]);
  assertEquals((await queue.get(task.task.id)).task.status, "CANCELLED");
  await driven(clock, queue.stop());
  kv.close();
  await listeningEnds(kv);
});
