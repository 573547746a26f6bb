import { encode } from "../../../queue/handlers/image/encode.ts";
import { OUTPUT_FORMATS } from "../../../queue/handlers/image/formats.ts";
import { kindOf } from "../../../queue/handlers/image/read/kind.ts";
import { assertEquals, assertMatch } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { at, near, paint, pixelsOf } from "../../support/images/run.ts";
import { reaches } from "../../support/queue.ts";

interface Written {
  width: number;
  height: number;
  bytes: number;
  format: string;
}

interface Result {
  images: {
    name: string;
    ok: boolean;
    error?: string;
    file: string;
    resized: Written;
    sizes?: (Written & { file: string })[];
    blurhash?: string;
  }[];
  failed: number;
}

for (const format of OUTPUT_FORMATS) {
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
        const { width, height } = await pixelsOf(bytes);
        assertEquals([await kindOf(bytes), width, height], [format, 160, 100]);
      }
    });
  });
}

const picture = await encode(paint(300, 200, () => [51, 102, 153, 255]), "png", 100);
const cut = picture.slice(0, 60);

type Call = (path: string, init?: RequestInit) => Promise<Response>;

async function upload(call: Call, name: string, body: Uint8Array): Promise<string> {
  const answer = await call(`/api/uploads?name=${name}`, { method: "POST", body: new Uint8Array(body) });
  return (await answer.json()).upload_id;
}

Deno.test("uploaded images are resized; one that is broken, too large or no image fails alone with its reason", async () => {
  await withApp({}, async ({ submit, queue, call, send }) => {
    const huge = picture.slice();
    new DataView(huge.buffer).setUint32(16, 30_000);
    new DataView(huge.buffer).setUint32(20, 30_000);
    const upload_ids = [
      await upload(call, "good.png", picture),
      await upload(call, "huge.png", huge),
      await upload(call, "text.png", new TextEncoder().encode("just text")),
      await upload(call, "cut.png", cut),
    ];
    const task = await submit("image_processing", { upload_ids, target_width: 100, target_height: 100, fit: "inside" });
    const { task: { result } } = await reaches(queue, task.id, "SUCCESS");
    const { images, failed } = result as unknown as Result;
    assertEquals(images.map(({ ok }) => ok), [true, false, false, false]);
    assertEquals(failed, 3);
    assertEquals([images[0].resized.width, images[0].resized.height], [100, 67]);
    assertMatch(images[0].blurhash!, /^.{28}$/);
    assertMatch(images[1].error!, /picture is 30000×30000; the limit is 40 megapixels/);
    assertMatch(images[2].error!, /This is no picture/);
    assertMatch(images[3].error!, /PNG is damaged, truncated/);

    // Only those that failed are done again.
    const { redo, message } = await (await call(`/api/tasks/${task.id}`)).json();
    assertEquals(message, "4 of 4 images, 3 failed");
    assertEquals(redo, { failed: 3, unknown: 0 });
    const answer = await send("POST", `/api/tasks/${task.id}/retry`, { only: "failed" });
    assertEquals(answer.status, 201);
    const again = await answer.json();
    assertEquals(again.input_params.upload_ids, upload_ids.slice(1));
    assertEquals([again.input_params.target_width, again.input_params.fit], [100, "inside"]);
    const { task: { error } } = await reaches(queue, again.id, "FAILED");
    assertMatch(error!.message, /^None of the 3 images could be processed\. huge\.png: .* text\.png: .* cut\.png: /);
  });
});

Deno.test("a task whose only image failed is FAILED at once, with the reason", async () => {
  await withApp({}, async ({ submit, queue, call }) => {
    const task = await submit("image_processing", { upload_ids: [await upload(call, "cut.png", cut)] });
    const { task: { error, attempts } } = await reaches(queue, task.id, "FAILED");
    assertMatch(error!.message, /^The image could not be processed\. cut\.png: The PNG is damaged/);
    assertEquals([error!.code, attempts.length], ["non_retryable", 1]);
  });
});

Deno.test("several sizes are files of their own, named by what was asked for", async () => {
  await withApp({}, async ({ submit, queue, call }) => {
    const sizes = ["100x100", "200x150"];
    const upload_ids = [await upload(call, "a.png", picture)];
    const task = await submit("image_processing", { upload_ids, sizes, fit: "inside", format: "auto" });
    assertEquals(task.title, "a.png → 2 sizes");
    const { task: { result } } = await reaches(queue, task.id, "SUCCESS");
    const [image] = (result as unknown as Result).images;
    assertEquals(image.sizes!.map(({ file, width, height, format }) => [file, width, height, format]), [
      ["resized-01-100x100.png", 100, 67, "png"],
      ["resized-01-200x150.png", 200, 133, "png"],
    ]);
    for (const { file, bytes } of image.sizes!) {
      const answer = await call(`/api/tasks/${task.id}/artifacts/${file}`);
      assertEquals((await answer.arrayBuffer()).byteLength, bytes);
    }
  });
});

Deno.test("a picture as a watermark is an upload like others; one that cannot be used fails the task", async () => {
  await withApp({}, async ({ submit, queue, call }) => {
    const upload_ids = [await upload(call, "a.png", picture)];
    const mark = await upload(call, "mark.png", await encode(paint(20, 20, () => [255, 0, 0, 255]), "png", 100));
    const params = { upload_ids, target_width: 300, target_height: 200, watermark_opacity: 1 };
    const { id } = await submit("image_processing", { ...params, watermark_upload_id: mark });
    await reaches(queue, id, "SUCCESS");
    const file = await (await call(`/api/tasks/${id}/artifacts/resized-01.png`)).bytes();
    const pixels = await pixelsOf(file);
    near(at(pixels, 270, 170), [255, 0, 0, 255], 2, "mark");
    near(at(pixels, 50, 50), [51, 102, 153, 255], 2, "picture");
    const bad = await upload(call, "bad.png", cut);
    const failing = await submit("image_processing", { ...params, watermark_upload_id: bad });
    const { task: { error } } = await reaches(queue, failing.id, "FAILED");
    assertMatch(error!.message, /The watermark cannot be used/);
  });
});

for (
  const [what, params, pointer, detail] of [
    ["a size twice", { sizes: ["200x200", "200x200"] }, "/sizes", /once/],
    ["a size that is none", { sizes: ["200x200", "99x3000"] }, "/sizes/1", /from 100 to 2,000/],
    ["two watermarks", { watermark_text: "a", watermark_upload_id: "0".repeat(26) }, "/watermark_text", /not both/],
    ["signs without a shape", { watermark_text: "日本" }, "/watermark_text", /Latin, Greek and Cyrillic/],
    ["an unknown place", { position: "middle" }, "/position", /Invalid option/],
  ] as [string, Record<string, unknown>, string, RegExp][]
) {
  Deno.test(`refused at the door: ${what}`, async () => {
    await withApp({ worker: false }, async ({ send }) => {
      const answer = await send("POST", "/api/tasks/submit", { task_type: "image_processing", input_params: params });
      const { errors } = await answer.json();
      assertEquals([answer.status, errors[0].pointer], [422, `/input_params${pointer}`]);
      assertMatch(errors[0].detail, detail);
    });
  });
}
