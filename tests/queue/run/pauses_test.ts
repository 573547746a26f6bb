import { OutcomeUnknownError } from "../../../queue/task/errors.ts";
import { Queue } from "../../../queue/queue.ts";
import { statusOf } from "../../../queue/task/record.ts";
import { assertEquals, assertRejects } from "../../support/assert.ts";
import { driven, FakeClock } from "../../support/fake_clock.ts";
import { type Fault, faulty } from "../../support/kv/faulty_kv.ts";
import { noop } from "../../support/queue.ts";

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
    await clock.advance(6_000);
    await clock.advance(6_000);
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
  await clock.advance(6_000);
  const stored = (await queue.pauses()).has("noop");
  const { task } = await driven(clock, queue.submit({ task_type: "noop" }));
  await clock.advance(6_000);
  assertEquals(statusOf(await queue.get(task.task.id)), stored ? "PENDING" : "SUCCESS");
  await driven(clock, queue.stop());
  kv.close();
});
