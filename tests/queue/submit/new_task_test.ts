import * as z from "zod";
import { defineTask } from "../../../queue/define.ts";
import { Queue } from "../../../queue/queue.ts";
import { assertEquals, assertMatch, assertRejects } from "../../support/assert.ts";
import { reaches, withQueue } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

const typed = <S extends z.ZodType>(params: S, seen: unknown[] = []) =>
  defineTask({
    type: "typed",
    title: "Typed",
    description: "Remembers its parameters.",
    params,
    run: (ctx) => {
      seen.push(ctx.params);
      return Promise.resolve(null);
    },
  });

Deno.test("parameters that the definition transforms are kept as they were sent, and reach the handler transformed", async () => {
  const seen: unknown[] = [];
  const params = z.strictObject({ at: z.iso.datetime().transform((text) => new Date(text)), n: z.int().default(3) });
  await withQueue({ definitions: [typed(params, seen)] }, async (queue) => {
    const sent = { at: "2030-01-01T00:00:00Z" };
    const { task } = (await queue.submit({ task_type: "typed", input_params: sent })).task;
    assertEquals(task.input_params, sent);
    await reaches(queue, task.id, "SUCCESS");
    assertEquals(seen, [{ at: new Date("2030-01-01T00:00:00Z"), n: 3 }]);
  });
});

Deno.test("what changes a value after it was checked, and a default that is not valid, are not kept in its place", async () => {
  const params = z.strictObject({
    n: z.int().overwrite((n) => n * 2),
    email: z.email().overwrite((text) => `x${text}`),
    url: z.url({ normalize: true }),
    none: z.string().min(5).default(""),
  });
  const seen: unknown[] = [];
  await withQueue({ definitions: [typed(params, seen)] }, async (queue) => {
    const sent = { n: 1, email: "a@example.org", url: "HTTP://example.org" };
    const { task } = (await queue.submit({ task_type: "typed", input_params: sent })).task;
    assertEquals(task.input_params, sent);
    await reaches(queue, task.id, "SUCCESS");
    assertEquals(seen, [{ n: 2, email: "xa@example.org", url: "http://example.org/", none: "" }]);
  });
});

Deno.test("parameters that are not transformed are kept with their defaults", async () => {
  await withQueue({ definitions: [typed(z.strictObject({ n: z.int().default(3) }))] }, async (queue) => {
    assertEquals((await queue.submit({ task_type: "typed" })).task.task.input_params, { n: 3 });
  });
});

Deno.test("a task that a new definition refuses fails at once and says that the definition has changed", async () => {
  const kv = await Deno.openKv(":memory:");
  const start = async (params: z.ZodType) => {
    const queue = new Queue({ kv, definitions: [typed(params)] });
    await queue.start();
    return queue;
  };
  const before = await start(z.strictObject({ n: z.int() }));
  await before.pause("typed", "ana");
  const { task } = (await before.submit({ task_type: "typed", input_params: { n: 1 } })).task;
  await before.stop();
  const after = await start(z.strictObject({ n: z.string() }));
  await after.resume("typed");
  const failed = (await reaches(after, task.id, "FAILED")).task;
  assertEquals([failed.attempt, failed.error?.code], [1, "non_retryable"]);
  assertMatch(failed.error!.message, /definition of the task type has changed.*\/n/);
  await after.stop();
  kv.close();
  await listeningEnds(kv);
});

Deno.test("of many things that are wrong the first hundred are named", async () => {
  await withQueue({ worker: false }, async (queue) => {
    const parents = Array.from({ length: 180 }, (_, i) => `01ARZ3NDEKTSV4RRFFQ69${String(i).padStart(5, "0")}`);
    await assertRejects(
      queue.submit({ task_type: "noop", depends_on: parents }),
      ({ issues }: { issues: { detail: string }[] }) =>
        issues.length === 101 && issues[100].detail === "… and 80 more.",
    );
  });
});

Deno.test("an option that is out of its range is refused by the queue itself, and nothing is stored", async () => {
  await withQueue({ definitions: [typed(z.strictObject({}))] }, async (queue) => {
    for (
      const [name, value] of [
        ["priority", 10],
        ["priority", 0.5],
        ["max_attempts", 26],
        ["timeout_ms", 999],
        ["tags", Array(11).fill("x")],
        ["tags", ["x".repeat(65)]],
      ] as const
    ) {
      const error = await queue.submit({ task_type: "typed", [name]: value }).catch((error) => error);
      assertEquals(error.issues?.map(({ pointer }: { pointer: string }) => pointer), [`/${name}`]);
    }
    assertEquals((await queue.list({}, 10)).total, 0);
  });
});
