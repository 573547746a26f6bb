/** Colour spaces: what comes out looks right everywhere. */

import { Buffer } from "node:buffer";
import { encode } from "../../../../queue/handlers/image/encode.ts";
import { pngChunk, withMetadata } from "../../../../queue/handlers/image/png_chunks.ts";
import { matrixProfile } from "../../../../queue/handlers/image/read/profile.ts";
import { open } from "../../../../queue/handlers/image/vips.ts";
import { assertEquals, assertMatch, assertRejects, ok } from "../../../support/assert.ts";
import { adobeExif } from "../../../support/images/files.ts";
import { HAS_MAGICK, made } from "../../../support/images/magick.ts";
import { at, near, paint, runImage } from "../../../support/images/run.ts";

const D65 = [0.3127, 0.329] as const;
const P3 = matrixProfile([[0.68, 0.32], [0.265, 0.69], [0.15, 0.06], D65], "srgb");
const ADOBE = matrixProfile([[0.64, 0.33], [0.21, 0.71], [0.15, 0.06], D65], 563 / 256);
const LINEAR = matrixProfile([[0.64, 0.33], [0.3, 0.6], [0.15, 0.06], D65], 1);
const SRGB = matrixProfile([[0.64, 0.33], [0.3, 0.6], [0.15, 0.06], D65], "srgb");

/** The same colour, in codes of each space: worked out by hand from the primaries and curves (CSS Color 4, 10.7). */
const COLOUR = { srgb: [200, 60, 30], p3: [185, 71, 44], adobe: [173, 62, 37], linear: [147, 12, 3] };

const plain = async (colour: number[], format: "png" | "jpeg" | "webp" = "png") =>
  await encode(paint(40, 40, () => [...colour, 255]), format, 100);
const named = (profile: Uint8Array, name: string) => {
  const text = Buffer.alloc(name.length * 2);
  for (let i = 0; i < name.length; i++) text.writeUInt16BE(name.charCodeAt(i), i * 2);
  // The description goes to the end; the tag points to it.
  const block = Buffer.concat([Buffer.from("mluc\0\0\0\0\0\0\0\x01\0\0\0\x0cenUS", "latin1"), Buffer.alloc(8), text]);
  block.writeUInt32BE(text.length, 20);
  block.writeUInt32BE(28, 24);
  const padded = Buffer.concat([profile, block, Buffer.alloc(-block.length & 3)]);
  padded.writeUInt32BE(padded.length, 0);
  padded.writeUInt32BE(profile.length, 128 + 4 + 4);
  padded.writeUInt32BE(block.length, 128 + 4 + 8);
  return padded;
};

for (
  const [what, profile, codes] of [
    ["Display P3", P3, COLOUR.p3],
    ["Display P3 Gamut with sRGB Transfer", named(P3, "Display P3 Gamut with sRGB Transfer"), COLOUR.p3],
    ["DCI-P3 D65 Gamut with sRGB Transfer", named(P3, "DCI-P3 D65 Gamut with sRGB Transfer"), COLOUR.p3],
    ["GIMP built-in Linear sRGB", named(LINEAR, "GIMP built-in Linear sRGB"), COLOUR.linear],
    ["Adobe RGB", ADOBE, COLOUR.adobe],
    ["sRGB", SRGB, COLOUR.srgb],
  ] as [string, Uint8Array, number[]][]
) {
  Deno.test(`a profile is judged by its primaries and curve: ${what}`, async () => {
    const file = withMetadata(await plain(codes), { icc: profile });
    for (const format of ["png", "webp", "jpeg", "avif"] as const) {
      const { file: out, pixels, warnings } = await runImage(file, { format, quality: 100 });
      near(at(pixels, 20, 20), COLOUR.srgb, 3, format);
      assertEquals([(await open(out).metadata()).icc, warnings], [undefined, []]);
    }
    // Kept, the codes stay and the profile is there.
    for (const format of ["png", "webp", "jpeg", "avif"] as const) {
      const { file: out, pixels } = await runImage(file, { keepProfile: true, format, quality: 100 });
      near(at(pixels, 20, 20), codes, 3, `${format}, kept`);
      assertEquals((await open(out).metadata()).icc?.length, profile.length);
    }
  });
}

Deno.test("16-bit pictures are converted like others", async () => {
  const file = await open(await plain(COLOUR.p3)).toColourspace("rgb16").png().toBuffer();
  assertEquals((await open(file).metadata()).depth, "ushort");
  near(at((await runImage(withMetadata(file, { icc: P3 }))).pixels, 20, 20), COLOUR.srgb, 3, "16 bits");
});

Deno.test("a profile that cannot be used is told", async () => {
  const png = await plain(COLOUR.srgb);
  const broken = Buffer.from(P3).fill(7, 36, 300);
  const webp = await open(withMetadata(png, { icc: P3 }), { ignoreIcc: true }).keepIccProfile()
    .webp({ lossless: true }).toBuffer();
  const profile = webp.indexOf("ICCP") + 8;
  webp.fill(7, profile + 36, profile + 300);
  for (const file of [withMetadata(png, { icc: broken }), webp]) {
    const { pixels, warnings } = await runImage(file);
    near(at(pixels, 20, 20), COLOUR.srgb, 2, "as sRGB");
    assertMatch(warnings.join(), /profile cannot be used/);
  }
});

/** A PNG with more chunks after its header. */
const withChunk = (png: Uint8Array, type: string, data: number[]) =>
  Buffer.concat([png.subarray(0, 33), pngChunk(type, Uint8Array.from(data)), png.subarray(33)]);
const uint32 = (value: number) => [value >>> 24, value >> 16 & 255, value >> 8 & 255, value & 255];

Deno.test("the chunk cICP of a PNG tells its colours", async () => {
  near(
    at((await runImage(withChunk(await plain(COLOUR.p3), "cICP", [12, 13, 0, 1]))).pixels, 9, 9),
    COLOUR.srgb,
    3,
    "P3",
  );
  const srgb = await runImage(withChunk(await plain(COLOUR.srgb), "cICP", [1, 13, 0, 1]));
  assertEquals(at(srgb.pixels, 9, 9).slice(0, 3), COLOUR.srgb);
  await assertRejects(runImage(withChunk(await plain(COLOUR.srgb), "cICP", [9, 16, 0, 1])), /is HDR \(PQ\)/);
  await assertRejects(runImage(withChunk(await plain(COLOUR.srgb), "cICP", [9, 18, 0, 1])), /is HDR \(HLG\)/);
});

Deno.test("so do gAMA and cHRM, unless there is a profile or sRGB", async () => {
  const gamma = withChunk(await plain(COLOUR.linear), "gAMA", uint32(100_000));
  near(at((await runImage(gamma)).pixels, 9, 9), COLOUR.srgb, 4, "linear");
  const usual = withChunk(await plain(COLOUR.srgb), "gAMA", uint32(45_455));
  assertEquals(at((await runImage(usual)).pixels, 9, 9).slice(0, 3), COLOUR.srgb);
  const marked = withChunk(gamma, "sRGB", [0]);
  assertEquals(at((await runImage(marked)).pixels, 9, 9).slice(0, 3), COLOUR.linear);
  const points = [31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000].flatMap(uint32);
  near(at((await runImage(withChunk(await plain(COLOUR.p3), "cHRM", points))).pixels, 9, 9), COLOUR.srgb, 3, "P3");
});

Deno.test("Adobe RGB that EXIF alone tells is heard", async () => {
  const png = withMetadata(await plain(COLOUR.adobe), { exif: adobeExif() });
  for (const format of ["jpeg", "webp"] as const) {
    const file = await open(png).keepExif().toFormat(format, { quality: 100 }).toBuffer();
    near(at((await runImage(file)).pixels, 9, 9), COLOUR.srgb, 4, format);
    const { file: out } = await runImage(file, { keepProfile: true });
    ok((await open(out).metadata()).icc);
  }
});

const CMYK = "/usr/share/color/icc/ghostscript/default_cmyk.icc";
const SRGB_FILE = "/usr/share/color/icc/ghostscript/srgb.icc";
const hasCmyk = await Deno.stat(CMYK).then(() => true, () => false);
if (!hasCmyk) console.warn("Skipped for want of ghostscript's profiles: CMYK with a profile.");

Deno.test({
  name: "CMYK and YCCK become sRGB by their profile, and without one",
  ignore: !HAS_MAGICK,
  async fn() {
    const source = await plain(COLOUR.srgb);
    for (const name of ["a.jpg", "a.tif"]) {
      // Without a profile CMYK has no exact meaning; a dull red is a dull red.
      const bare = await made(source, ["-colorspace", "CMYK", "-quality", "98"], name);
      near(at((await runImage(bare)).pixels, 9, 9), COLOUR.srgb, 60, name);
      if (!hasCmyk) continue;
      const file = await made(source, ["-profile", SRGB_FILE, "-profile", CMYK, "-quality", "98"], name);
      // By littlecms (Pillow 13, perceptual intent): this red has no exact place in CMYK.
      near(at((await runImage(file)).pixels, 9, 9), [197, 56, 46], 3, `${name} with profile`);
    }
  },
});

Deno.test({
  name: "an AVIF tells its colours by code points",
  ignore: !HAS_MAGICK,
  async fn() {
    const file = Buffer.from(await made(await plain(COLOUR.p3), ["-quality", "100"], "a.avif"));
    const box = file.indexOf("colrnclx", 0, "latin1");
    ok(box > 0);
    file.writeUInt16BE(12, box + 8);
    file.writeUInt16BE(13, box + 10);
    near(at((await runImage(file)).pixels, 9, 9), COLOUR.srgb, 5, "P3");
    file.writeUInt16BE(16, box + 10);
    await assertRejects(runImage(file), /is HDR/);
  },
});
