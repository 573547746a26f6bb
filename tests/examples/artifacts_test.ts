/** Files: a task reads an upload and keeps an artifact, which others can download in parts. */

import * as z from "zod";
import { defineTask } from "../../queue/mod.ts";
import { assertEquals } from "../support/assert.ts";
import { reaches, withQueue } from "../support/queue.ts";

Deno.test("example: a task turns an uploaded text into upper case", async () => {
  const shout = defineTask({
    type: "shout",
    title: "Shout",
    description: "Turns a text into upper case.",
    params: z.strictObject({ upload_id: z.string().meta({ "x-file": { accept: "text/plain" } }) }),
    async run(ctx) {
      const { stream } = await ctx.openUpload(ctx.params.upload_id);
      const upper = new TransformStream<string, string>({
        transform: (text, controller) => controller.enqueue(text.toUpperCase()),
      });
      const text = stream.pipeThrough(new TextDecoderStream()).pipeThrough(upper);
      await ctx.artifact("shouted.txt", text.pipeThrough(new TextEncoderStream()), "text/plain");
      return null;
    },
  });
  await withQueue({ definitions: [shout] }, async (queue) => {
    const { id: upload_id } = await queue.uploads.store("a.txt", "text/plain", new Blob(["hello"]).stream(), 1_000);
    const { task } = await queue.submit({ task_type: "shout", input_params: { upload_id } });
    await reaches(queue, task.task.id, "SUCCESS");
    const file = await queue.artifacts.open(task.task.id, "shouted.txt");
    assertEquals([await new Response(file.read()).text(), file.size], ["HELLO", 5]);
    assertEquals(await new Response(file.read(1, 3)).text(), "EL");
  });
});
