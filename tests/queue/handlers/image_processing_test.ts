import { Image } from "imagescript";
import { systemClock } from "../../../queue/clock.ts";
import { readDimensions } from "../../../queue/handlers/image/dimensions.ts";
import { coveredArea, fittedSize, type ImageJob, type ImageOutput } from "../../../queue/handlers/image/worker.ts";
import { Pool } from "../../../queue/pool.ts";
import { assertEquals, assertMatch, assertRejects } from "../../support/assert.ts";
import { withApp } from "../../support/app.ts";
import { reaches } from "../../support/queue.ts";

interface Result {
  images: {
    name: string;
    ok: boolean;
    error?: string;
    file: string;
    resized: { width: number; height: number; bytes: number };
  }[];
  failed: number;
}

for (const format of ["png", "jpeg", "webp"] as const) {
  Deno.test(`drawn images are resized to the target and kept as ${format}`, async () => {
    await withApp({}, async ({ submit, queue, call }) => {
      const params = { num_images: 2, target_width: 160, target_height: 100, format };
      const task = await submit("image_processing", params);
      const { task: { result } } = await reaches(queue, task.id, "SUCCESS");
      const { images, failed } = result as unknown as Result;
      assertEquals([images.length, failed], [2, 0]);
      for (const { file, resized } of images) {
        const answer = await call(`/api/tasks/${task.id}/artifacts/${file}`);
        assertEquals(answer.headers.get("Content-Type"), `image/${format}`);
        const bytes = new Uint8Array(await answer.arrayBuffer());
        assertEquals(bytes.length, resized.bytes);
        if (format !== "webp") assertEquals(readDimensions(bytes), { width: 160, height: 100 });
      }
    });
  });
}

Deno.test("uploaded images are resized; one that is broken, too large or no image fails alone with its reason", async () => {
  await withApp({}, async ({ submit, queue, call }) => {
    const upload = async (name: string, body: Uint8Array) => {
      const answer = await call(`/api/uploads?name=${name}`, { method: "POST", body: new Uint8Array(body) });
      return (await answer.json()).upload_id;
    };
    const picture = await new Image(300, 200).fill(0x336699ff).encode();
    const huge = picture.slice();
    new DataView(huge.buffer).setUint32(16, 30_000);
    new DataView(huge.buffer).setUint32(20, 30_000);
    const upload_ids = [
      await upload("good.png", picture),
      await upload("huge.png", huge),
      await upload("text.png", new TextEncoder().encode("just text")),
      await upload("cut.png", picture.slice(0, 60)),
    ];
    const task = await submit("image_processing", { upload_ids, target_width: 100, target_height: 100, fit: "inside" });
    const { task: { result } } = await reaches(queue, task.id, "SUCCESS");
    const { images, failed } = result as unknown as Result;
    assertEquals(images.map(({ ok }) => ok), [true, false, false, false]);
    assertEquals(failed, 3);
    assertEquals([images[0].resized.width, images[0].resized.height], [100, 67]);
    assertMatch(images[1].error!, /huge\.png is 30000×30000; the limit is 40 megapixels/);
    assertMatch(images[2].error!, /text\.png is not a PNG or JPEG/);
    assertMatch(images[3].error!, /./);
  });
});

Deno.test("the four fits give their sizes", () => {
  const image = { width: 400, height: 200 };
  const target = { width: 100, height: 100 };
  assertEquals(fittedSize(image, target, "fill"), { width: 100, height: 100 });
  assertEquals(fittedSize(image, target, "cover"), { width: 100, height: 100 });
  assertEquals(coveredArea(image, target), { left: 100, top: 0, width: 200, height: 200 });
  assertEquals(coveredArea({ width: 40_000, height: 10 }, { width: 800, height: 600 }), {
    left: 19_993,
    top: 0,
    width: 13,
    height: 10,
  });
  assertEquals(fittedSize(image, target, "contain"), { width: 100, height: 50 });
  assertEquals(fittedSize({ width: 40, height: 20 }, target, "inside"), { width: 40, height: 20 });
  assertEquals(fittedSize({ width: 40, height: 20 }, target, "contain"), { width: 100, height: 50 });
});

Deno.test("a job that is aborted or over its time is ended, and the pool goes on", async () => {
  const module = new URL("../../../queue/handlers/image/worker.ts", import.meta.url);
  const pool = new Pool<ImageJob, ImageOutput>(module, 1, systemClock);
  const job: ImageJob = { source: null, seed: 1, width: 100, height: 100, fit: "fill", format: "png" };
  await assertRejects(pool.run(job, { timeoutMs: 1 }), /longer than 1 ms/);
  const controller = new AbortController();
  const aborted = pool.run(job, { timeoutMs: 60_000, signal: controller.signal });
  controller.abort(new Error("stop"));
  await assertRejects(aborted, /stop/);
  const output = await pool.run(job, { timeoutMs: 60_000 });
  assertEquals([output.resized.width, output.resized.height], [100, 100]);
  pool.close();
});
