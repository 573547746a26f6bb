/** Submitting by messages of KV's own queue. */

import { ulid } from "ulid";
import * as z from "zod";
import { defineTask } from "../../../queue/define.ts";
import { createLogger } from "../../../queue/log.ts";
import { Queue } from "../../../queue/queue.ts";
import { taskMessage } from "../../../queue/submit/inbox.ts";
import type { SubmissionBody } from "../../../queue/submit/submission.ts";
import { InvalidInputError, NotFoundError, TooLargeError } from "../../../queue/task/errors.ts";
import { assertEquals, assertMatch, assertRejects, assertThrows, ok } from "../../support/assert.ts";
import { withDirectory } from "../../support/directory.ts";
import { turn } from "../../support/fake_clock.ts";
import { faulty } from "../../support/kv/faulty_kv.ts";
import { messagesKv } from "../../support/kv/messages_kv.ts";
import { allReach, noop, reaches, withQueue } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

const later = defineTask({
  type: "later",
  title: "Later",
  description: "A type that is added later.",
  params: z.strictObject({ n: z.int() }),
  run: ({ params }) => Promise.resolve(params.n),
});

/** Waits until a message is kept. */
async function kept(queue: Queue, count = 1) {
  while (await queue.inbox.count(100) < count) await turn();
  return (await queue.inbox.list(100)).messages;
}

Deno.test("a message makes one task, in the transaction of whoever sends it, with all that a submit takes", async () => {
  await withQueue({}, async (queue, kv) => {
    const message = taskMessage({ task_type: "noop", priority: 3, tags: ["order"] });
    const failed = await kv.atomic().check({ key: ["order", 1], versionstamp: "00000000000000000000" })
      .enqueue(...message).commit();
    assertEquals(failed.ok, false);
    await kv.atomic().set(["order", 1], "paid").enqueue(...message).enqueue(...message).commit();
    await allReach(queue, 1, "SUCCESS");
    await kv.enqueue(...taskMessage({ task_type: "noop" }));
    await allReach(queue, 2, "SUCCESS");
    const { states } = await queue.list({ tag: "order" }, 10);
    assertEquals(states.map(({ task }) => [task.priority, task.submitted_by]), [[3, null]]);
    assertEquals(await queue.inbox.count(10), 0);
  });
});

Deno.test("a malformed submission is refused where the message is made, by pointer; so is one that is too large", () => {
  const pointers = (error: unknown) => (error as InvalidInputError).issues.map(({ pointer }) => pointer).sort();
  assertThrows(
    () => void taskMessage({ task_type: "noop", priority: 10, nonsense: 1 } as SubmissionBody),
    (error) => pointers(error).join() === "/nonsense,/priority",
  );
  assertThrows(
    () => void taskMessage({ task_type: "noop", input_params: { text: "é".repeat(40_000) } }),
    TooLargeError,
  );
  assertThrows(() => void taskMessage({ task_type: "noop", input_params: { n: 1n } }), TypeError);
});

Deno.test("what is refused is kept with the reason, is tried again after a mend, and makes its task once", async () => {
  const kv = await Deno.openKv(":memory:");
  const first = new Queue({ kv, definitions: [noop] });
  await first.start();
  await kv.enqueue(...taskMessage({ task_type: "later", input_params: { n: 7 } }));
  const [message] = await kept(first);
  assertEquals([message.submission, message.refusal.code, message.refusal.errors.map(({ pointer }) => pointer)], [
    { task_type: "later", input_params: { n: 7 } },
    "invalid_input",
    ["/task_type"],
  ]);
  await assertRejects(first.inbox.retry(message.id), InvalidInputError);
  assertEquals(await first.inbox.count(10), 1);
  await first.stop();

  const second = new Queue({ kv, definitions: [noop, later] });
  await second.start();
  const outcomes = await Promise.allSettled([second.inbox.retry(message.id), second.inbox.retry(message.id)]);
  assertEquals(outcomes.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  await allReach(second, 1, "SUCCESS");
  assertEquals(await second.inbox.count(10), 0);
  await assertRejects(second.inbox.retry(message.id), NotFoundError);
  await second.stop();
  kv.close();
  await listeningEnds(kv);
});

Deno.test("what was discarded does not come back with its message", async () => {
  await withQueue({}, async (queue, kv) => {
    const message = taskMessage({ task_type: "later" });
    await kv.enqueue(...message);
    const [{ id }] = await kept(queue);
    await queue.inbox.discard(id);
    await assertRejects(queue.inbox.discard(id), NotFoundError);
    await queue.inbox.receive(message[0]);
    assertEquals(await queue.inbox.count(10), 0);
  });
});

Deno.test("a message of another program is kept and named, and stops nothing", async () => {
  await withQueue({}, async (queue, kv) => {
    const others = [{ hello: "world" }, 17n, new Uint8Array([1, 2]), new TextEncoder().encode('{"millrace":1}')];
    for (const other of others) await kv.enqueue(other);
    const messages = await kept(queue, others.length);
    assertEquals(
      messages.map(({ refusal, submission }) => [refusal.code, submission]),
      others.map(() => [
        "foreign_message",
        null,
      ]),
    );
    assertMatch(messages.map(({ refusal }) => refusal.detail).join(), /hello: "world"/);
    await assertRejects(queue.inbox.retry(messages[0].id), InvalidInputError);
    await queue.inbox.discard(messages[0].id);
    const first = await queue.inbox.list(2);
    const rest = await queue.inbox.list(2, first.next!);
    assertEquals([first.messages.length, rest.messages.length, rest.next], [2, 1, null]);
    await kv.enqueue(...taskMessage({ task_type: "noop" }));
    await allReach(queue, 1, "SUCCESS");
  });
});

Deno.test("a message that KV gave up is listed as such, and can be tried again", async () => {
  await withQueue({}, async (queue, kv) => {
    const [message, { keysIfUndelivered }] = taskMessage({ task_type: "noop" });
    // What KV does after the last of its tries.
    await kv.set(keysIfUndelivered[0], message);
    const [{ id, refusal }] = await kept(queue);
    assertEquals(refusal.code, "not_delivered");
    await reaches(queue, await queue.inbox.retry(id), "SUCCESS");
  });
});

Deno.test("delay and expiry count from when the message was made", async () => {
  await withQueue({ worker: false }, async (queue, kv) => {
    const at = Date.now() - 3_600_000;
    const send = (submission: unknown) =>
      kv.enqueue(new TextEncoder().encode(JSON.stringify({ millrace: "submission", id: ulid(), at, submission })));
    await send({ task_type: "noop", delay: 7_200, tags: ["delayed"] });
    await send({ task_type: "noop", expires_in: 7_200, tags: ["kept"] });
    await send({ task_type: "noop", expires_in: 1_800, tags: ["late"] });
    await allReach(queue, 3, "PENDING");
    const of = async (tag: string) => (await queue.list({ tag }, 1)).states[0].task;
    assertEquals((await of("delayed")).run_at, at + 7_200_000);
    const kept = await of("kept");
    ok(Math.abs(kept.expires_at! - (at + 7_200_000)) < 1_000, `${kept.expires_at! - at}`);
    const late = await of("late");
    assertEquals(late.expires_at! - late.created_at, 1, "it expires at once");
  });
});

Deno.test("a stop in the middle of a message leaves it to the next start", async () => {
  const real = await Deno.openKv(":memory:");
  const state = faulty(real);
  const waits = Promise.withResolvers<void>();
  const log = createLogger(
    "info",
    "text",
    () => 0,
    (line) => line.includes("waits for the next start") && waits.resolve(),
  );
  const first = new Queue({ kv: state.kv, definitions: [noop], lanes: 1, log });
  await first.start();
  // No commit is answered until the queue has given the message up; then its task exists, or the message makes it.
  const { commits } = state;
  state.fault = () => "silent";
  await real.enqueue(...taskMessage({ task_type: "noop" }));
  while (state.commits === commits) await turn();
  const stopped = first.stop(500);
  await waits.promise;
  state.fault = () => null;
  state.release();
  await stopped;
  const second = new Queue({ kv: state.kv, definitions: [noop], lanes: 1 });
  await second.start();
  await allReach(second, 1, "SUCCESS");
  await second.stop();
  real.close();
});

Deno.test("a message that comes again while it is still being dealt with makes one task", async () => {
  const real = await Deno.openKv(":memory:");
  const state = faulty(real);
  const deliveries: Promise<void>[] = [];
  const twice = messagesKv(state.kv, (message, listener) => {
    if (message instanceof Uint8Array) deliveries.push(listener(message), listener(message));
    return Promise.all(deliveries);
  });
  const queue = new Queue({ kv: twice, definitions: [noop], lanes: 1 });
  await queue.start();
  state.fault = () => "applied, answered late";
  await real.enqueue(...taskMessage({ task_type: "noop" }));
  while (deliveries.length === 0) await turn();
  state.fault = () => null;
  state.release();
  await Promise.all(deliveries);
  await allReach(queue, 1, "SUCCESS");
  await queue.stop();
  real.close();
});

Deno.test("what an app has committed before it crashed becomes a task at the next start, once", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/store.db`;
    const child = new URL("inbox_child.ts", import.meta.url);
    const { signal } = await new Deno.Command(Deno.execPath(), { args: ["run", "-A", child.href, path] }).output();
    assertEquals(signal, "SIGKILL");
    for (let starts = 0; starts < 2; starts++) {
      const kv = await Deno.openKv(path);
      assertEquals((await kv.get(["order", 1])).value, "paid");
      const queue = new Queue({ kv, definitions: [noop] });
      await queue.start();
      await allReach(queue, 1, "SUCCESS");
      await queue.stop();
      kv.close();
      await listeningEnds(kv);
    }
  });
});
