import { OutcomeUnknownError } from "../../../queue/task/errors.ts";
import { type Fault, faulty } from "../../support/kv/faulty_kv.ts";
import { Queue } from "../../../queue/queue.ts";
import { statusOf } from "../../../queue/task/record.ts";
import { assertEquals, assertRejects } from "../../support/assert.ts";
import { driven, FakeClock, turn } from "../../support/fake_clock.ts";
import { allReach, heldType, noop, reaches, withFakeClock } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

/** A pause or resume whose commit is answered too late; then what the store says and what is started agree. */
function lateTest(name: string, act: "pause" | "resume", fault: Fault, stored: boolean): void {
  Deno.test(name, async () => {
    const real = await Deno.openKv(":memory:");
    const state = faulty(real);
    const clock = new FakeClock();
    const queue = new Queue({ kv: state.kv, clock, definitions: [noop], lanes: 1, commitDeadlineMs: 2_000 });
    await queue.start();
    if (act === "resume") await driven(clock, queue.pause("noop", "ana"));
    let hit = false;
    state.fault = () => {
      if (hit) return null;
      hit = true;
      return fault;
    };
    const late = act === "pause" ? queue.pause("noop", "ana") : queue.resume("noop");
    await assertRejects(driven<unknown>(clock, late), OutcomeUnknownError);
    state.release();
    // The poll comes by.
    await clock.advance(61_000);
    await clock.advance(61_000);
    assertEquals((await queue.pauses()).has("noop"), stored);
    const { task } = await driven(clock, queue.submit({ task_type: "noop" }));
    await clock.advance(6_000);
    assertEquals(statusOf(await queue.get(task.task.id)), stored ? "PENDING" : "SUCCESS");
    await driven(clock, queue.stop());
    real.close();
  });
}

lateTest("a pause that came to pass after it was given up holds", "pause", "applied, answered late", true);
lateTest(
  "a resume that came to pass after it was given up lets tasks start",
  "resume",
  "applied, answered late",
  false,
);

Deno.test("whatever became of a pause that was given up, what is started agrees with what the store says", async () => {
  const kv = await Deno.openKv(":memory:");
  const state = faulty(kv);
  const clock = new FakeClock();
  const queue = new Queue({ kv: state.kv, clock, definitions: [noop], lanes: 1, commitDeadlineMs: 2_000 });
  await queue.start();
  // Each try fails until it is given up; one that was under way then may still come to pass.
  let until = Infinity;
  state.fault = () => clock.now() < until ? "locked" : null;
  const failed = assertRejects(driven(clock, queue.pause("noop", "ana")), OutcomeUnknownError);
  await failed;
  until = clock.now();
  await clock.advance(61_000);
  const stored = (await queue.pauses()).has("noop");
  const { task } = await driven(clock, queue.submit({ task_type: "noop" }));
  await clock.advance(61_000);
  assertEquals(statusOf(await queue.get(task.task.id)), stored ? "PENDING" : "SUCCESS");
  await driven(clock, queue.stop());
  kv.close();
  await listeningEnds(kv);
});

Deno.test("a paused type starts nothing, also after a restart; what runs goes on; resumed, it starts what waited", async () => {
  const kv = await Deno.openKv(":memory:");
  const held = heldType();
  const definitions = [held.definition, noop];
  const first = new Queue({ kv, definitions });
  await first.start();
  await first.submit({ task_type: "held" });
  const running = await held.next();
  await first.pause("held", "ana", "the mail server is down");
  const { task: { task: { id } } } = await first.submit({ task_type: "held" });
  await first.submit({ task_type: "noop" });
  await allReach(first, 1, "SUCCESS");
  running.finish();
  await allReach(first, 2, "SUCCESS");
  await first.stop(2_000);

  const second = new Queue({ kv, definitions });
  await second.start();
  assertEquals(
    [...await second.pauses()].map(([type, { by, reason }]) => [type, by, reason]),
    [["held", "ana", "the mail server is down"]],
  );
  await second.submit({ task_type: "noop" });
  await allReach(second, 3, "SUCCESS");
  assertEquals(statusOf(await second.get(id)), "PENDING");
  await second.resume("held");
  (await held.next()).finish();
  await reaches(second, id, "SUCCESS");
  await assertRejects(second.pause("none", "ana"), { code: "not_found" });
  await second.stop(2_000);
  kv.close();
  await listeningEnds(kv);
});

Deno.test("who reads the pauses beside a resume does not bring the pause back", async () => {
  await withFakeClock({}, async (queue) => {
    for (let i = 0; i < 50; i++) {
      await queue.pause("noop", "test");
      const reading = queue.pauses();
      await queue.resume("noop");
      await reading;
      await queue.submit({ task_type: "noop" });
      while ((await queue.counts()).noop.SUCCESS !== i + 1) await turn();
    }
  });
});
