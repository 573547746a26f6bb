/**
 * Cuts and scales a picture.
 *
 * @module
 */

import scale from "@jsquash/resize/index.js";
import { coveredArea, type Fit, fittedSize, type Position, type Size } from "./fit.ts";
import { ImageError } from "./error.ts";
import { frameCount, framesOf, openPicture, type Picture, toPicture } from "./vips.ts";

/** More pixels than this are not searched for the part that draws the eye. */
const MAX_SEARCHED = 50_000_000;

/**
 * Scales a picture, or an area of it, to exactly this size: Lanczos over the area that each new pixel covers, with the
 * light (not its code) averaged and transparent pixels counting for nothing. libvips is faster, but averages squares
 * of pixels first where a picture shrinks to a quarter or less, so that fine patterns become coarse ones.
 */
export async function resize(
  picture: Picture,
  size: Size,
  area?: Size & { left: number; top: number },
): Promise<Picture> {
  const { left, top, width, height } = area ?? { left: 0, top: 0, ...picture };
  const whole = width === picture.width && height === picture.height;
  if (whole && width === size.width && height === size.height) return picture;
  const bytes = size.width * size.height * 4;
  const data = new Uint8Array(bytes * frameCount(picture));
  let i = 0;
  for (const frame of framesOf(picture)) {
    const part = new Uint8ClampedArray(width * height * 4);
    for (let y = 0; y < height; y++) {
      const at = ((top + y) * picture.width + left) * 4;
      part.set(frame.data.subarray(at, at + width * 4), y * width * 4);
    }
    const scaled = await scale(
      { data: part, width, height, colorSpace: "srgb" } as ImageData,
      { ...size, method: "lanczos3", linearRGB: true, premultiply: true, fitMethod: "stretch" },
    );
    data.set(scaled.data, bytes * i++);
  }
  return { ...picture, ...size, data };
}

/** Fits a picture into a frame; for `contain` without what is beside it. */
export async function fitted(picture: Picture, target: Size, fit: Fit, position: Position): Promise<Picture> {
  if (fit !== "cover") return await resize(picture, fittedSize(picture, target, fit));
  if (position === "attention") return await attended(picture, target);
  // Cropped first: scaled as a whole, a very long picture would not fit into memory.
  return await resize(picture, target, coveredArea(picture, target, position));
}

async function attended(picture: Picture, target: Size): Promise<Picture> {
  if (picture.animation) throw new ImageError('Position "attention" is for still pictures.');
  const scale = Math.max(target.width / picture.width, target.height / picture.height);
  const size = {
    width: Math.max(target.width, Math.round(picture.width * scale)),
    height: Math.max(target.height, Math.round(picture.height * scale)),
  };
  if (size.width * size.height > MAX_SEARCHED) {
    throw new ImageError(`Position "attention" is not for a picture of ${picture.width}×${picture.height}.`);
  }
  const scaled = await resize(picture, size);
  const { width, height } = target;
  return await toPicture(openPicture(scaled).resize(width, height, { fit: "cover", position: "attention" }));
}
