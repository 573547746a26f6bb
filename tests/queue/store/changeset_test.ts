import { encode } from "../../../queue/store/codec.ts";
import { keys } from "../../../queue/store/keys.ts";
import type { TaskRecord } from "../../../queue/task/record.ts";
import { cancel } from "../../../queue/task/transitions.ts";
import { transition } from "../../../queue/store/changeset.ts";
import { decodeTask } from "../../../queue/store/task_codec.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { pending, T } from "../../support/task.ts";

function stored(task: TaskRecord): Uint8Array {
  const { puts } = transition(null, { task, run: null });
  return puts.find(({ key }) => key[0] === keys.task("")[0])!.value;
}

Deno.test("a record is read as it was, whether its fields are common or not, and common ones take no room", () => {
  const plain = pending().task;
  const full: TaskRecord = {
    ...cancel(pending(), T + 5).task,
    progress: 7,
    message: "m",
    tags: ["a"],
    priority: 3,
    depends_on: ["p"],
    has_dependents: true,
    generation: 2,
    retention_ms: 5,
    concurrency_key: "k",
    unique_key: "u",
    schedule_id: "s",
    result: { a: [1] },
  };
  for (const task of [plain, full]) assertEquals(decodeTask(stored(task)), task);
  ok(stored(plain).length < encode(plain).length / 2);
  // Written before fields were left out.
  assertEquals(decodeTask(encode(full)), full);
});

Deno.test("what one reader does to the lists of a task does not reach another", () => {
  const bytes = stored(pending().task);
  decodeTask(bytes).tags.push("mine");
  assertEquals(decodeTask(bytes).tags, []);
});
