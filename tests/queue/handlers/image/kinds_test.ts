/** Files of all kinds, held against what ImageMagick reads. */

import { Buffer } from "node:buffer";
import { decode, type DecodeOptions } from "../../../../queue/handlers/image/read/decode.ts";
import { encode } from "../../../../queue/handlers/image/encode.ts";
import { assertEquals, assertMatch, assertRejects, ok } from "../../../support/assert.ts";
import { pngHeader, tiffOf } from "../../../support/images/files.ts";
import { pngChunk } from "../../../../queue/handlers/image/png_chunks.ts";
import { difference, HAS_MAGICK, made, seen } from "../../../support/images/magick.ts";
import { paint, runImage } from "../../../support/images/run.ts";

const OPTIONS: DecodeOptions = {
  maxPixels: 40_000_000,
  animation: "first",
  keepProfile: false,
  reduction: () => 1,
};

const wave = (x: number, by: number) => Math.round(127.5 + 127.5 * Math.sin(x / by));
const opaque = paint(150, 110, (x, y) => [wave(x, 17), wave(y, 11), wave(x + 2 * y, 29), 255]);
const photo = await encode(opaque, "png", 100);
const clear = await encode(
  paint(150, 110, (x, y) => [wave(x, 17), wave(y, 11), wave(x + y, 29), y < 10 ? 0 : wave(x, 40)]),
  "png",
  100,
);

const TILES = ["-define", "tiff:tile-geometry=64x64"];
const PREDICTOR = ["-define", "tiff:predictor=2"];
const BILEVEL = ["-threshold", "50%", "-type", "bilevel"];
const PALETTE = ["-colors", "60", "-type", "palette"];
const PLANES = ["-interlace", "plane"];

/** What is made how, of the opaque picture or the one with alpha. */
const FILES: [name: string, args: string[], file: string, source?: Uint8Array][] = [
  ...["none", "lzw", "zip", "rle", "jpeg"].flatMap((compression): [string, string[], string][] => [
    [`TIFF, strips, ${compression}`, ["-compress", compression], "a.tif"],
    [`TIFF, tiles, ${compression}`, [...TILES, "-compress", compression], "a.tif"],
    [`TIFF, strips of planes, ${compression}`, [...PLANES, "-compress", compression], "a.tif"],
    [`TIFF, tiles of planes, ${compression}`, [...TILES, ...PLANES, "-compress", compression], "a.tif"],
  ]),
  ...["lzw", "zip"].flatMap((compression): [string, string[], string][] => [
    [`TIFF, tiles, predictor, ${compression}`, [...TILES, ...PREDICTOR, "-compress", compression], "a.tif"],
    [`TIFF, grey tiles, predictor, ${compression}`, [
      "-colorspace",
      "gray",
      ...TILES,
      ...PREDICTOR,
      "-compress",
      compression,
    ], "a.tif"],
    [`TIFF, 16 bits, predictor, ${compression}`, ["-depth", "16", ...PREDICTOR, "-compress", compression], "a.tif"],
  ]),
  ["TIFF, Group 4", [...BILEVEL, "-compress", "group4"], "a.tif"],
  ["TIFF, Group 3", [...BILEVEL, "-compress", "fax"], "a.tif"],
  ["TIFF, lowest bit first", [...BILEVEL, "-define", "tiff:fill-order=lsb", "-compress", "none"], "a.tif"],
  ["TIFF, white is zero", [...BILEVEL, "-define", "quantum:polarity=min-is-white", "-compress", "none"], "a.tif"],
  ["TIFF, 12 bits", ["-depth", "12"], "a.tif"],
  ["TIFF, floating point", ["-depth", "32", "-define", "quantum:format=floating-point"], "a.tif"],
  ["TIFF, YCbCr", ["-colorspace", "YCbCr", "-compress", "none"], "a.tif"],
  ["TIFF, palette", PALETTE, "a.tif"],
  ["TIFF, palette of 16", ["-colors", "16", "-type", "palette", "-depth", "4"], "a.tif"],
  ["TIFF, big endian", ["-endian", "msb"], "a.tif"],
  ["BigTIFF", [], "TIFF64:a.tif"],
  ["TIFF, alpha", [], "a.tif", clear],
  ["TIFF, grey and alpha", ["-colorspace", "gray"], "a.tif", clear],
  ["BMP, 24 bits", [], "a.bmp"],
  ["BMP, 24 bits of Windows 3", [], "BMP3:a.bmp"],
  ["BMP, 24 bits of OS/2", [], "BMP2:a.bmp"],
  ["BMP, alpha", [], "a.bmp", clear],
  ["BMP, 8 bits", PALETTE, "BMP3:a.bmp"],
  ["BMP, run lengths", [...PALETTE, "-compress", "rle"], "BMP3:a.bmp"],
  ["BMP, 4 bits", ["-colors", "16", "-type", "palette"], "BMP3:a.bmp"],
  ["BMP, 1 bit", BILEVEL, "BMP3:a.bmp"],
  ["BMP, 5-6-5", ["-define", "bmp:subtype=RGB565"], "a.bmp"],
  ["BMP, 5-5-5", ["-define", "bmp:subtype=RGB555"], "a.bmp"],
  ["BMP, 4-4-4-4", ["-define", "bmp:subtype=ARGB4444"], "a.bmp", clear],
  ["JPEG, 4:4:4", ["-sampling-factor", "1x1"], "a.jpg"],
  ["JPEG, 4:2:0", ["-sampling-factor", "4:2:0"], "a.jpg"],
  ["JPEG, 4:1:1", ["-sampling-factor", "4x1"], "a.jpg"],
  ["JPEG, progressive", ["-interlace", "plane"], "a.jpg"],
  ["JPEG, grey", ["-colorspace", "gray"], "a.jpg"],
  ["JPEG, RGB", ["-colorspace", "RGB", "-set", "colorspace", "sRGB", "-sampling-factor", "1x1"], "a.jpg"],
  ["PNG, interlaced", ["-interlace", "plane"], "a.png"],
  ["PNG, 16 bits with alpha", ["-depth", "16"], "PNG64:a.png", clear],
  ["PNG, palette with alpha", ["-colors", "60"], "PNG8:a.png", clear],
  ["GIF", ["-colors", "60"], "a.gif"],
  ["GIF, transparent", [], "a.gif", clear],
  ["GIF, interlaced", ["-interlace", "plane"], "a.gif"],
  ["WebP", [], "a.webp"],
  ["WebP, alpha", [], "a.webp", clear],
  ["WebP, lossless", ["-define", "webp:lossless=true"], "a.webp", clear],
];

for (const [what, args, name, source] of FILES) {
  Deno.test({
    name: `read to the pixel: ${what}`,
    ignore: !HAS_MAGICK,
    async fn() {
      const file = await made(source ?? photo, args, name);
      const { picture, size, warnings } = await decode(file, OPTIONS);
      const turned = what === "JPEG, turned";
      assertEquals(
        [size.width, size.height, picture.width, picture.height],
        [0, 1, 0, 1].map((i) => [150, 110].at(turned ? 1 - i : i)!),
      );
      assertEquals(warnings, []);
      const most = difference(picture.data, await seen(file, name.replace(/^\w+:/, "")));
      ok(most <= 2, `differs by ${most}`);
    },
  });
}

Deno.test({
  name: "AVIF and HEIC are read: as other decoders read them",
  ignore: !HAS_MAGICK,
  async fn() {
    for (const name of ["a.avif", "a.heic"]) {
      const file = await made(photo, ["-quality", "100"], name);
      const { picture, kind } = await decode(file, OPTIONS);
      assertEquals(kind, name.slice(2));
      // Colours are stored for a quarter of the pixels: decoders fill in the others in different ways.
      const most = difference(picture.data, await seen(file, name));
      ok(most <= 8, `${name} differs by ${most}`);
    }
  },
});

Deno.test("stray bytes in a JPEG cost nothing, and are told", async () => {
  const file = await encode(opaque, "jpeg", 95);
  const { picture } = await decode(file, OPTIONS);
  const before = Buffer.from([...file.subarray(0, -2), 1, 2, 3, 4, ...file.subarray(-2)]);
  const between = Buffer.from([...file.subarray(0, 20), 0, 0, 0, ...file.subarray(20)]);
  for (const stray of [before, between]) {
    const decoded = await decode(stray, OPTIONS);
    ok(difference(decoded.picture.data, picture.data) <= 2);
    assertMatch(decoded.warnings.join(), /bytes that belong to nothing/);
  }
});

const SVG = `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>`;
const ascii = (text: string) => new TextEncoder().encode(text);
const cgbi = Buffer.concat([
  pngHeader(1, 1).subarray(0, 8),
  pngChunk("CgBI", new Uint8Array(4)),
  pngHeader(50, 50).subarray(8),
]);

for (
  const [what, file, complaint] of [
    ["an SVG", ascii(SVG), /This is an SVG, a drawing/],
    ["a PNG for iOS", cgbi, /changed for iOS \(CgBI\)/],
    ["a PDF", ascii("%PDF-1.7\n1 0 obj"), /PDF \(application\/pdf\)/],
    ["a ZIP", Uint8Array.of(0x50, 0x4b, 3, 4, ...Array(30).fill(0)), /ZIP/],
    ["a PSD", ascii("8BPS\0\x01\0\0\0\0\0\0\0\x03"), /PSD/],
    ["a JPEG XL", Uint8Array.of(0xff, 0x0a, ...Array(30).fill(0)), /JXL/],
    ["a text", ascii("Some words of a text"), /no picture/],
    ["a TIFF that ends in its directory", tiffOf(9, 9, [1, 2, 3]).slice(0, 60), /TIFF is damaged/],
  ] as [string, Uint8Array, RegExp][]
) {
  Deno.test(`refused by name: ${what}`, async () => {
    await assertRejects(runImage(file), complaint);
  });
}
