import { ssim } from "ssim.js";
import { deflateSync } from "node:zlib";
import { encode } from "../../../../queue/handlers/image/encode.ts";
import { coveredArea, FITS, fittedSize, type Place } from "../../../../queue/handlers/image/fit.ts";
import { OUTPUT_FORMATS } from "../../../../queue/handlers/image/formats.ts";
import { resize } from "../../../../queue/handlers/image/scale.ts";
import { open } from "../../../../queue/handlers/image/vips.ts";
import { assertEquals, assertRejects, ok } from "../../../support/assert.ts";
import { png, pngHeader, tiffOf } from "../../../support/images/files.ts";
import { pngChunk } from "../../../../queue/handlers/image/png_chunks.ts";
import { lanczos3 } from "../../../support/images/resize.ts";
import { at, near, paint, pixelsOf, runImage as run } from "../../../support/images/run.ts";

const ascii = (text: string) => new TextEncoder().encode(text);
const grey = (value: number) => [value, value, value, 255];

Deno.test("a checkerboard of single pixels shrinks to even grey, at odd factors too", async () => {
  const board = paint(1_000, 1_000, (x, y) => grey((x + y) % 2 * 255));
  for (const [width, height] of [[500, 500], [100, 100], [250, 125], [333, 333]]) {
    const small = await resize(board, { width, height });
    // Half the light of white is 188, by the transfer function of sRGB (IEC 61966-2-1). The rim sees less.
    for (let i = 0; i < width * height; i++) {
      const [x, y] = [i % width, Math.floor(i / width)];
      if (x < 3 || y < 3 || x >= width - 3 || y >= height - 3) continue;
      if (Math.abs(at(small, x, y)[0] - 188) > 2) {
        near(at(small, x, y), grey(188), 2, `${width}×${height} at ${x},${y}`);
      }
    }
  }
});

Deno.test("a zone plate shrinks without moiré: as a Lanczos reference does, by SSIM", async () => {
  const wave = (x: number, y: number) => Math.cos((x * x + y * y) * Math.PI / 1_600);
  const plate = paint(800, 800, (x, y) => grey(Math.round(127.5 + 127.5 * wave(x, y))));
  for (const size of [400, 300, 200, 160]) {
    const small = await pixelsOf(await encode(await resize(plate, { width: size, height: size }), "png", 100));
    const { mssim } = ssim(small, lanczos3(await pixelsOf(await encode(plate, "png", 100)), size, size), {
      downsample: false,
    });
    ok(mssim >= 0.99, `to ${size}: ${mssim}`);
  }
});

Deno.test("transparent pixels do not bleed their colour into the others", async () => {
  const half = paint(200, 200, (x) => x % 2 === 0 ? [255, 0, 0, 255] : [0, 255, 0, 0]);
  near(at(await resize(half, { width: 50, height: 50 }), 25, 25), [255, 0, 0, 128], 4, "half red, half nothing");
});

for (const fit of FITS) {
  for (const format of OUTPUT_FORMATS) {
    Deno.test(`${fit} to ${format}: the size is right, and so are the colours at the corners`, async () => {
      const colour = (left: boolean, top: boolean) => [left ? 220 : 30, top ? 200 : 40, 90, 255];
      const source = await encode(paint(300, 200, (x, y) => colour(x < 150, y < 100)), "png", 100);
      const { original, files: [resized], pixels } = await run(source, { fit, format });
      assertEquals([original.width, original.height, original.format], [300, 200, "png"]);
      const height = fit === "inside" ? 67 : 100;
      assertEquals([resized.width, resized.height, pixels.width, pixels.height], [100, height, 100, height]);
      const top = fit === "contain" ? 20 : 3;
      for (const [x, y] of [[3, top], [96, top], [3, height - 1 - top], [96, height - 1 - top]]) {
        near(at(pixels, x, y), colour(x < 50, y < 50), 8, `${x},${y}`);
      }
      // What is beside the picture: nothing where there is alpha, else white.
      if (fit === "contain") assertEquals(at(pixels, 50, 2), format === "jpeg" ? grey(255) : [0, 0, 0, 0]);
    });
  }
}

Deno.test("a background stands behind what is transparent", async () => {
  const source = await encode(paint(100, 100, (x) => x < 50 ? [255, 0, 0, 0] : [0, 0, 255, 128]), "png", 100);
  const { pixels } = await run(source, { background: "#00ff00" });
  assertEquals(at(pixels, 10, 50), [0, 255, 0, 255]);
  near(at(pixels, 90, 50), [0, 127, 128, 255], 2, "half blue");
});

Deno.test("quality tells in the size", async () => {
  const sizeAt = async (quality: number) => (await run(null, { format: "jpeg", quality })).file.length;
  ok(await sizeAt(30) * 2 < await sizeAt(95));
});

/** EXIF with one tag: the orientation. */
function exifOf(orientation: number): Uint8Array {
  return Uint8Array.of(0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 1, 18, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0);
}

/** Where the pixel that is at x, y of the upright picture of 120 by 80 is stored. */
const STORED: Record<number, (x: number, y: number) => [number, number]> = {
  1: (x, y) => [x, y],
  2: (x, y) => [119 - x, y],
  3: (x, y) => [119 - x, 79 - y],
  4: (x, y) => [x, 79 - y],
  5: (x, y) => [y, x],
  6: (x, y) => [y, 119 - x],
  7: (x, y) => [79 - y, 119 - x],
  8: (x, y) => [79 - y, x],
};

for (const [format, orientations] of [["jpeg", [1, 2, 3, 4, 5, 6, 7, 8]], ["png", [6]], ["webp", [3, 8]]] as const) {
  for (const orientation of orientations) {
    Deno.test(`a ${format} with EXIF orientation ${orientation} comes out upright`, async () => {
      const colour = (x: number, y: number) =>
        y >= 40 ? [20, 20, 230, 255] : x < 60 ? [230, 20, 20, 255] : [20, 230, 20, 255];
      const [width, height] = orientation >= 5 ? [80, 120] : [120, 80];
      const stored = new Map<string, number[]>();
      for (let i = 0; i < 120 * 80; i++) {
        const [x, y] = [i % 120, Math.floor(i / 120)];
        stored.set(String(STORED[orientation](x, y)), colour(x, y));
      }
      const plain = await encode(paint(width, height, (x, y) => stored.get(`${x},${y}`)!), format, 100);
      const source = new Uint8Array(
        await open(plain).withMetadata({ orientation }).toFormat(format, {
          quality: 100,
          lossless: format === "webp",
        }).toBuffer(),
      );
      assertEquals((await open(source).metadata()).orientation, orientation);
      const { original, files: [resized], pixels, file } = await run(source, {
        sizes: [{ width: 120, height: 80 }],
        keepMetadata: true,
        format,
      });
      assertEquals([original.width, original.height, resized.width, resized.height], [120, 80, 120, 80]);
      for (const [x, y] of [[10, 10], [110, 10], [10, 70], [110, 70]]) {
        near(at(pixels, x, y), colour(x, y), 12, `${x},${y}`);
      }
      // What is kept does not turn it again.
      assertEquals((await open(file).metadata()).orientation, 1);
    });
  }
}

Deno.test("EXIF is left out unless it is to be kept, in each format", async () => {
  const plain = open(await encode(paint(50, 50, () => grey(100)), "png", 90));
  const source = new Uint8Array(await plain.withExif({ IFD0: { Artist: "Ada" } }).jpeg().toBuffer());
  for (const format of OUTPUT_FORMATS) {
    for (const keepMetadata of [false, true]) {
      const { file, pixels } = await run(source, { keepMetadata, format });
      const { exif } = await open(file).metadata();
      // GIF has no room for it.
      assertEquals(exif?.includes("Ada") ?? false, keepMetadata && format !== "gif");
      near(at(pixels, 25, 25), grey(100), 2, format);
    }
  }
});

Deno.test("damaged EXIF does not keep a picture from being read", async () => {
  const plain = await encode(paint(50, 50, () => grey(100)), "png", 90);
  for (const exif of [exifOf(6).slice(0, 15), new Uint8Array(3), new Uint8Array(40).fill(255)]) {
    const chunk = pngChunk("eXIf", exif);
    const source = new Uint8Array([...plain.subarray(0, 33), ...chunk, ...plain.subarray(33)]);
    assertEquals((await run(source, { keepMetadata: true })).files[0].width, 50);
  }
});

Deno.test("what is half transparent stays as it is, whatever the fit", async () => {
  const source = await encode(paint(200, 100, () => [240, 10, 20, 128]), "png", 100);
  for (const fit of FITS) near(at((await run(source, { fit })).pixels, 50, 25), [240, 10, 20, 128], 2, fit);
});

// Every kind of PNG that there is, each of pixels that are known.
for (
  const [kind, depths, channels] of [
    [0, [1, 2, 4, 8, 16], 1],
    [2, [8, 16], 3],
    [3, [1, 2, 4, 8], 1],
    [4, [8, 16], 2],
    [6, [8, 16], 4],
  ] as [number, number[], number][]
) {
  for (const depth of depths) {
    Deno.test(`a PNG of colour type ${kind} with ${depth} bits is read to the pixel`, async () => {
      const most = 2 ** depth - 1;
      const sample = (x: number, y: number, c: number) => Math.floor((x * (c + 1) + y * 3) % 32 / 31 * most);
      const palette = Array.from({ length: 2 ** Math.min(depth, 8) }, (_, i) => [i, 255 - i, i * 7 & 255]);
      const { pixels } = await run(png({
        width: 32,
        height: 32,
        depth,
        kind,
        palette: kind === 3 ? palette.flat() : undefined,
        samples: (y) =>
          Array.from({ length: 32 * channels }, (_, i) => sample(Math.floor(i / channels), y, i % channels)),
      }));
      assertEquals([pixels.width, pixels.height], [32, 32]);
      for (let i = 0; i < 32 * 32; i++) {
        const [x, y] = [i % 32, Math.floor(i / 32)];
        const eight = (c: number) => Math.round(sample(x, y, c) / most * 255);
        const wanted = ({
          0: () => [eight(0), eight(0), eight(0), 255],
          2: () => [eight(0), eight(1), eight(2), 255],
          3: () => [...palette[sample(x, y, 0)], 255],
          4: () => [eight(0), eight(0), eight(0), eight(1)],
          6: () => [eight(0), eight(1), eight(2), eight(3)],
        } as Record<number, () => number[]>)[kind]();
        near(at(pixels, x, y), wanted, 1, `${x},${y}`);
      }
    });
  }
}

const photo = await encode(paint(200, 150, (x, y) => [x, y, x * y & 255, 255]), "jpeg", 90);
const bomb = new Uint8Array([...pngHeader(100, 100), ...pngChunk("IDAT", deflateSync(new Uint8Array(200_000_000)))]);

Deno.test("of a small PNG that unpacks to 200 MB, only the picture is unpacked", async () => {
  assertEquals(at((await run(bomb)).pixels, 99, 99), [0, 0, 0, 255]);
});

for (
  const [what, file, complaint] of [
    ["a PNG header of 30,000 by 30,000", pngHeader(30_000, 30_000), /is 30000×30000; the limit is 40 megapixels/],
    ["a JPEG that is cut short in its header", photo.slice(0, 100), /damaged, truncated/],
    ["a JPEG that is cut short in its picture", photo.slice(0, photo.length / 2), /damaged, truncated/],
    ["a text in a file named .png", ascii("just a text"), /no picture. PNG, JPEG, GIF, WebP/],
    ["no bytes at all", new Uint8Array(), /no picture/],
    [
      "a JPEG that lacks half of its picture but has an end",
      Uint8Array.of(...photo.slice(0, photo.length / 2), 0xff, 0xd9),
      /damaged, truncated/,
    ],
    ["a PNG of no width", pngHeader(0, 10), /has no pixels/],
    ["a PNG that ends after its header", pngHeader(50, 50), /damaged, truncated/],
    ["a WebP that ends at once", ascii("RIFF\x10\0\0\0WEBPVP8 "), /damaged, truncated/],
    ["a TIFF whose directory is nowhere", Uint8Array.of(73, 73, 42, 0, 255, 255, 0, 0), /damaged, truncated/],
    ["a TIFF that ends in its picture", tiffOf(50, 50, [1, 2, 3]).slice(0, 2_000), /damaged, truncated/],
  ] as [string, Uint8Array, RegExp][]
) {
  Deno.test(`refused with its reason: ${what}`, async () => {
    await assertRejects(run(file), complaint);
    // The libraries go on after it.
    assertEquals((await run(photo)).files[0].width, 100);
  });
}

Deno.test("the four fits give their sizes", () => {
  const image = { width: 400, height: 200 };
  const target = { width: 100, height: 100 };
  assertEquals(fittedSize(image, target, "fill"), target);
  assertEquals(fittedSize(image, target, "cover"), target);
  assertEquals(coveredArea(image, target), { left: 100, top: 0, width: 200, height: 200 });
  const wide = { left: 19_993, top: 0, width: 13, height: 10 };
  assertEquals(coveredArea({ width: 40_000, height: 10 }, { width: 800, height: 600 }), wide);
  assertEquals(fittedSize(image, target, "contain"), { width: 100, height: 50 });
  assertEquals(fittedSize({ width: 40, height: 20 }, target, "inside"), { width: 40, height: 20 });
  assertEquals(fittedSize({ width: 40, height: 20 }, target, "contain"), { width: 100, height: 50 });
  const place = (name: Place) => coveredArea(image, target, name);
  assertEquals(place("left"), { left: 0, top: 0, width: 200, height: 200 });
  assertEquals(place("bottom-right"), { left: 200, top: 0, width: 200, height: 200 });
  assertEquals(coveredArea({ width: 100, height: 300 }, target, "bottom").top, 200);
});
