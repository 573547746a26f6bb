/**
 * The CPU-bound part of image processing: one picture is read or drawn, fitted, finished and written in each size.
 *
 * @module
 */

import { encode as encodeBlurhash } from "blurhash";
import type { JobResult } from "../../workers/pool_worker.ts";
import { decode, type Decoded } from "./read/decode.ts";
import { encode, finished, isOpaque, suitableFormat } from "./encode.ts";
import { type Fit, fittedSize, type Place, type Position, reduction as reductionTo, type Size } from "./fit.ts";
import { ANIMATED_FORMATS, type Animation, type OutputFormat } from "./formats.ts";
import { ImageError } from "./error.ts";
import { fitted, resize } from "./scale.ts";
import { correctedExif } from "./tiff_directory.ts";
import { frameCount, framesOf, openPicture, type Picture, toPicture } from "./vips.ts";

/** One picture to make or to read, and what to make of it. */
export interface ImageJob {
  /** The file; null: draw one from `seed`. */
  source: ArrayBuffer | null;
  seed: number;
  /** One file is written for each. */
  sizes: Size[];
  fit: Fit;
  /** Which part is used, for `cover`. */
  position: Position;
  /** `auto`: see {@linkcode suitableFormat}. */
  format: OutputFormat | "auto";
  /** 1 to 100, for JPEG, WebP and AVIF. */
  quality: number;
  /** `#rrggbb`, the colour behind and beside the picture; null: transparent if the format has alpha, else white. */
  background: string | null;
  /** Radius of sharpening in pixels; 0: none. */
  sharpen: number;
  watermark: { content: { text: string } | { file: ArrayBuffer }; place: Place; width: number; opacity: number } | null;
  /** Whether EXIF is kept. */
  keepMetadata: boolean;
  /** Whether the picture stays in its own colour space; else it becomes sRGB. */
  keepProfile: boolean;
  animation: Animation;
  /** More pixels than this are not decoded. */
  maxPixels: number;
}

/** A file that was written. */
export interface WrittenFile extends Size {
  format: OutputFormat;
  bytes: Uint8Array<ArrayBuffer>;
}

/** The result of a job. */
export interface ImageOutput {
  /** Upright. `frames` of an animation. */
  original: Size & { bytes: number; format: string; frames?: number };
  /** The drawn original as PNG; null if the source was a file. */
  drawn: Uint8Array<ArrayBuffer> | null;
  /** The first file as a tiny blurred picture in text (https://blurha.sh). */
  blurhash: string;
  /** What is uncertain about the result. */
  warnings: string[];
  /** In the order of the sizes. */
  files: WrittenFile[];
}

/** After a picture with more pixels than this the worker's memory is given back. */
const RETIRE_PIXELS = 16_000_000;
/** The longer side of the picture that a blurhash is made of: it keeps no details. */
const BLURHASH_SIDE = 32;

/** Does a job. */
export async function work(job: ImageJob): Promise<JobResult<ImageOutput>> {
  const source = job.source && new Uint8Array(job.source);
  const reduction = (image: Size) => Math.min(...job.sizes.map((size) => reductionTo(image, size, job.fit)));
  // GIF has no room for a profile.
  const keepProfile = job.keepProfile && job.format !== "gif";
  const decoded = source ? await decode(source, { ...job, keepProfile, reduction }) : await drawing(job.seed);
  const { picture, kind, exif, icc, warnings, size: { width, height } } = decoded;
  const drawn = source ? null : await encode(picture, "png", 100);
  const { animation } = picture;
  if (animation && job.format !== "auto" && !ANIMATED_FORMATS.includes(job.format)) {
    throw new ImageError(
      `This ${kind.toUpperCase()} is animated, and ${job.format.toUpperCase()} is not; ` +
        'use format "webp" or "gif", or animation "first".',
    );
  }
  if ((animation || job.format === "gif") && (job.keepMetadata && exif || job.keepProfile)) {
    warnings.push("GIF and animations keep neither metadata nor a colour profile.");
  }
  const mark = job.watermark && await watermarkOf(job.watermark, job.maxPixels);
  const corrected = job.keepMetadata && exif ? correctedExif(exif, icc === null) : null;
  const kept = animation ? {} : { icc: icc ?? undefined, exif: corrected ?? undefined };
  const files: WrittenFile[] = [];
  let blurhash = "";
  for (const size of job.sizes) {
    assertRoom(frameCount(picture), size, job.maxPixels);
    const scaled = await fitted(picture, size, job.fit, job.position);
    const frame = job.fit === "contain" ? size : { width: scaled.width, height: scaled.height };
    const overlay = mark && await (await import("./watermark.ts")).overlayOf(mark, frame);
    const finish = { frame, sharpen: job.sharpen, overlay };
    let result = await finished(scaled, { ...finish, background: job.background });
    blurhash ||= await blurhashOf(result);
    const format = job.format === "auto" ? suitableFormat(result) : job.format;
    if (format === "jpeg" && !isOpaque(result)) {
      result = await finished(scaled, { ...finish, background: "#ffffff" });
    }
    files.push({ ...frame, format, bytes: await encode(result, format, job.quality, kept) });
  }
  const value: ImageOutput = {
    original: {
      width,
      height,
      bytes: source?.length ?? drawn!.length,
      format: kind,
      ...animation && { frames: animation.delays.length },
    },
    drawn,
    blurhash,
    warnings,
    files,
  };
  const transfer = [...files.map(({ bytes }) => bytes.buffer), ...drawn ? [drawn.buffer] : []];
  return { value, transfer, retire: width * height * frameCount(picture) > RETIRE_PIXELS };
}

/** Refuses an animation whose frames would take too much once they are scaled. */
function assertRoom(frames: number, { width, height }: Size, maxPixels: number): void {
  if (frames === 1 || frames * width * height <= maxPixels) return;
  const limit = (maxPixels / 1e6).toLocaleString("en");
  const what = `${frames} frames of ${width}×${height} would have more than ${limit} megapixels`;
  throw new ImageError(`${what}; ask for a smaller size, or use animation "first".`);
}

async function drawing(seed: number): Promise<Decoded> {
  const { draw } = await import("./draw.ts");
  const picture = draw(seed);
  return { picture, size: picture, kind: "png", exif: null, icc: null, warnings: [] };
}

async function watermarkOf({ content, ...others }: NonNullable<ImageJob["watermark"]>, maxPixels: number) {
  if ("text" in content) return { ...others, content };
  try {
    const { picture } = await decode(new Uint8Array(content.file), {
      maxPixels,
      animation: "first",
      keepProfile: false,
      reduction: () => 1,
    });
    return { ...others, content: { picture } };
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    throw new ImageError(`The watermark cannot be used. ${error.message}`, error.retire, error);
  }
}

/** Of the first frame, with white behind what is transparent. */
async function blurhashOf(picture: Picture): Promise<string> {
  const [first] = framesOf(picture);
  const size = fittedSize(picture, { width: BLURHASH_SIDE, height: BLURHASH_SIDE }, "contain");
  const small = await toPicture(openPicture(await resize(first, size)).flatten({ background: "#ffffff" }));
  const [across, down] = picture.width >= picture.height ? [4, 3] : [3, 4];
  return encodeBlurhash(new Uint8ClampedArray(small.data), small.width, small.height, across, down);
}
