/**
 * The other codec library: ImageMagick as Wasm reads what libvips does not. It is loaded when such a file comes.
 *
 * @module
 */

import {
  ColorSpace,
  ImageMagick,
  initializeImageMagick,
  MagickFormat,
  MagickImageInfo,
  MagickReadSettings,
} from "@imagemagick/magick-wasm";
import type { Kind } from "./kind.ts";

/** What is read here, by the name that ImageMagick has for it. */
const FORMATS: Partial<Record<Kind, MagickFormat>> = {
  bmp: MagickFormat.Bmp,
  heic: MagickFormat.Heic,
  tiff: MagickFormat.Tiff,
};

let ready: Promise<void> | null = null;

/** Loads the library. */
export async function loadMagick(): Promise<void> {
  const wasm = new URL(import.meta.resolve("@imagemagick/magick-wasm/magick.wasm"));
  ready ??= Deno.readFile(wasm).then(initializeImageMagick);
  try {
    await ready;
  } catch (error) {
    ready = null;
    throw error;
  }
}

/**
 * Reads the first picture of a file, upright, once the library is loaded.
 *
 * @param assertSize Throws if it has too many pixels; called before they are unpacked.
 * @returns A PNG with the colour profile, and EXIF as a TIFF structure.
 */
export function convertToPng(
  bytes: Uint8Array,
  kind: Kind,
  assertSize: (width: number, height: number) => void,
): { png: Uint8Array; exif: Uint8Array | null } {
  const settings = new MagickReadSettings({ format: FORMATS[kind], frameIndex: 0, frameCount: 1 });
  const { width, height } = MagickImageInfo.create(bytes, settings);
  assertSize(width, height);
  return ImageMagick.read(bytes, settings, (image) => {
    const exif = image.getProfile("exif")?.data.slice();
    // HEIC is turned by the decoder; EXIF repeats what has been done.
    if (kind !== "heic") image.autoOrient();
    image.removeProfile("exif");
    if (image.colorSpace !== ColorSpace.Gray) image.colorSpace = ColorSpace.sRGB;
    const png = image.write(MagickFormat.Png, (data) => data.slice());
    return { png, exif: exif ? withoutMark(exif) : null };
  });
}

/** EXIF without the mark that JPEG and WebP put before it. */
export function withoutMark(exif: Uint8Array): Uint8Array {
  return String.fromCharCode(...exif.subarray(0, 6)) === "Exif\0\0" ? exif.subarray(6) : exif;
}
