import * as z from "zod";
import { defineTask } from "../../../queue/define.ts";
import { CONNECT_LIMITS } from "../../../queue/store/commit/atomic_size.ts";
import { Queue } from "../../../queue/queue.ts";
import { assertEquals, assertMatch, assertRejects } from "../../support/assert.ts";
import { noop, reaches, withQueue } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

Deno.test("twenty uploads in one task take one check, with the ten checks of KV Connect too", async () => {
  const files = defineTask({
    type: "files",
    title: "Files",
    description: "Names files.",
    params: z.strictObject({ uploads: z.array(z.string()).meta({ "x-file": {} }) }),
    run: () => Promise.resolve(null),
  });
  await withQueue({ definitions: [files], limits: CONNECT_LIMITS }, async (queue) => {
    const uploads: string[] = [];
    for (let i = 0; i < 20; i++) {
      uploads.push((await queue.uploads.store(`${i}.txt`, "text/plain", new Blob(["x"]).stream(), 100)).id);
    }
    const { task } = (await queue.submit({ task_type: "files", input_params: { uploads } })).task;
    assertEquals(task.uploads, uploads);
    await reaches(queue, task.id, "SUCCESS");
  });
});

Deno.test("a dependency that is named twice is refused by the queue itself", async () => {
  await withQueue({ worker: false }, async (queue) => {
    const { id } = (await queue.submit({ task_type: "noop" })).task.task;
    const twice = queue.submit({ task_type: "noop", depends_on: [id, id] });
    await assertRejects(twice, { code: "invalid_input", message: /depends_on: A task is listed twice/ });
  });
});

Deno.test("a batch with more dependencies than an atomic takes is refused before any of them is read", async () => {
  const real = await Deno.openKv(":memory:");
  let reads = 0;
  const kv = new Proxy(real, {
    get(target, name) {
      if (name === "getMany" || name === "get") reads++;
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const queue = new Queue({ kv, definitions: [noop], worker: false });
  await queue.start();
  const before = reads;
  const parents = (i: number) =>
    Array.from({ length: 115 }, (_, j) => `01ARZ3NDEKTSV4RRFFQ69${String(i * 115 + j).padStart(5, "0")}`);
  const tasks = Array.from({ length: 200 }, (_, i) => ({ task_type: "noop", depends_on: parents(i) }));
  await assertRejects(queue.submitBatch(tasks), (error: Error) => {
    assertMatch(error.message, /stored in one atomic/);
    return error.message.length < 1_000;
  });
  assertEquals(reads, before);
  await queue.stop();
  real.close();
  await listeningEnds(kv);
});
