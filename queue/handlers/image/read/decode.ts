/**
 * Reads a picture of any kind: upright, in sRGB unless its own colours are to be kept.
 *
 * @module
 */

import type { Metadata, Sharp } from "sharp";
import { isOutOfMemory } from "../../../workers/pool_worker.ts";
import { apngFrames, readApng } from "./apng.ts";
import type { Size } from "../fit.ts";
import type { Animation } from "../formats.ts";
import { ImageError } from "../error.ts";
import { isUnusualTiff, type Kind, kindOf } from "./kind.ts";
import { isWholeGif } from "./gif.ts";
import { withoutLeftOver, withoutStraySegments } from "./jpeg.ts";
import { convertToPng, loadMagick, withoutMark } from "./magick.ts";
import { pngChunks, withMetadata } from "../png_chunks.ts";
import { impliedProfile } from "./profile.ts";
import { ENGINE, frameCount, open, openPicture, type Picture, toPicture } from "../vips.ts";

/** How a picture is read. */
export interface DecodeOptions {
  /** More pixels than this are not unpacked; those of all frames count. */
  maxPixels: number;
  animation: Animation;
  /** By how much the picture, by its size, will be made smaller at least: a JPEG is read at a fraction of its size. */
  reduction(image: Size): number;
  /** Whether the colours stay in the picture's own space, with its profile. */
  keepProfile: boolean;
}

/** A picture that was read. */
export interface Decoded {
  /** Its pixels; of a JPEG, maybe fewer than it has. */
  picture: Picture;
  /** Its own size, upright. */
  size: Size;
  kind: Kind;
  /** EXIF as a TIFF structure. */
  exif: Uint8Array | null;
  /** The profile that the pixels need; null: they are sRGB. */
  icc: Uint8Array | null;
  /** What is uncertain about the result. */
  warnings: string[];
}

/** Frames of an animation: more are no picture. */
const MAX_FRAMES = 2_000;
/** What libvips calls a kind, where that differs. */
const FORMATS: Partial<Record<Kind, string>> = { avif: "heif" };
/** The longest time of a frame in milliseconds, and the most repetitions, that formats have room for. */
const MAX_UINT16 = 65_535;
/** What libvips says of a profile that it leaves aside. */
const UNUSABLE_PROFILE = /^(corrupt|invalid embedded) profile/i;

/**
 * Reads a picture.
 *
 * @throws {ImageError} If it is damaged, too large, or of a kind that is not read.
 */
export async function decode(bytes: Uint8Array, options: DecodeOptions): Promise<Decoded> {
  const kind = await kindOf(bytes);
  const assertSize = (width: number, height: number, frames = 1) => {
    if (width === 0 || height === 0) throw new ImageError("The picture has no pixels.");
    if (width * height * frames <= options.maxPixels) return;
    const limit = `the limit is ${(options.maxPixels / 1e6).toLocaleString("en")} megapixels`;
    if (frames === 1) throw new ImageError(`The picture is ${width}×${height}; ${limit}.`);
    const hint = 'With animation "first" only the first frame is used.';
    throw new ImageError(`The animation has ${frames} frames of ${width}×${height}; ${limit}. ${hint}`);
  };
  const viaMagick = needsMagick(bytes, kind);
  if (viaMagick) await loadMagick();
  try {
    const foreign = viaMagick ? convertToPng(bytes, kind, assertSize) : null;
    return await read(bytes, kind, foreign, options, assertSize);
  } catch (error) {
    if (error instanceof ImageError || isOutOfMemory(error)) throw error;
    // The decoders' own messages do not help users. The memory of a Wasm module never shrinks.
    const retire = ENGINE === "wasm" || viaMagick;
    throw new ImageError(`The ${kind.toUpperCase()} is damaged, truncated or of an unsupported kind.`, retire, error);
  }
}

/** Whether libvips does not read a file. */
function needsMagick(bytes: Uint8Array, kind: Kind): boolean {
  return kind === "bmp" || kind === "heic" || kind === "tiff" && isUnusualTiff(bytes);
}

/** @param foreign What the other library has made of the file; null: libvips reads it. */
async function read(
  bytes: Uint8Array,
  kind: Kind,
  foreign: ReturnType<typeof convertToPng> | null,
  options: DecodeOptions,
  assertSize: (width: number, height: number, frames?: number) => void,
): Promise<Decoded> {
  // libvips looks at more than the size.
  if (kind === "png" && bytes.length >= 24) {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    assertSize(view.getUint32(16), view.getUint32(20));
  }
  const file = foreign?.png ?? bytes;
  const metadata = await open(file).metadata();
  const expected = foreign ? "png" : FORMATS[kind] ?? kind;
  if (metadata.format !== expected) throw new Error(`The ${kind} is taken for ${metadata.format}.`);
  if (kind === "gif" && !isWholeGif(bytes)) throw new Error("The GIF is cut off.");
  const frames = framesOf(file, kind, metadata);
  const animated = frames > 1 && options.animation === "keep";
  if (animated && frames > MAX_FRAMES) {
    throw new ImageError(`The animation has ${frames} frames; the limit is ${MAX_FRAMES}.`);
  }
  const height = metadata.pageHeight ?? metadata.height;
  assertSize(metadata.width, height, animated ? frames : 1);
  if (animated && kind === "avif") {
    throw new ImageError('Animated AVIF is not read; with animation "first" its first picture is.');
  }
  if (animated && (metadata.orientation ?? 1) > 1) {
    throw new ImageError('This animation is turned by its EXIF; only stills are turned. Use animation "first".');
  }
  const size = animated ? { width: metadata.width, height } : metadata.autoOrient;
  const exif = foreign?.exif ?? (metadata.exif ? withoutMark(metadata.exif) : null);
  const told: string[] = [];
  const warnings: string[] = [];
  const own = metadata.icc ?? null;
  // libpng leaves out a profile that it cannot read.
  if (kind === "png" && !own && pngChunks(bytes).some(({ type }) => type === "iCCP")) warnings.push("corrupt profile");
  // What is CMYK has no RGB profile but its own.
  const mayImply = metadata.space !== "cmyk" && (!foreign || kind === "heic");
  const implied = mayImply ? impliedProfile(bytes, kind, own !== null, exif) : null;
  const icc = implied ?? own;
  const isDeep = metadata.depth !== "uchar";
  // All pictures that are written are RGB.
  const keep = options.keepProfile && !animated && icc !== null && spaceOf(icc) === "RGB " && isUsable(icc);
  // libvips converts by the profile within. It has to be put there first, and grey of 16 bits it does not convert.
  const inTwo = icc !== null && !keep && (implied !== null || isDeep && spaceOf(icc) === "GRAY");
  let picture: Picture;
  if (kind === "png" && animated) {
    picture = await readApng(file);
    if (icc && !keep) picture = await converted(openPicture(tall(picture)), icc, false, warnings, picture);
  } else {
    const part = kind === "jpeg" ? reductionOnLoad(options.reduction(size)) : 1;
    const animation = animated ? { delays: metadata.delay ?? Array(frames).fill(100), loop: metadata.loop ?? 0 } : null;
    const unpack = async (bytes: Uint8Array) => {
      // Pixels that are made up for missing ones, and wrong checksums in TIFF, are warnings. In PNG they are not.
      const failOn = kind === "jpeg" || kind === "tiff" ? "warning" : "error";
      const chain = open(bytes, { failOn, animated, ignoreIcc: keep || inTwo });
      chain.on("warning", (text: string) => warnings.push(text));
      if (part > 1) chain.resize(Math.ceil(size.width / part), Math.ceil(size.height / part), { fit: "fill" });
      if (!animated) chain.autoOrient();
      if (inTwo) return await converted(chain, icc, isDeep, warnings, { animation });
      // Pictures of 16 bits are made Display P3 by sharp, unless another profile is asked for.
      if (isDeep && own && !keep && metadata.space === "rgb16") chain.withIccProfile("srgb");
      return await toPicture(chain, animation);
    };
    try {
      picture = await unpack(file);
    } catch (error) {
      if (kind !== "jpeg") throw error;
      picture = await unpackWithoutStray(file, unpack);
      told.push("The JPEG has bytes that belong to nothing; it may be damaged.");
    }
  }
  if (kind === "tiff" && (metadata.pages ?? 1) > 1) {
    told.push(`The TIFF has ${metadata.pages} pages; the first one was used.`);
  }
  if (icc && !isUsable(icc) || warnings.some((text) => UNUSABLE_PROFILE.test(text))) {
    told.push("The colour profile cannot be used; the colours are taken as sRGB.");
  }
  if (picture.animation) {
    const { delays, loop } = picture.animation;
    // More repetitions than there is room for are as good as forever.
    picture.animation = {
      delays: delays.map((delay) => Math.min(delay, MAX_UINT16)),
      loop: loop > MAX_UINT16 ? 0 : loop,
    };
  }
  return { picture, size, kind, exif, icc: keep ? icc : null, warnings: told };
}

/**
 * By how much a JPEG is made smaller as it is read, by how much it will be made smaller in all. libjpeg gives a half, a
 * quarter or an eighth at little cost; sharp makes use of that from 3 on. A factor of 1.5 is left for our own scaler,
 * which averages light.
 */
function reductionOnLoad(reduction: number): number {
  return reduction >= 4.5 ? reduction / 1.5 : 1;
}

/** Reads a JPEG that a strict decoder refuses, if nothing is wrong but bytes that belong to nothing. */
async function unpackWithoutStray(
  bytes: Uint8Array,
  unpack: (bytes: Uint8Array) => Promise<Picture>,
): Promise<Picture> {
  const file = withoutStraySegments(bytes);
  if (!file) throw new Error("The JPEG has no pixels.");
  try {
    return await unpack(file);
  } catch (error) {
    const rest = withoutLeftOver(file, (error as Error).message);
    if (!rest) throw error;
    return await unpack(rest);
  }
}

/** Whether a colour profile is whole (ICC.1:2022, 7.2 and 7.3), so that what it says is used. */
function isUsable(icc: Uint8Array): boolean {
  if (icc.length < 132) return false;
  const view = new DataView(icc.buffer, icc.byteOffset, icc.length);
  const tags = view.getUint32(128);
  if (view.getUint32(0) > icc.length || view.getUint32(36) !== 0x61637370 || 132 + tags * 12 > icc.length) return false;
  return Array.from({ length: tags }, (_, i) => 132 + i * 12)
    .every((at) => view.getUint32(at + 4) + view.getUint32(at + 8) <= icc.length);
}

/** The colours that a profile is for, such as `RGB ` and `GRAY` (ICC.1:2022, 7.2.6). */
function spaceOf(icc: Uint8Array): string {
  return String.fromCharCode(...icc.subarray(16, 20));
}

function framesOf(bytes: Uint8Array, kind: Kind, { pages = 1, format }: Metadata): number {
  if (kind === "png") return Math.max(1, apngFrames(bytes));
  if (kind === "avif") return String.fromCharCode(...bytes.subarray(8, 40)).includes("avis") ? Math.max(2, pages) : 1;
  // The pages of a TIFF are pictures of their own: the first one is used.
  return format === "gif" || format === "webp" ? pages : 1;
}

/** A picture with all its frames as one. */
function tall(picture: Picture): Picture {
  return { ...picture, height: picture.height * frameCount(picture), animation: null };
}

/** A picture whose codes are meant by a profile, in sRGB. */
async function converted(
  chain: Sharp,
  icc: Uint8Array,
  isDeep: boolean,
  warnings: string[],
  { animation }: Pick<Picture, "animation">,
): Promise<Picture> {
  const isGrey = spaceOf(icc) === "GRAY";
  const deep = isDeep && !isGrey;
  const png = await chain.toColourspace(isGrey ? "b-w" : deep ? "rgb16" : "srgb").png({ compressionLevel: 0 })
    .toBuffer();
  const meant = open(withMetadata(png, { icc }));
  meant.on("warning", (text: string) => warnings.push(text));
  if (deep) meant.withIccProfile("srgb");
  return await toPicture(meant, animation);
}
