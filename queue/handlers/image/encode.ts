/**
 * Finishes a picture (background, sharpening, watermark) and writes it.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Sharp } from "sharp";
import type { Size } from "./fit.ts";
import type { OutputFormat } from "./formats.ts";
import { withMetadata } from "./png_chunks.ts";
import { framesOf, open, openPicture, type Picture, toPicture } from "./vips.ts";

/** More colours than this make a photo of a drawing, for `auto`. */
const DRAWING_COLOURS = 256;

/**
 * The format that suits a picture: WebP for animations and for what is transparent, PNG for drawings of up to 256
 * colours, else JPEG. All are read everywhere.
 */
export function suitableFormat(picture: Picture): OutputFormat {
  if (picture.animation || !isOpaque(picture)) return "webp";
  const colours = new Set<number>();
  const { data } = picture;
  for (let i = 0; i < data.length && colours.size <= DRAWING_COLOURS; i += 4) {
    colours.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
  }
  return colours.size <= DRAWING_COLOURS ? "png" : "jpeg";
}

/** Whether nothing of it is transparent. */
export function isOpaque({ data }: Picture): boolean {
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return false;
  return true;
}

/** How a picture is finished. */
export interface Finish {
  /** `#rrggbb`, behind and beside the picture; null: transparent. */
  background: string | null;
  /** The frame that the picture is put into the middle of. */
  frame: Size;
  /** Radius of sharpening in pixels; 0: none. */
  sharpen: number;
  /** Put over each frame: four channels of the frame's size. */
  overlay: Uint8Array | null;
}

/** Finishes a picture, each frame by itself. */
export async function finished(picture: Picture, how: Finish): Promise<Picture> {
  const frames: Uint8Array[] = [];
  for (const frame of framesOf(picture)) frames.push((await finishedFrame(frame, how)).data);
  return { ...picture, ...how.frame, data: frames.length === 1 ? frames[0] : Buffer.concat(frames) };
}

async function finishedFrame(picture: Picture, { background, frame, sharpen, overlay }: Finish): Promise<Picture> {
  let chain = openPicture(picture);
  if (background) chain = chain.flatten({ background });
  // Before there is anything beside it; sharp has an order of its own within a chain.
  if (sharpen > 0) chain = openPicture(await toPicture(chain.sharpen({ sigma: sharpen })));
  const room = { width: frame.width - picture.width, height: frame.height - picture.height };
  if (room.width > 0 || room.height > 0) {
    const [left, top] = [Math.floor(room.width / 2), Math.floor(room.height / 2)];
    const around = { left, top, right: room.width - left, bottom: room.height - top };
    chain = chain.extend({ ...around, background: background ?? { r: 0, g: 0, b: 0, alpha: 0 } });
  }
  if (overlay) {
    const raw = { width: frame.width, height: frame.height, channels: 4 as const };
    chain = chain.composite([{ input: Buffer.from(overlay.buffer), raw }]);
  }
  return await toPicture(chain);
}

/**
 * Writes a picture.
 *
 * @param quality 1 to 100, for JPEG, WebP and AVIF.
 * @param metadata The profile of its colours if they are not sRGB, and EXIF; an animation has neither.
 */
export async function encode(
  picture: Picture,
  format: OutputFormat,
  quality: number,
  { icc, exif }: { icc?: Uint8Array; exif?: Uint8Array } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  let chain = openPicture(picture);
  if (isOpaque(picture)) chain = chain.removeAlpha();
  if (icc || exif) {
    const png = await chain.png({ compressionLevel: 0 }).toBuffer();
    chain = open(withMetadata(png, { icc, exif }), { ignoreIcc: true });
    if (icc) chain = chain.keepIccProfile();
    if (exif) chain = chain.keepExif();
  }
  return new Uint8Array(await written(chain, format, quality, picture.animation).toBuffer());
}

function written(chain: Sharp, format: OutputFormat, quality: number, animation: Picture["animation"]): Sharp {
  const frames = animation ? { delay: animation.delays, loop: animation.loop } : {};
  switch (format) {
    case "png":
      return chain.png();
    case "jpeg":
      return chain.jpeg({ quality, mozjpeg: true });
    case "webp":
      return chain.webp({ quality, ...frames });
    case "avif":
      return chain.avif({ quality });
    case "gif":
      return chain.gif(frames);
  }
}
