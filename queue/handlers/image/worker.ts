/**
 * The part of image processing that burns the processor. Runs in a Web Worker: one job comes in, one answer goes out.
 *
 * @module
 */

import { decode, GIF, Image } from "imagescript";
import type { JobAnswer } from "../../pool.ts";
import { randomFrom } from "../random.ts";

/** How an image is fitted into the target. */
export type Fit = "cover" | "contain" | "inside" | "fill";

/** Encodings that are written. */
export type Format = "png" | "jpeg" | "webp";

/** One image to make or to read, and to resize. */
export interface ImageJob {
  /** The file; null: draw one from `seed`. */
  source: ArrayBuffer | null;
  seed: number;
  width: number;
  height: number;
  fit: Fit;
  format: Format;
}

/** What became of it. */
export interface ImageOutput {
  original: { width: number; height: number; bytes: number };
  /** The drawn original as PNG; null if the source was a file. */
  drawn: ArrayBuffer | null;
  resized: { width: number; height: number; bytes: number };
  file: ArrayBuffer;
}

/** Size of the images that are drawn. */
const DRAWN = { width: 1_024, height: 768 };

/** Draws a gradient with circles. */
function draw(seed: number): Image {
  const random = randomFrom(seed);
  const { width, height } = DRAWN;
  const [r, g, b] = [random() * 200, random() * 200, random() * 200];
  const image = new Image(width, height);
  image.fill((x, y) => Image.rgbToColor(r + 55 * x / width, g + 55 * y / height, b + 55 * (x + y) / (width + height)));
  for (let i = 0; i < 6; i++) {
    const color = Image.rgbToColor(random() * 255, random() * 255, random() * 255);
    image.drawCircle(
      Math.floor(random() * width),
      Math.floor(random() * height),
      40 + Math.floor(random() * 120),
      color,
    );
  }
  return image;
}

/** The size that an image is scaled to: never more than the target. */
export function fittedSize(
  image: { width: number; height: number },
  target: { width: number; height: number },
  fit: Fit,
): { width: number; height: number } {
  if (fit === "fill" || fit === "cover") return target;
  let scale = Math.min(target.width / image.width, target.height / image.height);
  if (fit === "inside") scale = Math.min(1, scale);
  return {
    width: Math.max(1, Math.round(image.width * scale)),
    height: Math.max(1, Math.round(image.height * scale)),
  };
}

/** The middle of an image that has the target's proportions. */
export function coveredArea(
  image: { width: number; height: number },
  target: { width: number; height: number },
): { left: number; top: number; width: number; height: number } {
  const scale = Math.min(image.width / target.width, image.height / target.height);
  const width = Math.max(1, Math.round(target.width * scale));
  const height = Math.max(1, Math.round(target.height * scale));
  return { left: Math.floor((image.width - width) / 2), top: Math.floor((image.height - height) / 2), width, height };
}

function resize(image: Image, job: ImageJob): Image {
  const size = fittedSize(image, job, job.fit);
  if (job.fit === "cover") {
    // Cut first: scaled as a whole, a very long image would be larger than any memory.
    const { left, top, width, height } = coveredArea(image, job);
    image = image.crop(left, top, width, height);
  }
  const scaled = image.resize(size.width, size.height);
  if (job.fit === "contain") {
    const canvas = new Image(job.width, job.height);
    if (job.format === "jpeg") canvas.fill(0xffffffff);
    return canvas.composite(
      scaled,
      Math.floor((job.width - size.width) / 2),
      Math.floor((job.height - size.height) / 2),
    );
  }
  return scaled;
}

async function encode(image: Image, format: Format): Promise<Uint8Array> {
  if (format === "jpeg") return await image.encodeJPEG(85);
  if (format === "webp") return await image.encodeWEBP(85);
  return await image.encode();
}

function whole(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer as ArrayBuffer;
}

async function work(job: ImageJob): Promise<ImageOutput> {
  const decoded = job.source ? await decode(new Uint8Array(job.source)) : draw(job.seed);
  const image = decoded instanceof GIF ? decoded[0] as unknown as Image : decoded as Image;
  const drawn = job.source ? null : await image.encode();
  const original = { width: image.width, height: image.height, bytes: job.source?.byteLength ?? drawn!.length };
  const result = resize(image, job);
  const file = await encode(result, job.format);
  return {
    original,
    drawn: drawn && whole(drawn),
    resized: { width: result.width, height: result.height, bytes: file.length },
    file: whole(file),
  };
}

/** The part of a worker's global scope that is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<ImageJob>) => void) | null;
  postMessage(answer: JobAnswer<ImageOutput>, transfer: Transferable[]): void;
}

// The module is imported by tests too: only in a worker there is someone to answer.
if (
  "WorkerGlobalScope" in globalThis &&
  self instanceof (globalThis as unknown as { WorkerGlobalScope: typeof Object }).WorkerGlobalScope
) {
  const scope = self as unknown as WorkerScope;
  scope.onmessage = async ({ data }) => {
    try {
      const value = await work(data);
      scope.postMessage({ ok: true, value }, [value.file, ...value.drawn ? [value.drawn] : []]);
    } catch (error) {
      scope.postMessage({ ok: false, message: error instanceof Error ? error.message : String(error) }, []);
    }
  };
}
