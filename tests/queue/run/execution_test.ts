import { Blobs } from "../../../queue/store/files/blobs.ts";
import { systemClock } from "../../../queue/task/clock.ts";
import type { Committer } from "../../../queue/store/commit/committer.ts";
import { createLogger } from "../../../queue/log.ts";
import { Queue } from "../../../queue/queue.ts";
import { checkStore } from "../../../queue/tools/check.ts";
import { statusOf } from "../../../queue/task/record.ts";
import { emptyChangeset } from "../../../queue/store/changeset.ts";
import { assertEquals, assertMatch, assertRejects, ok } from "../../support/assert.ts";
import { driven, FakeClock, turn } from "../../support/fake_clock.ts";
import { type Held, heldType, reaches, withQueue } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

interface Rig {
  queue: Queue;
  clock: FakeClock;
  held: ReturnType<typeof heldType>;
  /** What the service's own log says. */
  said: string[];
}

/** One slot, and handlers that take no notice of their signal. */
async function withDeafHandlers(test: (rig: Rig) => Promise<void>): Promise<void> {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const said: string[] = [];
  const log = createLogger("warn", "text", () => clock.now(), (line) => said.push(line));
  const held = heldType("held", { deaf: true, concurrency: 1, maxAttempts: 1 });
  const queue = new Queue({ kv, clock, log, definitions: [held.definition] });
  await queue.start();
  try {
    await test({ queue, clock, held, said });
  } finally {
    await driven(clock, queue.stop());
    kv.close();
    await listeningEnds(kv);
  }
}

async function assertWritesNothing({ ctx }: Held): Promise<void> {
  await assertRejects(ctx.checkpoint({ late: true }));
  await assertRejects(ctx.step("late", () => 1));
  await assertRejects(ctx.artifact("late.txt", "late", "text/plain"));
}

Deno.test("a handler that ignores its timeout is abandoned after a grace: it writes no more, its slot is free, the logs say so", async () => {
  await withDeafHandlers(async ({ queue, clock, held, said }) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held", timeout_ms: 60_000 });
    const handler = await held.next();
    await clock.advance(60_000);
    ok(handler.ctx.signal.aborted);
    assertEquals((handler.ctx.signal.reason as { code: string }).code, "timeout");
    await clock.advance(4_999);
    assertEquals(statusOf(await queue.get(id)), "RUNNING");
    const { task: { task: { id: next } } } = await queue.submit({ task_type: "held" });
    const started = held.next();
    await clock.advance(1);
    assertEquals((await started).ctx.id, next);
    const ended = await queue.get(id);
    assertEquals([statusOf(ended), ended.task.error?.code], ["FAILED", "timeout"]);
    assertEquals(ended.task.attempts.map(({ outcome }) => outcome), ["timeout"]);
    await assertWritesNothing(handler);
    const { lines } = await queue.logs.read(id);
    ok(lines.some(({ text }) => /did not stop within 5 s .* was abandoned/.test(text)));
    ok(said.some((line) => line.includes("was abandoned") && line.includes(id)));
    (await started).finish();
  });
});

Deno.test("a handler that ignores a cancel holds its slot for the grace and no longer", async () => {
  await withDeafHandlers(async ({ queue, clock, held, said }) => {
    const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
    const handler = await held.next();
    assertEquals(statusOf(await queue.cancel(id)), "CANCELLED");
    await assertWritesNothing(handler);
    await queue.submit({ task_type: "held" });
    let second: Held | null = null;
    held.next().then((started) => second = started);
    await clock.advance(4_999);
    for (let i = 0; i < 5; i++) await turn();
    assertEquals(second, null);
    await clock.advance(1);
    while (!second) await turn();
    ok(said.some((line) => line.includes("was abandoned") && line.includes(id)));
    (second as Held).finish();
  });
});

Deno.test("an instance that has slept past its lease stops its handlers at their next call, before it is told", async () => {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const held = heldType("held", { deaf: true });
  const queue = new Queue({ kv, clock, definitions: [held.definition], distributed: true, leaseMs: 15_000 });
  await driven(clock, queue.start());
  const { task: { task: { id } } } = await driven(clock, queue.submit({ task_type: "held" }));
  const { ctx, fail } = await held.next();
  // The whole process slept: its timers, and so its heartbeat, did not run.
  clock.sleep(16_000);
  let effects = 0;
  await assertRejects(ctx.step("effect", () => ++effects), { code: "lost" });
  assertEquals([effects, ctx.signal.aborted], [0, true]);
  fail(ctx.signal.reason);
  // Nobody had taken it over: it goes back to the queue as interrupted.
  await driven(clock, queue.stop());
  const [outcome] = (await queue.get(id)).task.attempts;
  assertEquals(outcome.outcome, "interrupted");
  kv.close();
  await listeningEnds(kv);
});

Deno.test("a retry beside its cancelled attempt that has not stopped: both have a slot, and the new one is reached", async () => {
  const kv = await Deno.openKv(":memory:");
  const held = heldType("held", { deaf: true, concurrency: 2 });
  const queue = new Queue({ kv, definitions: [held.definition] });
  await queue.start();
  const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
  const old = await held.next();
  await queue.cancel(id);
  await queue.retry(id);
  const now = await held.next();
  assertEquals(queue.slots(held.definition), { total: 2, running: 2 });
  old.finish();
  while (queue.slots(held.definition).running > 1) await turn();
  assertEquals(statusOf(await queue.get(id)), "RUNNING");
  assertEquals(statusOf(await queue.cancel(id)), "CANCELLED");
  ok(now.ctx.signal.aborted);
  now.finish();
  await queue.stop(2_000);
  kv.close();
  await listeningEnds(kv);
});

Deno.test("two writes of one artifact name at once leave one file, and no bytes without an owner", async () => {
  const held = heldType();
  await withQueue({ definitions: [held.definition] }, async (queue, kv) => {
    const { id } = (await queue.submit({ task_type: "held" })).task.task;
    const handler = await held.next();
    const content = (letter: string) => new Blob([letter.repeat(100_000)]).stream();
    await Promise.all(["a", "b", "c"].map((letter) => handler.ctx.artifact("out.txt", content(letter), "text/plain")));
    handler.finish();
    await reaches(queue, id, "SUCCESS");
    await queue.clean();
    const { problems } = await checkStore(kv, Date.now());
    assertEquals(problems.map(({ key, detail }) => `${JSON.stringify(key)} ${detail}`), []);
    const blobs = new Set<string>();
    for await (const { key } of kv.list({ prefix: ["blob"] })) blobs.add(key[1] as string);
    assertEquals(blobs.size, 1);
    const text = await new Response((await queue.artifacts.open(id, "out.txt")).read()).text();
    assertMatch(text, /^(a{100000}|b{100000}|c{100000})$/);
  });
});

Deno.test("whoever makes a written file its own takes the file's lock, so that the janitor's write is in no atomic with it", async () => {
  const kv = await Deno.openKv(":memory:");
  const committer = { commit: () => Promise.resolve("1") } as unknown as Committer;
  const blobs = new Blobs(kv, committer, systemClock);
  const changeset = emptyChangeset("task");
  blobs.attach(changeset, { blob: "b", pendingVersion: "1" });
  assertEquals(changeset.locks, ["task", "blob:b"]);
  const other = emptyChangeset("other");
  blobs.scheduleDeletion(other, "b");
  assertEquals(other.locks, ["other", "blob:b"]);
  kv.close();
  await listeningEnds(kv);
});
