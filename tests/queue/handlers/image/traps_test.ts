/** Files that once came out wrong without a word, or took what they should not. */

import { Buffer } from "node:buffer";
import { encode } from "../../../../queue/handlers/image/encode.ts";
import { pngChunk, withMetadata } from "../../../../queue/handlers/image/png_chunks.ts";
import { matrixProfile } from "../../../../queue/handlers/image/read/profile.ts";
import { open, type Picture, toPicture } from "../../../../queue/handlers/image/vips.ts";
import { assertEquals, assertMatch, assertRejects, ok } from "../../../support/assert.ts";
import { adobeExif } from "../../../support/images/files.ts";
import { HAS_MAGICK, made } from "../../../support/images/magick.ts";
import { at, near, paint, runImage } from "../../../support/images/run.ts";

const D65 = [0.3127, 0.329] as const;
const P3 = matrixProfile([[0.68, 0.32], [0.265, 0.69], [0.15, 0.06], D65], "srgb");
const LINEAR = matrixProfile([[0.64, 0.33], [0.3, 0.6], [0.15, 0.06], D65], 1);
const RED = [200, 60, 30, 255];
const flat = (colour: number[], size = 40) => paint(size, size, () => colour);
const png = await encode(flat(RED), "png", 100);

/** An uncompressed little-endian TIFF of 8-bit samples, with its tags. */
function tiff(width: number, height: number, samples: number, pixel: number[], more: [tag: number, value: number][]) {
  const data = Buffer.from(Array.from({ length: width * height }, () => pixel).flat());
  const entries: [number, number, number, number][] = [
    [254, 4, 1, 0],
    [256, 4, 1, width],
    [257, 4, 1, height],
    [258, 3, 1, 8],
    [259, 3, 1, 1],
    [262, 3, 1, 2],
    [273, 4, 1, 0],
    [277, 3, 1, samples],
    [278, 4, 1, height],
    [279, 4, 1, data.length],
  ];
  for (const [tag, value] of more) {
    const entry = entries.find((each) => each[0] === tag);
    if (entry) entry[3] = value;
    else entries.push([tag, 4, 1, value]);
  }
  entries.sort((a, b) => a[0] - b[0]);
  const bytes = Buffer.alloc(8 + 2 + entries.length * 12 + 4);
  bytes.write("II*\0\x08", "latin1");
  bytes.writeUInt16LE(entries.length, 8);
  entries.forEach(([tag, type, count, value], i) => {
    const place = 10 + i * 12;
    bytes.writeUInt16LE(tag, place);
    bytes.writeUInt16LE(type, place + 2);
    bytes.writeUInt32LE(count, place + 4);
    bytes.writeUInt32LE(tag === 273 ? bytes.length : value, place + 8);
  });
  return Buffer.concat([bytes, data]);
}

Deno.test("a TIFF with more channels than its kind has is refused, and so is a camera's raw file", async () => {
  await assertRejects(runImage(tiff(20, 20, 5, [...RED, 7], [])), /This TIFF has 5 channels; at most 4/);
  await assertRejects(runImage(tiff(20, 20, 3, [9, 9, 9], [[262, 1]])), /This TIFF has 3 channels; at most 2/);
  for (const tag of [[254, 1], [262, 32_803], [50_706, 1]] as [number, number][]) {
    await assertRejects(runImage(tiff(20, 20, 1, [9], [[262, 1], tag])), /a camera's raw file/);
  }
  near(at((await runImage(tiff(20, 20, 1, [9], [[262, 1]]))).pixels, 9, 9), [9, 9, 9, 255], 0, "grey");
});

Deno.test({
  name: "CMYK of 16 bits is converted like CMYK of 8",
  ignore: !HAS_MAGICK,
  async fn() {
    const both = await Promise.all(["8", "16"].map(async (depth) => {
      const file = await made(png, ["-colorspace", "CMYK", "-depth", depth], "a.tif");
      return at((await runImage(file)).pixels, 9, 9);
    }));
    near(both[0], both[1], 2, "both");
    ok(both[1][0] > both[1][2] + 60, String(both[1]));
  },
});

Deno.test("16-bit pictures of linear light keep their shadows", async () => {
  const { default: sharp } = await import("sharp");
  for (const code of [3, 6, 10, 20, 120]) {
    const light = code / 255 <= 0.04045 ? code / 255 / 12.92 : ((code / 255 + 0.055) / 1.055) ** 2.4;
    const raw = { width: 20, height: 20, channels: 3 as const };
    const samples = new Uint16Array(1_200).fill(Math.round(light * 65_535));
    const file = await sharp(samples, { raw }).toColourspace("rgb16").png().toBuffer();
    for (
      const way of [
        withMetadata(file, { icc: LINEAR }),
        Buffer.concat([file.subarray(0, 33), pngChunk("gAMA", Uint8Array.of(0, 1, 0x86, 0xa0)), file.subarray(33)]),
      ]
    ) near(at((await runImage(way)).pixels, 9, 9), [code, code, code, 255], 1, String(code));
  }
});

const frames = (count: number, size: number, delay = 100): Picture => ({
  data: Buffer.concat(Array.from({ length: count }, (_, i) => flat([i * 40 & 255, 90, 90, 255], size).data)),
  width: size,
  height: size,
  animation: { delays: Array(count).fill(delay), loop: 0 },
});

Deno.test("an animation that is cut off is refused, wherever it is cut", async () => {
  for (const format of ["gif", "webp"] as const) {
    const file = await encode(frames(4, 60), format, 90);
    assertEquals((await runImage(file, { format: "webp" })).original.frames, 4);
    for (const share of [0.5, 0.7, 0.9, 0.97]) {
      const cut = file.slice(0, file.length * share);
      await assertRejects(runImage(cut, { format: "webp" }), { name: "ImageError" }, `${format} at ${share}`);
    }
  }
});

Deno.test("an animation that would be too large once it is scaled is refused before", async () => {
  const file = await encode(frames(100, 4), "gif", 90);
  const job = { format: "webp" as const, fit: "fill" as const, sizes: [{ width: 2_000, height: 2_000 }] };
  await assertRejects(runImage(file, job), /100 frames of 2000×2000 would have more than 40 megapixels/);
});

Deno.test("delays beyond what formats have room for are as long as they can be", async () => {
  const file = Buffer.from(await encode(frames(2, 20, 60_000), "gif", 90));
  const control = file.indexOf(Buffer.of(0x21, 0xf9, 4));
  file.writeUInt16LE(7_000, control + 4);
  const { file: out } = await runImage(file, { format: "webp" });
  assertEquals((await open(out, { animated: true }).metadata()).delay, [65_535, 60_000]);
});

Deno.test("the first count of frames in an APNG is the one that counts", async () => {
  const control = (count: number) => pngChunk("acTL", Uint8Array.of(0, 0, count >> 8, count & 255, 0, 0, 0, 0));
  const lying = Buffer.concat([png.subarray(0, 33), control(2), control(300), png.subarray(33)]);
  await assertRejects(runImage(lying, { format: "webp" }), /PNG is damaged/);
});

Deno.test("what says that it is one kind and is another is not read", async () => {
  const svg =
    `<!--ftypavif--><svg xmlns="http://www.w3.org/2000/svg" width="50" height="40"><rect width="50" height="40"/></svg>`;
  await assertRejects(runImage(Buffer.from(svg)), /This is an SVG/);
  const length = Buffer.from([0, 0, 0, 12]);
  await assertRejects(runImage(Buffer.concat([length, Buffer.from("ftypavif"), png])), { name: "ImageError" });
  const bmp = Buffer.alloc(54 + png.length);
  bmp.write("BM");
  bmp.writeUInt32LE(54, 10);
  bmp.writeUInt32LE(40, 14);
  bmp.writeUInt32LE(5, 30);
  bmp.set(png, 54);
  await assertRejects(runImage(bmp), /BMP has a JPEG or PNG inside/);
  const avis = Buffer.from("\0\0\0\x18ftypavis\0\0\0\0avifmsf1", "latin1");
  await assertRejects(runImage(avis), /animated AVIF/);
});

Deno.test("a GIF keeps no profile: its colours are converted, and a warning says so", async () => {
  const source = withMetadata(await encode(flat([185, 71, 44, 255]), "png", 100), { icc: P3 });
  const { pixels, warnings } = await runImage(source, { format: "gif", keepProfile: true });
  near(at(pixels, 20, 20), RED, 4, "converted");
  assertMatch(warnings.join(), /keep neither metadata nor a colour profile/);
});

Deno.test("EXIF that is kept says what the pixels are: read again, the picture looks the same", async () => {
  const source = withMetadata(await encode(flat([173, 62, 37, 255]), "png", 100), { exif: adobeExif() });
  const jpeg = await open(source).keepExif().jpeg({ quality: 100 }).toBuffer();
  for (const file of [source, jpeg]) {
    let again: Uint8Array = file;
    for (let i = 0; i < 3; i++) {
      const { file: out, pixels } = await runImage(again, { keepMetadata: true, format: "jpeg", quality: 100 });
      near(at(pixels, 20, 20), RED, 5, `time ${i}`);
      again = out;
    }
  }
  // Where the file itself says sRGB, EXIF does not count.
  const marked = Buffer.concat([source.subarray(0, 33), pngChunk("sRGB", Uint8Array.of(0)), source.subarray(33)]);
  near(at((await runImage(marked)).pixels, 20, 20), [173, 62, 37, 255], 1, "sRGB");
});

Deno.test("sharpening does not lighten the rim beside which nothing is", async () => {
  const source = await encode(paint(100, 50, () => [120, 120, 120, 255]), "png", 100);
  const job = { fit: "contain" as const, sharpen: 2, sizes: [{ width: 100, height: 100 }] };
  const { pixels } = await runImage(source, job);
  for (let y = 25; y < 75; y++) near(at(pixels, 50, y), [120, 120, 120, 255], 1, `row ${y}`);
  assertEquals(at(pixels, 50, 10)[3], 0);
});

Deno.test("stray bytes before the end cost nothing where a phone has appended another picture", async () => {
  const source = paint(150, 110, (x, y) => [x, y * 2, x ^ y, 255]);
  const jpeg = await encode(source, "jpeg", 95);
  const { pixels: whole } = await runImage(jpeg);
  const file = Buffer.concat([jpeg.subarray(0, -2), Buffer.of(1, 2, 3, 4), jpeg.subarray(-2), jpeg]);
  const { pixels } = await runImage(file);
  near([...pixels.data], [...whole.data], 2, "whole");
});

Deno.test("of a TIFF with several pages the first is used, and it is told", async () => {
  const two = { ...frames(2, 20), animation: null, height: 40 };
  const raw = { width: 20, height: 40, channels: 4 as const, pageHeight: 20 };
  const { default: sharp } = await import("sharp");
  const file = await sharp(two.data, { raw }).tiff({ compression: "lzw" }).toBuffer();
  assertEquals((await open(file).metadata()).pages, 2);
  assertMatch((await runImage(file)).warnings.join(), /The TIFF has 2 pages; the first one was used/);
});

Deno.test("what is converted twice is converted once", async () => {
  const p16 = await open(await encode(flat([185, 71, 44, 255]), "png", 100)).toColourspace("rgb16").png().toBuffer();
  const { data } = await toPicture(open((await runImage(withMetadata(p16, { icc: P3 }))).file));
  near([...data.subarray(0, 4)], RED, 2, "16 bits");
});
