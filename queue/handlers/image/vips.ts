/**
 * The main codec library: sharp (libvips). Its native binary is used where it is installed and `--allow-ffi` is given,
 * else its Wasm build: the same code, the same results, about half the speed.
 *
 * @module
 */

import sharp, { type Sharp, type SharpOptions } from "sharp";
// Not used by name: it puts the Wasm build where sharp finds it.
import "@img/sharp-wasm32/package" with { type: "json" };

// One thread a worker; nothing is kept from one picture to the next.
sharp.concurrency(1);
sharp.cache(false);
// Nothing else that libvips could read is tried on files from outside. SVG is for texts of our own.
sharp.block({ operation: ["VipsForeignLoad"] });
const LOADERS = ["Jpeg", "Png", "Nsgif", "Webp", "Tiff", "Heif", "Svg"];
sharp.unblock({ operation: LOADERS.map((name) => `VipsForeignLoad${name}`) });

/** Which build of the library works here. */
export const ENGINE: "native" | "wasm" = "emscripten" in sharp.versions ? "wasm" : "native";

/** A picture in memory. */
export interface Picture {
  /** Red, green, blue, alpha; 8 bits each, not premultiplied, in sRGB; row by row, and all frames of an animation. */
  data: Uint8Array;
  width: number;
  /** Of one frame. */
  height: number;
  /** Of an animation: how long each frame is shown, in milliseconds, and how often all are (0: forever). */
  animation: { delays: number[]; loop: number } | null;
}

/** Opens a file. A size limit is the caller's business: by default libvips has one of its own. */
export function open(bytes: Uint8Array, options: SharpOptions = {}): Sharp {
  return sharp(bytes, { limitInputPixels: false, ...options });
}

/** How many frames a picture has: 1 if it is no animation. */
export function frameCount({ animation }: Pick<Picture, "animation">): number {
  return animation?.delays.length ?? 1;
}

/** The frames of a picture, each as a still. */
export function* framesOf(picture: Picture): Generator<Picture> {
  const bytes = picture.width * picture.height * 4;
  for (let i = 0; i < frameCount(picture); i++) {
    yield { ...picture, data: picture.data.subarray(i * bytes, (i + 1) * bytes), animation: null };
  }
}

/** Starts to work on a picture in memory. */
export function openPicture(picture: Picture): Sharp {
  const { data, width, height, animation } = picture;
  const size = { width, height: height * frameCount(picture), channels: 4 as const };
  return sharp(data, { raw: { ...size, ...animation && { pageHeight: height } }, limitInputPixels: false });
}

/** Ends a chain of operations with a picture in memory. */
export async function toPicture(chain: Sharp, animation: Picture["animation"] = null): Promise<Picture> {
  const raw = chain.toColourspace("srgb").ensureAlpha().raw();
  const { data, info } = await raw.toBuffer({ resolveWithObject: true });
  if (info.channels !== 4) throw new Error(`The picture has ${info.channels} channels.`);
  return { data, width: info.width, height: info.height / frameCount({ animation }), animation };
}
