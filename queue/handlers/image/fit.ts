/**
 * How a picture is fitted into a frame: which part is used, its size, and its position.
 *
 * @module
 */

/** Cover crops, contain pads, inside never enlarges, fill distorts. */
export const FITS = ["cover", "contain", "inside", "fill"] as const;

/** One of {@linkcode FITS}. */
export type Fit = (typeof FITS)[number];

/** Width and height in pixels. */
export interface Size {
  width: number;
  height: number;
}

/** The size that a picture is scaled to: never more than the target. */
export function fittedSize(image: Size, target: Size, fit: Fit): Size {
  if (fit === "fill" || fit === "cover") return target;
  let scale = Math.min(target.width / image.width, target.height / image.height);
  if (fit === "inside") scale = Math.min(1, scale);
  return {
    width: Math.max(1, Math.round(image.width * scale)),
    height: Math.max(1, Math.round(image.height * scale)),
  };
}

/** The middle of a picture that has the target's proportions. */
export function coveredArea(image: Size, target: Size): Size & { left: number; top: number } {
  const scale = Math.min(image.width / target.width, image.height / target.height);
  const width = Math.min(image.width, Math.max(1, Math.round(target.width * scale)));
  const height = Math.min(image.height, Math.max(1, Math.round(target.height * scale)));
  return { left: Math.floor((image.width - width) / 2), top: Math.floor((image.height - height) / 2), width, height };
}
