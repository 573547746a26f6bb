/** What can be asked for beside a size: several sizes, places, sharpening, watermarks, formats, blurhash. */

import { decode as decodeBlurhash } from "blurhash";
import { encode } from "../../../../queue/handlers/image/encode.ts";
import { type Place, PLACES } from "../../../../queue/handlers/image/fit.ts";
import { assertEquals, assertRejects, ok } from "../../../support/assert.ts";
import { at, near, paint, pixelsOf, runImage } from "../../../support/images/run.ts";

const GREY = [120, 120, 120, 255];
const grey = await encode(paint(400, 300, () => GREY), "png", 100);

Deno.test("one job writes several sizes of a picture", async () => {
  const sizes = [{ width: 300, height: 200 }, { width: 100, height: 100 }, { width: 800, height: 100 }];
  const { files, original } = await runImage(grey, { sizes, fit: "cover" });
  assertEquals([original.width, original.height], [400, 300]);
  assertEquals(files.map(({ width, height }) => ({ width, height })), sizes);
  for (const { bytes } of files) near(at(await pixelsOf(bytes), 50, 50), GREY, 1, "grey");
});

Deno.test("a crop keeps the part that is asked for: nine places", async () => {
  // Each ninth has a colour of its own.
  const ninths = await encode(
    paint(300, 300, (x, y) => [Math.floor(x / 100) * 100, Math.floor(y / 100) * 100, 50, 255]),
    "png",
    100,
  );
  const column: Record<string, number> = { left: 0, right: 200 };
  const row: Record<string, number> = { top: 0, bottom: 200 };
  for (const position of PLACES) {
    const [first, second = first] = position.split("-");
    for (
      const [size, middle] of [[{ width: 200, height: 100 }, [100, 50]], [{ width: 100, height: 200 }, [
        50,
        100,
      ]]] as const
    ) {
      const { pixels } = await runImage(ninths, { sizes: [size], fit: "cover", position });
      const [red, green] = at(pixels, middle[0], middle[1]);
      if (size.width > size.height) near([green], [row[first] ?? 100], 2, position);
      else near([red], [column[second] ?? 100], 2, position);
    }
  }
});

Deno.test("attention finds what draws the eye", async () => {
  const spot = await encode(
    paint(600, 200, (x, y) => x > 480 && x < 560 && y > 60 && y < 140 ? [255, 60, 30, 255] : [90, 90, 90, 255]),
    "png",
    100,
  );
  const job = { sizes: [{ width: 200, height: 200 }], fit: "cover" as const };
  const reds = async (position: "centre" | "attention") =>
    (await runImage(spot, { ...job, position })).pixels.data.filter((value, i) => i % 4 === 0 && value > 200).length;
  assertEquals(await reds("centre"), 0);
  ok(await reds("attention") > 4_000);
});

Deno.test("sharpening makes edges steeper, and leaves areas alone", async () => {
  const edge = await encode(paint(100, 100, (x) => Array(3).fill(x < 50 ? 100 : 150).concat(255)), "png", 100);
  const plain = (await runImage(edge)).pixels;
  const sharp = (await runImage(edge, { sharpen: 1 })).pixels;
  ok(at(sharp, 49, 50)[0] < at(plain, 49, 50)[0] && at(sharp, 50, 50)[0] > at(plain, 50, 50)[0]);
  assertEquals(at(sharp, 10, 50), at(plain, 10, 50));
});

/** The box of all pixels that are not grey. */
function boxOf({ data, width, height }: { data: Uint8ClampedArray; width: number; height: number }) {
  const xs: number[] = [];
  const ys: number[] = [];
  for (let i = 0; i < width * height; i++) {
    if (Math.abs(data[i * 4] - 120) > 6) {
      xs.push(i % width);
      ys.push(Math.floor(i / width));
    }
  }
  const most = (list: number[]) => list.reduce((a, b) => Math.max(a, b), -1);
  const least = (list: number[]) => list.reduce((a, b) => Math.min(a, b), Infinity);
  return { left: least(xs), right: most(xs), top: least(ys), bottom: most(ys) };
}

Deno.test("a text is written over the picture, at its place and width, and seen on any ground", async () => {
  const job = (place: Place, text = "© Ada Łovelace, Ζωή, Жук") =>
    runImage(grey, {
      sizes: [{ width: 400, height: 300 }],
      watermark: { content: { text }, place, width: 0.5, opacity: 1 },
    });
  const right = boxOf((await job("bottom-right")).pixels);
  ok(right.right > 380 && right.bottom > 275 && right.left > 150, JSON.stringify(right));
  const left = boxOf((await job("top-left")).pixels);
  ok(left.left < 20 && left.top < 30 && left.right < 230, JSON.stringify(left));
  const width = left.right - left.left;
  ok(width > 180 && width <= 200, `${width} pixels wide`);
  for (const ground of [0, 255]) {
    const flat = await encode(paint(400, 300, () => [ground, ground, ground, 255]), "png", 100);
    const { pixels } = await runImage(flat, {
      sizes: [{ width: 400, height: 300 }],
      watermark: { content: { text: "Seen" }, place: "centre", width: 0.5, opacity: 0.7 },
    });
    ok(pixels.data.some((value, i) => i % 4 !== 3 && Math.abs(value - ground) > 100));
  }
});

Deno.test("a picture is put over it, with its own transparency and the opacity that is asked for", async () => {
  const mark = await encode(paint(50, 50, (x) => x < 25 ? [255, 255, 255, 255] : [0, 0, 0, 0]), "png", 100);
  const { pixels } = await runImage(grey, {
    sizes: [{ width: 400, height: 300 }],
    watermark: { content: { file: mark.slice().buffer }, place: "centre", width: 0.25, opacity: 0.5 },
  });
  near(at(pixels, 170, 150), [188, 188, 188, 255], 3, "half white");
  near(at(pixels, 230, 150), GREY, 1, "clear");
  const broken = {
    content: { file: new TextEncoder().encode("no picture").buffer },
    place: "centre",
    width: 1,
    opacity: 1,
  } as const;
  await assertRejects(runImage(grey, { watermark: broken }), /The watermark cannot be used. This is no picture/);
});

Deno.test("auto chooses by what is in the picture, and says what", async () => {
  const cases: [string, Uint8Array][] = [
    ["png", grey],
    ["jpeg", await encode(paint(200, 200, (x, y) => [x, y, x ^ y, 255]), "png", 100)],
    ["webp", await encode(paint(200, 200, (x, y) => [x, y, 9, x]), "png", 100)],
  ];
  for (const [expected, file] of cases) {
    const { files: [{ format }] } = await runImage(file, { format: "auto" });
    assertEquals(format, expected);
  }
});

Deno.test("the blurhash is a small picture of the result", async () => {
  const halves = await encode(paint(300, 200, (x) => x < 150 ? [250, 20, 20, 255] : [20, 20, 250, 255]), "png", 100);
  const { blurhash } = await runImage(halves);
  const pixels = decodeBlurhash(blurhash, 32, 32);
  const found = (x: number) => [...pixels.slice((16 * 32 + x) * 4, (16 * 32 + x) * 4 + 3)];
  near(found(0), [250, 20, 20], 100, "left");
  near(found(31), [20, 20, 250], 100, "right");
});
