/**
 * How a picture is fitted into a frame: which part is used, its size, and its position.
 *
 * @module
 */

/** Cover crops, contain pads, inside never enlarges, fill distorts. */
export const FITS = ["cover", "contain", "inside", "fill"] as const;

/** One of {@linkcode FITS}. */
export type Fit = (typeof FITS)[number];

/** Nine places of a frame. */
export const PLACES = [
  "centre",
  "top",
  "top-right",
  "right",
  "bottom-right",
  "bottom",
  "bottom-left",
  "left",
  "top-left",
] as const;

/** One of {@linkcode PLACES}. */
export type Place = (typeof PLACES)[number];

/** Which part is used when a picture is cropped: a place, or the part that draws the eye most. */
export const POSITIONS = [...PLACES, "attention"] as const;

/** One of {@linkcode POSITIONS}. */
export type Position = (typeof POSITIONS)[number];

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

/** By how much a picture is made smaller, in the direction in which that is less; below 1, it is made larger. */
export function reduction(image: Size, target: Size, fit: Fit): number {
  const [across, down] = [image.width / target.width, image.height / target.height];
  return fit === "cover" || fit === "fill" ? Math.min(across, down) : Math.max(across, down);
}

/** The part of a picture that has the target's proportions, at a place. */
export function coveredArea(image: Size, target: Size, place: Place = "centre"): Size & { left: number; top: number } {
  const scale = Math.min(image.width / target.width, image.height / target.height);
  const width = Math.min(image.width, Math.max(1, Math.round(target.width * scale)));
  const height = Math.min(image.height, Math.max(1, Math.round(target.height * scale)));
  return { ...placed({ width: image.width - width, height: image.height - height }, place), width, height };
}

/** Where something stands, by the room that is left beside it. */
export function placed(room: Size, place: Place): { left: number; top: number } {
  const share = (before: string, after: string) => place.includes(before) ? 0 : place.includes(after) ? 1 : 0.5;
  return {
    left: Math.floor(room.width * share("left", "right")),
    top: Math.floor(room.height * share("top", "bottom")),
  };
}
