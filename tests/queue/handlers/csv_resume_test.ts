import { systemClock } from "../../../queue/task/clock.ts";
import { createHandlers } from "../../../queue/handlers/mod.ts";
import { keys } from "../../../queue/store/keys.ts";
import { Queue } from "../../../queue/queue.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { Random } from "../../../queue/handlers/random.ts";
import { reaches } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

/** About 13 MB of rows with numbers, texts, quotes and line breaks. */
function largeCsv(): Uint8Array<ArrayBuffer> {
  const random = new Random(3);
  const lines = ["id,price,town,note"];
  for (let i = 0; i < 200_000; i++) {
    const note = i % 10 === 0
      ? `"said ""no""\nand left"`
      : `note ${Math.floor(random.next() * 5_000)} of the day, indeed`;
    lines.push(
      `${i},${(random.next() * 1_000).toFixed(2)},town ${i % 50},${note.startsWith('"') ? note : `"${note}"`}`,
    );
  }
  return new TextEncoder().encode(lines.join("\n"));
}

Deno.test("a CSV goes on from its last finished block after a stop, with the same result as without one", async () => {
  const kv = await Deno.openKv(":memory:");
  const { definitions, close } = createHandlers(systemClock);
  const first = new Queue({ kv, definitions });
  await first.start();
  const { id: upload_id } = await first.uploads.store("large.csv", "text/csv", new Blob([largeCsv()]).stream(), 1e9);
  const submission = { task_type: "csv_processing", input_params: { upload_id } };
  const { task: { task: { id: whole } } } = await first.submit(submission);
  const expected = (await reaches(first, whole, "SUCCESS", "FAILED")).task.result as { rows: number };
  assertEquals(expected.rows, 200_000);

  const { task: { task: { id } } } = await first.submit(submission);
  let wake: () => void = () => {};
  const unsubscribe = await first.stream.subscribe(() => wake());
  while (!(await kv.get(keys.checkpoint(id))).value) await new Promise<void>((resolve) => wake = resolve);
  unsubscribe();
  await first.stop();

  const second = new Queue({ kv, definitions });
  await second.start();
  const ended = await reaches(second, id, "SUCCESS", "FAILED");
  assertEquals(ended.task.attempts.map(({ outcome }) => outcome), ["interrupted", "success"]);
  assertEquals(ended.task.result, expected);
  const { lines } = await second.logs.read(id);
  const from = lines.map(({ text }) => /from byte ([\d,]+) on/.exec(text)?.[1]).find(Boolean);
  ok(from && Number(from.replaceAll(",", "")) >= 4_000_000, `from byte ${from}`);
  await second.stop();
  await close();
  kv.close();
  await listeningEnds(kv);
});
