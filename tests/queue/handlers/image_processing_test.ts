import { Image } from "imagescript";
import { readHeader } from "../../../queue/handlers/image/header.ts";
import { assertEquals, assertMatch } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
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
        assertEquals(readHeader(bytes), { format, width: 160, height: 100, animated: false });
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
    assertMatch(images[1].error!, /picture is 30000×30000; the limit is 40 megapixels/);
    assertMatch(images[2].error!, /This is not a PNG, JPEG/);
    assertMatch(images[3].error!, /PNG is damaged, truncated/);
  });
});
