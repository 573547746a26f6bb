/** What each step on a photo costs in this engine, beside plain sharp. Started by `work.ts`, once with each engine. */

import sharp from "sharp";
import { decode } from "../../../queue/handlers/image/read/decode.ts";
import { encode } from "../../../queue/handlers/image/encode.ts";
import { fitted } from "../../../queue/handlers/image/scale.ts";
import { ENGINE } from "../../../queue/handlers/image/vips.ts";
import { type ImageJob, work } from "../../../queue/handlers/image/worker.ts";
import { IMAGE_JOB } from "../../support/images/run.ts";
import { HEIGHT, photo, rate, WIDTH } from "./photo.ts";

const COUNT = 10;
const TARGET = { width: 800, height: 600 };
const job: Omit<ImageJob, "source"> = { ...IMAGE_JOB, sizes: [TARGET], fit: "cover", format: "jpeg", quality: 85 };

const file = await encode(photo(WIDTH, HEIGHT, 0), "jpeg", 90);
const whole = { maxPixels: 40_000_000, animation: "first", keepProfile: false } as const;
const reduced = await decode(file, { ...whole, reduction: () => HEIGHT / TARGET.height });
const small = await fitted(reduced.picture, TARGET, "cover", "centre");

/** Megapixels of photos a second. */
async function measure(what: string, run: () => Promise<unknown>): Promise<void> {
  await run();
  const start = performance.now();
  for (let i = 0; i < COUNT; i++) await run();
  console.log(`${`  ${what}`.padEnd(58)} ${rate(COUNT, performance.now() - start)}`);
}

console.log(`\nA JPEG of 12 megapixels to 800 × 600, cover, JPEG at 85, ${ENGINE} engine, one thread:`);
await measure(
  "read, as far as it takes for this size",
  () => decode(file, { ...whole, reduction: () => HEIGHT / TARGET.height }),
);
await measure("read in full", () => decode(file, { ...whole, reduction: () => 1 }));
await measure("scale what was read", () => fitted(reduced.picture, TARGET, "cover", "centre"));
await measure("write", () => encode(small, "jpeg", 85));
await measure("a whole job", () => work({ ...job, source: file.slice().buffer }));
await measure(
  "plain sharp, which averages codes and not light",
  () => sharp(file).resize(800, 600, { fit: "cover" }).jpeg({ quality: 85, mozjpeg: true }).toBuffer(),
);
