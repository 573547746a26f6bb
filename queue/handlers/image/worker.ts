/**
 * The CPU-bound part of image processing: one picture is read or drawn, rotated upright, fitted and written.
 *
 * @module
 */

import { Image } from "imagescript";
import { isOutOfMemory, type JobResult } from "../../workers/pool_worker.ts";
import { randomFrom } from "../random.ts";
import { decode, encode, type OutputFormat, type Pixels, resize } from "./codecs.ts";
import { coveredArea, type Fit, fittedSize, type Size } from "./fit.ts";
import { type Header, HeaderError, readHeader } from "./header.ts";
import {
  isForeignRgb,
  isRgb,
  type Metadata,
  orientationOf,
  readMetadata,
  withOrientationReset,
  writeMetadata,
} from "./metadata.ts";

/** One picture to make or to read, and to resize. */
export interface ImageJob {
  /** The file; null: draw one from `seed`. */
  source: ArrayBuffer | null;
  seed: number;
  width: number;
  height: number;
  fit: Fit;
  format: OutputFormat;
  /** 1 to 100, for JPEG and WebP. */
  quality: number;
  /** `#rrggbb`, the colour behind and beside the picture; null: transparent if the format has alpha, else white. */
  background: string | null;
  /** Whether EXIF and the colour profile are kept; a profile of other colours than sRGB always is. */
  keepMetadata: boolean;
  /** More pixels than this are not decoded. */
  maxPixels: number;
}

/** The result of a job. */
export interface ImageOutput {
  /** Upright. */
  original: Size & { bytes: number; format: string };
  /** The drawn original as PNG; null if the source was a file. */
  drawn: ArrayBuffer | null;
  resized: Size & { bytes: number };
  file: ArrayBuffer;
}

/** A picture that will not be read; the message says why. */
class ImageError extends Error {
  override name = "ImageError";
  /** Whether the decoder may have taken much memory before it gave up. */
  readonly retire: boolean;

  constructor(message: string, retire = false, cause?: unknown) {
    super(message, { cause });
    this.retire = retire;
  }
}

/** Size of the images that are drawn. */
const DRAWN = { width: 1_024, height: 768 };
/** After a picture with more pixels than this the worker's memory is given back. */
const RETIRE_PIXELS = 16_000_000;

/** Draws a gradient with circles. */
function draw(seed: number): Pixels {
  const random = randomFrom(seed);
  const { width, height } = DRAWN;
  const [r, g, b] = [random() * 200, random() * 200, random() * 200];
  const image = new Image(width, height);
  image.fill((x, y) => Image.rgbToColor(r + 55 * x / width, g + 55 * y / height, b + 55 * (x + y) / (width + height)));
  for (let i = 0; i < 6; i++) {
    const color = Image.rgbToColor(random() * 255, random() * 255, random() * 255);
    const [x, y] = [Math.floor(random() * width), Math.floor(random() * height)];
    image.drawCircle(x, y, 40 + Math.floor(random() * 120), color);
  }
  return fromImage(image);
}

/** Does a job. */
export async function work(job: ImageJob): Promise<JobResult<ImageOutput>> {
  const source = job.source && new Uint8Array(job.source);
  const header = source && checkedHeader(source, job.maxPixels);
  const metadata = source && header ? readMetadata(source, header.format) : { exif: null, icc: null };
  const drawn = source ? null : draw(job.seed);
  const drawnFile = drawn && await encode(drawn, "png", 100);
  const pixels = drawn ?? turned(await readable(source!, header!), orientationOf(metadata));
  const original = { width: pixels.width, height: pixels.height };
  const fitted = await fit(pixels, job);
  const result = job.format === "jpeg" || job.background ? flattened(fitted, job.background ?? "#ffffff") : fitted;
  let file = await encode(result, job.format, job.quality);
  // A TIFF is its own EXIF: its pixels are not what is kept.
  const keepsExif = job.keepMetadata && metadata.exif && header!.format !== "tiff";
  const kept: Metadata = {
    exif: keepsExif ? withOrientationReset(metadata.exif!) : null,
    icc: isForeignRgb(metadata.icc) || job.keepMetadata && isRgb(metadata.icc) ? metadata.icc : null,
  };
  const size = { width: result.width, height: result.height, alpha: hasAlpha(result) };
  file = writeMetadata(file, job.format, kept, size) as typeof file;
  const value: ImageOutput = {
    original: { ...original, bytes: (source ?? drawnFile!).length, format: header?.format ?? "png" },
    drawn: drawnFile && drawnFile.buffer,
    resized: { width: result.width, height: result.height, bytes: file.length },
    file: file.buffer,
  };
  const transfer = [value.file, ...value.drawn ? [value.drawn] : []];
  return { value, transfer, retire: original.width * original.height > RETIRE_PIXELS };
}

/** The header of the file, if it is supported. */
function checkedHeader(source: Uint8Array, maxPixels: number): Header {
  let header: Header | null;
  try {
    header = readHeader(source);
  } catch (error) {
    if (error instanceof HeaderError) throw new ImageError(error.message);
    if (!(error instanceof RangeError)) throw error;
    throw new ImageError("The file ends before the picture size.");
  }
  if (!header) throw new ImageError("This is not a PNG, JPEG, GIF, TIFF or WebP file.");
  const { format, width, height, animated } = header;
  if (width === 0 || height === 0) throw new ImageError("The picture has no pixels.");
  if (width * height > maxPixels) {
    const megapixels = (maxPixels / 1e6).toLocaleString("en");
    throw new ImageError(`The picture is ${width}×${height}; the limit is ${megapixels} megapixels.`);
  }
  if (animated) throw new ImageError(`This ${format.toUpperCase()} is animated; only still pictures are resized.`);
  return header;
}

async function readable(source: Uint8Array<ArrayBuffer>, { format, width, height }: Header): Promise<Pixels> {
  let pixels: Pixels;
  try {
    pixels = await decode(source, format);
  } catch (error) {
    if (isOutOfMemory(error)) throw error;
    // The decoders' own messages do not help users.
    throw new ImageError(
      `The ${format.toUpperCase()} is damaged, truncated or of an unsupported kind.`,
      true,
      error,
    );
  }
  if (pixels.width !== width || pixels.height !== height) {
    throw new ImageError(
      `The ${format.toUpperCase()} header says ${width}×${height}, the picture is ${pixels.width}×${pixels.height}.`,
    );
  }
  return pixels;
}

/** A picture turned as EXIF says (CIPA DC-008, tag 0x0112). */
function turned(pixels: Pixels, orientation: number): Pixels {
  if (orientation === 1) return pixels;
  const { width, height } = pixels;
  const across = orientation >= 5;
  const size = across ? { width: height, height: width } : { width, height };
  const from = new Uint32Array(pixels.data.buffer, pixels.data.byteOffset, width * height);
  const to = new Uint32Array(width * height);
  const mirrored = orientation === 2 || orientation === 3 || orientation === 7 || orientation === 8;
  const upsideDown = orientation === 3 || orientation === 4 || orientation === 6 || orientation === 7;
  for (let y = 0; y < size.height; y++) {
    for (let x = 0; x < size.width; x++) {
      let [fromX, fromY] = across ? [y, x] : [x, y];
      if (mirrored) fromX = width - 1 - fromX;
      if (upsideDown) fromY = height - 1 - fromY;
      to[y * size.width + x] = from[fromY * width + fromX];
    }
  }
  return { ...size, data: new Uint8ClampedArray(to.buffer) };
}

async function fit(pixels: Pixels, job: ImageJob): Promise<Pixels> {
  const size = fittedSize(pixels, job, job.fit);
  if (job.fit === "cover") {
    // Cropped first: scaled as a whole, a very long picture would not fit into memory.
    const { left, top, width, height } = coveredArea(pixels, job);
    if (width !== pixels.width || height !== pixels.height) {
      pixels = fromImage(toImage(pixels).crop(left, top, width, height));
    }
  }
  const scaled = await resize(pixels, size.width, size.height);
  if (job.fit !== "contain") return scaled;
  const data = new Uint8ClampedArray(job.width * job.height * 4);
  const [left, top] = [job.width - size.width, job.height - size.height].map((room) => Math.floor(room / 2));
  for (let y = 0; y < size.height; y++) {
    const row = scaled.data.subarray(y * size.width * 4, (y + 1) * size.width * 4);
    data.set(row, ((top + y) * job.width + left) * 4);
  }
  return { data, width: job.width, height: job.height };
}

/** A picture on an opaque background. */
function flattened(pixels: Pixels, background: string): Pixels {
  if (!hasAlpha(pixels)) return pixels;
  const canvas = new Image(pixels.width, pixels.height);
  canvas.fill((parseInt(background.slice(1), 16) * 256 + 255) >>> 0);
  return fromImage(canvas.composite(toImage(pixels)));
}

function hasAlpha({ data }: Pixels): boolean {
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return true;
  return false;
}

function toImage({ data, width, height }: Pixels): Image {
  const image = new Image(width, height);
  image.bitmap.set(data);
  return image;
}

function fromImage(image: Image): Pixels {
  return { data: new Uint8ClampedArray(image.bitmap), width: image.width, height: image.height };
}
