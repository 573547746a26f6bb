import { Frame, GIF, Image } from "imagescript";
import { deflateSync } from "node:zlib";
import { ssim } from "ssim.js";
import { decode, encode, OUTPUT_FORMATS, type Pixels, resize } from "../../../../queue/handlers/image/codecs.ts";
import { coveredArea, FITS, fittedSize } from "../../../../queue/handlers/image/fit.ts";
import { formatOf, readHeader } from "../../../../queue/handlers/image/header.ts";
import { readMetadata, writeMetadata } from "../../../../queue/handlers/image/metadata.ts";
import { type ImageJob, type ImageOutput, work } from "../../../../queue/handlers/image/worker.ts";
import { assertEquals, assertRejects, ok } from "../../../support/assert.ts";
import { IMAGE_JOB, png, pngChunk, pngHeader, tiffOf } from "../../../support/pictures.ts";
import { lanczos3 } from "../../../support/resize.ts";

async function run(source: Uint8Array | null, job: Partial<ImageJob> = {}): Promise<ImageOutput & { pixels: Pixels }> {
  const { value } = await work({
    ...IMAGE_JOB,
    source: source && new Uint8Array(source).buffer,
    ...job,
  });
  const file = new Uint8Array(value.file.slice(0));
  return { ...value, pixels: await decode(file, formatOf(file)!) };
}

function paint(width: number, height: number, colour: (x: number, y: number) => number[]): Pixels {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let i = 0; i < width * height; i++) data.set(colour(i % width, Math.floor(i / width)), i * 4);
  return { data, width, height };
}

function at({ data, width }: Pixels, x: number, y: number): number[] {
  return [...data.subarray((y * width + x) * 4, (y * width + x) * 4 + 4)];
}

function near(found: number[], wanted: number[], by: number, what: string): void {
  ok(wanted.every((value, i) => Math.abs(value - found[i]) <= by), `${what}: ${found} instead of ${wanted}`);
}

const ascii = (text: string) => new TextEncoder().encode(text);
const grey = (value: number) => [value, value, value, 255];

Deno.test("a checkerboard of single pixels shrinks to even grey, at odd factors too", async () => {
  const board = paint(1_000, 1_000, (x, y) => grey((x + y) % 2 * 255));
  for (const [width, height] of [[500, 500], [100, 100], [250, 125], [333, 333]]) {
    const small = await resize(board, width, height);
    // Half the light of white is 188, by the transfer function of sRGB (IEC 61966-2-1). The rim sees less.
    for (let i = 0; i < width * height; i++) {
      const [x, y] = [i % width, Math.floor(i / width)];
      if (x < 3 || y < 3 || x >= width - 3 || y >= height - 3) continue;
      if (Math.abs(small.data[i * 4] - 188) > 2) near(at(small, x, y), grey(188), 2, `${width}×${height} at ${x},${y}`);
    }
  }
});

Deno.test("a zone plate shrinks without moiré: as a Lanczos reference does, by SSIM", async () => {
  const wave = (x: number, y: number) => Math.cos((x * x + y * y) * Math.PI / 1_600);
  const plate = paint(800, 800, (x, y) => grey(Math.round(127.5 + 127.5 * wave(x, y))));
  for (const size of [400, 300, 200, 160]) {
    const { mssim } = ssim(await resize(plate, size, size), lanczos3(plate, size, size), { downsample: false });
    ok(mssim >= 0.99, `to ${size}: ${mssim}`);
  }
});

Deno.test("transparent pixels do not bleed their colour into the others", async () => {
  const half = paint(200, 200, (x) => x % 2 === 0 ? [255, 0, 0, 255] : [0, 255, 0, 0]);
  near(at(await resize(half, 50, 50), 25, 25), [255, 0, 0, 128], 4, "half red, half nothing");
});

for (const fit of FITS) {
  for (const format of OUTPUT_FORMATS) {
    Deno.test(`${fit} to ${format}: the size is right, and so are the colours at the corners`, async () => {
      const colour = (left: boolean, top: boolean) => [left ? 220 : 30, top ? 200 : 40, 90, 255];
      const source = await encode(paint(300, 200, (x, y) => colour(x < 150, y < 100)), "png", 100);
      const { original, resized, pixels } = await run(source, { fit, format });
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
  const sizeAt = async (quality: number) => (await run(null, { format: "jpeg", quality })).file.byteLength;
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
      const source = writeMetadata(plain, format, { exif: exifOf(orientation), icc: null }, {
        width,
        height,
        alpha: false,
      });
      const { original, resized, pixels, file } = await run(source, {
        width: 120,
        height: 80,
        keepMetadata: true,
        format,
      });
      assertEquals([original.width, original.height, resized.width, resized.height], [120, 80, 120, 80]);
      for (const [x, y] of [[10, 10], [110, 10], [10, 70], [110, 70]]) {
        near(at(pixels, x, y), colour(x, y), 12, `${x},${y}`);
      }
      // What is kept does not turn it again.
      assertEquals([...readMetadata(new Uint8Array(file.slice(0)), format).exif!], [...exifOf(1)]);
    });
  }
}

/** A colour profile as far as its header goes. */
function profile(space: string, description: string, length = 100_000): Uint8Array {
  const icc = new Uint8Array(length).map((_, i) => i % 251);
  new DataView(icc.buffer).setUint32(0, length);
  icc.set(ascii(space), 16);
  icc.set(ascii("acsp"), 36);
  icc.set(ascii(description), 200);
  return icc;
}

Deno.test("EXIF is left out unless it is to be kept, in each format; so is a colour profile, unless it is needed", async () => {
  const plain = await encode(paint(50, 50, () => grey(100)), "jpeg", 90);
  const size = { width: 50, height: 50, alpha: false };
  for (
    const [icc, always, asked] of [
      [profile("RGB ", "Display P3"), true, true],
      [profile("RGB ", "sRGB IEC61966-2.1"), false, true],
      [profile("GRAY", "Dot Gain 20%"), false, false],
      [profile("RGB ", "Display P3").subarray(0, 500), false, false],
    ] as const
  ) {
    const source = writeMetadata(plain, "jpeg", { exif: exifOf(1), icc }, size);
    for (const format of OUTPUT_FORMATS) {
      for (const keepMetadata of [false, true]) {
        const { file, pixels } = await run(source, { keepMetadata, format });
        const kept = readMetadata(new Uint8Array(file.slice(0)), format);
        assertEquals(kept.exif && [...kept.exif], keepMetadata ? [...exifOf(1)] : null);
        const there = keepMetadata ? asked : always;
        assertEquals(kept.icc && kept.icc.length, there ? icc.length : null);
        if (there) ok(kept.icc!.every((byte, i) => byte === icc[i]));
        near(at(pixels, 25, 25), grey(100), 2, format);
      }
    }
  }
});

Deno.test("damaged EXIF does not keep a picture from being read", async () => {
  const plain = await encode(paint(50, 50, () => grey(100)), "jpeg", 90);
  const exif = exifOf(6).slice(0, 15);
  const source = writeMetadata(plain, "jpeg", { exif, icc: null }, { width: 50, height: 50, alpha: false });
  assertEquals((await run(source, { keepMetadata: true })).resized.width, 50);
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

Deno.test("GIF, TIFF and WebP are read", async () => {
  const blue = [0x20, 0x50, 0xc0, 255];
  const files = {
    gif: await new GIF([Frame.from(new Image(60, 40).fill(0x2050c0ff))]).encode(),
    webp: await encode(paint(60, 40, () => blue), "webp", 95),
    tiff: tiffOf(60, 40, blue.slice(0, 3)),
  };
  for (const [format, file] of Object.entries(files)) {
    const { original, pixels } = await run(file);
    assertEquals([original.format, original.width, original.height], [format, 60, 40]);
    near(at(pixels, 30, 20), blue, format === "tiff" ? 0 : 12, format);
  }
});

const photo = await encode(paint(200, 150, (x, y) => [x, y, x * y & 255, 255]), "jpeg", 90);
const frames = [0xff0000ff, 0x00ff00ff].map((colour) => Frame.from(new Image(20, 20).fill(colour)));
/** Frame header with four components instead of three: enough to be known by. */
const cmyk = photo.slice();
cmyk[cmyk.findIndex((byte, i) => byte === 0xff && cmyk[i + 1] >= 0xc0 && cmyk[i + 1] <= 0xc2) + 9] = 4;
/** A screen of 10 by 10, and a frame of 20,000 by 20,000. */
const hugeFrame = Uint8Array.of(
  ...ascii("GIF89a"),
  ...[10, 0, 10, 0, 0, 0, 0],
  ...[0x2c, 0, 0, 0, 0, 0x20, 0x4e, 0x20, 0x4e, 0, 2, 1, 0, 0, 0x3b],
);

/** A TIFF that has one more tag, or another value of one. */
function tiffWith(tag: number, type: number, count: number, value = 0): Uint8Array {
  const tiff = tiffOf(10, 10, [1, 2, 3]);
  const view = new DataView(tiff.buffer);
  // The last of its nine tags is what can be done without here.
  const entry = tag === 277 ? 6 : 8;
  view.setUint16(10 + entry * 12, tag, true);
  view.setUint16(12 + entry * 12, type, true);
  view.setUint32(14 + entry * 12, count, true);
  view.setUint32(18 + entry * 12, value, true);
  return tiff;
}

const bomb = new Uint8Array([...pngHeader(100, 100), ...pngChunk("IDAT", deflateSync(new Uint8Array(200_000_000)))]);

for (
  const [what, file, complaint] of [
    ["a PNG header of 30,000 by 30,000", pngHeader(30_000, 30_000), /is 30000×30000; the limit is 40 megapixels/],
    ["a small PNG that unpacks to 200 MB", bomb, /PNG is damaged, truncated/],
    ["a JPEG that is cut short in its header", photo.slice(0, 100), /ends before the picture size/],
    ["a JPEG that is cut short in its picture", photo.slice(0, photo.length / 2), /damaged, truncated/],
    ["an animated GIF", await new GIF(frames).encode(), /GIF is animated/],
    ["a text in a file named .png", ascii("just a text"), /not a PNG, JPEG, GIF, TIFF or WebP/],
    ["no bytes at all", new Uint8Array(), /not a PNG, JPEG, GIF, TIFF or WebP/],
    [
      "a JPEG that lacks half of its picture but has an end",
      Uint8Array.of(...photo.slice(0, photo.length / 2), 0xff, 0xd9),
      /damaged, truncated/,
    ],
    ["a CMYK JPEG", cmyk, /is CMYK/],
    ["a GIF with a frame larger than itself", hugeFrame, /frame that is larger/],
    ["a TIFF of more values than it has bytes", tiffWith(270, 2, 0xffffffff), /has a tag that is larger than the file/],
    ["a TIFF that tells its width twice", tiffWith(256, 4, 1), /same tag twice/],
    ["a TIFF of 40 samples", tiffWith(277, 3, 1, 40), /kind of TIFF is not supported/],
    ["a PNG of no width", pngHeader(0, 10), /has no pixels/],
    ["a PNG that ends after its header", pngHeader(50, 50), /damaged, truncated/],
    ["a WebP that ends at once", ascii("RIFF\x10\0\0\0WEBPVP8 "), /ends before the picture size/],
    ["a TIFF whose directory is nowhere", Uint8Array.of(73, 73, 42, 0, 255, 255, 0, 0), /ends before the picture size/],
  ] as [string, Uint8Array, RegExp][]
) {
  Deno.test(`refused with its reason: ${what}`, async () => {
    await assertRejects(run(file), complaint);
    // The libraries go on after it.
    assertEquals((await run(photo)).resized.width, 100);
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
  assertEquals(readHeader(photo), { format: "jpeg", width: 200, height: 150, animated: false });
});
