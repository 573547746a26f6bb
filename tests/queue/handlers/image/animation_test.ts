/** Animations, and what only seems to be one. */

import { Buffer } from "node:buffer";
import { encode } from "../../../../queue/handlers/image/encode.ts";
import { PNG_SIGNATURE, pngChunk, pngChunks } from "../../../../queue/handlers/image/png_chunks.ts";
import { open, type Picture, toPicture } from "../../../../queue/handlers/image/vips.ts";
import { assertEquals, assertMatch, assertRejects } from "../../../support/assert.ts";
import { difference, HAS_MAGICK, made, runOn, seen } from "../../../support/images/magick.ts";
import { at, near, paint, runImage } from "../../../support/images/run.ts";

const RED = [220, 30, 30, 255];
const GREEN = [30, 200, 60, 255];
const NOTHING = [0, 0, 0, 0];

/** Frames of 60 by 40, each of one colour. */
function animation(colours: number[][]): Picture {
  const frames = colours.map((colour) => paint(60, 40, () => colour).data);
  const delays = colours.map((_, i) => 100 + i * 50);
  return { data: Buffer.concat(frames), width: 60, height: 40, animation: { delays, loop: 3 } };
}

async function framesOf(file: Uint8Array): Promise<{ picture: Picture; delay: number[]; loop: number }> {
  const { pages = 1, delay = [], loop = 0 } = await open(file, { animated: true }).metadata();
  const delays = Array(pages).fill(0);
  return { picture: await toPicture(open(file, { animated: true }), { delays, loop }), delay, loop };
}

for (const source of ["gif", "webp"] as const) {
  for (const format of ["gif", "webp", "auto"] as const) {
    Deno.test(`an animated ${source} stays one as ${format}`, async () => {
      const file = await encode(animation([RED, GREEN, RED]), source, 90);
      const sizes = [{ width: 100, height: 100 }];
      const { original, files: [written], file: out, blurhash } = await runImage(file, {
        format,
        sizes,
        fit: "contain",
      });
      assertEquals([original.width, original.height, original.frames], [60, 40, 3]);
      assertEquals([written.width, written.height, written.format], [100, 100, format === "auto" ? "webp" : format]);
      const { picture, delay, loop } = await framesOf(out);
      assertEquals([delay, loop, picture.height], [[100, 150, 200], 3, 100]);
      for (const [i, colour] of [RED, GREEN, RED].entries()) {
        near(at(picture, 50, i * 100 + 50), colour, 12, `frame ${i}`);
        assertEquals(at(picture, 50, i * 100 + 5)[3], 0);
      }
      assertEquals(typeof blurhash, "string");
    });
  }
}

Deno.test("an animation is cropped, sharpened and marked in every frame", async () => {
  const file = await encode(animation([RED, GREEN]), "webp", 100);
  const mark = await encode(paint(10, 10, () => [0, 0, 255, 255]), "png", 100);
  const { file: out } = await runImage(file, {
    format: "webp",
    sizes: [{ width: 100, height: 100 }],
    fit: "cover",
    sharpen: 1,
    background: "#ffffff",
    watermark: { content: { file: mark.slice().buffer }, place: "top-left", width: 0.2, opacity: 1 },
  });
  const { picture } = await framesOf(out);
  for (const [i, colour] of [RED, GREEN].entries()) {
    near(at(picture, 70, i * 100 + 70), colour, 16, `frame ${i}`);
    near(at(picture, 12, i * 100 + 12), [0, 0, 255, 255], 40, `mark ${i}`);
  }
});

Deno.test("a format without animations is refused with what to do; the first frame is there for the asking", async () => {
  const file = await encode(animation([GREEN, RED]), "gif", 90);
  for (const format of ["png", "jpeg", "avif"] as const) {
    await assertRejects(runImage(file, { format }), /is animated, and \w+ is not; use format "webp" or "gif"/);
    const { original, pixels } = await runImage(file, { format, animation: "first" });
    assertEquals(original.frames, undefined);
    near(at(pixels, 30, 20), GREEN, 12, format);
  }
  await assertRejects(runImage(file, { format: "gif", fit: "cover", position: "attention" }), /for still pictures/);
  await assertRejects(runImage(file, { format: "gif", maxPixels: 4_000 }), /2 frames of 60×40.*"first"/);
  assertMatch(
    (await runImage(file, { format: "gif", keepProfile: true })).warnings.join(),
    /keep neither metadata nor a colour profile/,
  );
});

interface ApngFrame {
  picture: Picture;
  left?: number;
  top?: number;
  disposal?: number;
  blending?: number;
}

/** An APNG of 60 by 40. */
async function apng(frames: ApngFrame[]): Promise<Uint8Array> {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(60, 0);
  header.writeUInt32BE(40, 4);
  header.set([8, 6, 0, 0, 0], 8);
  const numbers = (...values: number[]) => {
    const bytes = Buffer.alloc(values.length * 4);
    values.forEach((value, i) => bytes.writeUInt32BE(value, i * 4));
    return bytes;
  };
  const chunks = [pngChunk("IHDR", header), pngChunk("acTL", numbers(frames.length, 0))];
  let sequence = 0;
  for (const { picture, left = 0, top = 0, disposal = 0, blending = 0 } of frames) {
    const control = numbers(sequence++, picture.width, picture.height, left, top, 0, 0);
    control.set([0, 1, 0, 10, disposal, blending], 20);
    chunks.push(pngChunk("fcTL", control.subarray(0, 26)));
    const raw = { width: picture.width, height: picture.height, channels: 4 as const };
    const { default: sharp } = await import("sharp");
    const png = await sharp(picture.data, { raw }).png({ palette: false }).toBuffer();
    const data = Buffer.concat(
      [...pngChunks(png)].filter(({ type }) => type === "IDAT").map(({ start, end }) => png.subarray(start, end)),
    );
    chunks.push(sequence === 1 ? pngChunk("IDAT", data) : pngChunk("fdAT", Buffer.concat([numbers(sequence++), data])));
  }
  return Buffer.concat([PNG_SIGNATURE, ...chunks, pngChunk("IEND", new Uint8Array())]);
}

Deno.test("an APNG is read frame by frame: places, blending and disposal", async () => {
  const block = (colour: number[]) => paint(20, 20, () => colour);
  const file = await apng([
    { picture: paint(60, 40, () => RED) },
    { picture: block(GREEN), left: 10, top: 10, disposal: 2 },
    { picture: block([0, 0, 255, 128]), left: 30, top: 10, blending: 1, disposal: 1 },
    { picture: block(NOTHING), left: 0, top: 0 },
  ]);
  const { original, file: out } = await runImage(file, {
    format: "webp",
    quality: 100,
    sizes: [{ width: 100, height: 100 }],
  });
  assertEquals([original.format, original.frames], ["png", 4]);
  const { picture, delay } = await framesOf(out);
  assertEquals(delay, [100, 100, 100, 100]);
  const [inGreen, inBlue, inLast] = [[15, 15], [45, 20], [5, 5]];
  const pixel = (frame: number, [x, y]: number[]) => at(picture, x, frame * picture.height + y);
  near(pixel(0, inGreen), RED, 12, "first");
  near(pixel(1, inGreen), GREEN, 12, "placed");
  near(pixel(2, inGreen), RED, 12, "taken back");
  near(pixel(2, inBlue), [110, 15, 143, 255], 14, "drawn over");
  assertEquals(pixel(3, inBlue)[3], 0);
  assertEquals(pixel(3, inLast)[3], 0);
  near(pixel(3, [15, 35]), RED, 12, "what stays");
});

Deno.test("an APNG or WebP of one frame is a still", async () => {
  const one = await apng([{ picture: paint(60, 40, () => RED) }]);
  const webp = await encode(animation([RED]), "webp", 100);
  for (const file of [one, webp]) {
    const { original, pixels } = await runImage(file, { format: "png" });
    assertEquals(original.frames, undefined);
    near(at(pixels, 30, 20), RED, 4, "still");
  }
});

Deno.test("an APNG with a frame outside of the picture, or fewer frames than it says, is refused", async () => {
  const outside = await apng([{ picture: paint(60, 40, () => RED) }, { picture: paint(20, 20, () => RED), left: 50 }]);
  await assertRejects(runImage(outside, { format: "webp" }), /PNG is damaged/);
  const whole = await apng([{ picture: paint(60, 40, () => RED) }, { picture: paint(60, 40, () => GREEN) }]);
  const cut = whole.subarray(0, Buffer.from(whole).lastIndexOf("fdAT") - 40);
  await assertRejects(runImage(cut, { format: "webp" }), /PNG is damaged/);
});

Deno.test({
  name: "GIF frames are composed, and clipped to the screen",
  ignore: !HAS_MAGICK,
  async fn() {
    const base = await encode(paint(60, 40, () => RED), "png", 100);
    const other = await encode(paint(50, 50, () => GREEN), "png", 100);
    const args = ["-delay", "10", "base.png", "-page", "+30+10", "other.png", "-set", "dispose", "none", "out.gif"];
    const file = Buffer.from(await runOn("convert", { "base.png": base, "other.png": other }, args, "out.gif"));
    // ImageMagick makes the screen as large as it takes: a smaller one is what broken programs write.
    file.writeUInt16LE(60, 6);
    file.writeUInt16LE(40, 8);
    const { original, file: out } = await runImage(file, { format: "webp", quality: 100 });
    assertEquals([original.width, original.height, original.frames], [60, 40, 2]);
    const { picture } = await framesOf(out);
    assertEquals([picture.width, picture.height], [60, 40]);
    near(at(picture, 10, 5), RED, 12, "first");
    near(at(picture, 45, 40 + 25), GREEN, 12, "clipped");
    near(at(picture, 10, 40 + 25), RED, 12, "beside it");
    const still = await made(base, ["-colors", "60"], "a.gif");
    assertEquals(
      difference(
        (await runImage(still, { sizes: [{ width: 100, height: 100 }] })).pixels.data as never,
        await seen(still, "a.gif"),
      ) <= 2,
      true,
    );
  },
});
