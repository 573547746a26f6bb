/** Runs the image worker in tests, and looks at pixels. */

import { Buffer } from "node:buffer";
import { open, type Picture } from "../../../queue/handlers/image/vips.ts";
import { type ImageJob, type ImageOutput, work } from "../../../queue/handlers/image/worker.ts";
import { ok } from "../assert.ts";

/** Pixels of four channels. */
export interface Pixels {
  data: Uint8ClampedArray;
  width: number;
  height: number;
}

/** What is asked for of an image where a test says nothing else. */
export const IMAGE_JOB: Omit<ImageJob, "source"> = {
  seed: 1,
  sizes: [{ width: 100, height: 100 }],
  fit: "inside",
  position: "centre",
  format: "png",
  quality: 90,
  background: null,
  sharpen: 0,
  watermark: null,
  keepMetadata: false,
  keepProfile: false,
  animation: "keep",
  maxPixels: 40_000_000,
};

/** Does a job, and reads the first file that it wrote. */
export async function runImage(
  source: Uint8Array | null,
  job: Partial<ImageJob> = {},
): Promise<ImageOutput & { file: Uint8Array<ArrayBuffer>; pixels: Pixels }> {
  const { value } = await work({ ...IMAGE_JOB, source: source && new Uint8Array(source).buffer, ...job });
  const file = new Uint8Array(value.files[0].bytes);
  return { ...value, file, pixels: await pixelsOf(file) };
}

/** The pixels of a file; of an animation, those of the first frame. */
export async function pixelsOf(file: Uint8Array): Promise<Pixels> {
  const chain = open(file, { ignoreIcc: true }).toColourspace("srgb").ensureAlpha().raw();
  const { data, info } = await chain.toBuffer({ resolveWithObject: true });
  return { data: new Uint8ClampedArray(data), width: info.width, height: info.height };
}

/** A picture by a function of its pixels: red, green, blue, alpha. */
export function paint(width: number, height: number, colour: (x: number, y: number) => number[]): Picture {
  const data = Buffer.alloc(width * height * 4);
  for (let i = 0; i < width * height; i++) data.set(colour(i % width, Math.floor(i / width)), i * 4);
  return { data, width, height, animation: null };
}

/** The pixel at a place: red, green, blue, alpha. */
export function at({ data, width }: Pixels | Picture, x: number, y: number): number[] {
  return [...data.subarray((y * width + x) * 4, (y * width + x) * 4 + 4)];
}

/** Asserts that each number is at most `by` from the wanted one. */
export function near(found: number[], wanted: number[], by: number, what: string): void {
  ok(wanted.every((value, i) => Math.abs(value - found[i]) <= by), `${what}: ${found} instead of ${wanted}`);
}
