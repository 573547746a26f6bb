/**
 * Reading, scaling and writing pictures: the one place that knows the libraries. imagescript draws, cuts, composes and
 * reads GIF; UTIF reads TIFF; jSquash (Wasm builds of MozJPEG, libwebp, the `png` crate and the `resize` crate) does what
 * imagescript cannot do or does much worse. CONTRIBUTING.md has the numbers.
 *
 * @module
 */

import decodeJpeg from "@jsquash/jpeg/decode.js";
import encodeJpeg from "@jsquash/jpeg/encode.js";
import decodePng from "@jsquash/png/decode.js";
import encodePng from "@jsquash/png/encode.js";
import scale from "@jsquash/resize/index.js";
import decodeWebp from "@jsquash/webp/decode.js";
import encodeWebp from "@jsquash/webp/encode.js";
import { decode as decodeWithImagescript, GIF, type Image } from "imagescript";
import utif from "utif2";
import { type Format, jpegSegments } from "./header.ts";

/** Pixels, four bytes each (red, green, blue, alpha that is not multiplied in), row by row. */
export interface Pixels {
  data: Uint8ClampedArray<ArrayBuffer>;
  width: number;
  height: number;
}

/** Encodings that are written. */
export const OUTPUT_FORMATS = ["png", "jpeg", "webp"] as const;

/** One of {@linkcode OUTPUT_FORMATS}. */
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/**
 * Reads a picture as it is stored. Of a TIFF, the first page.
 *
 * @throws {Error} If the file is damaged.
 */
export async function decode(bytes: Uint8Array<ArrayBuffer>, format: Format): Promise<Pixels> {
  const buffer = bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : bytes.slice().buffer;
  if (format === "jpeg") {
    // MozJPEG fills what is missing with grey and calls it a picture.
    if (!isWholeJpeg(bytes)) throw new Error("its end is missing");
    return pixelsOf(await decodeJpeg(buffer));
  }
  if (format === "tiff") {
    const [page] = utif.decode(buffer);
    utif.decodeImage(buffer, page);
    const data = new Uint8ClampedArray(utif.toRGBA8(page));
    return { data, width: page.width, height: page.height };
  }
  if (format === "png") return pixelsOf(await decodePng(buffer));
  if (format === "webp") return pixelsOf(await decodeWebp(buffer));
  const decoded = await decodeWithImagescript(bytes);
  const image = decoded instanceof GIF ? decoded[0] as unknown as Image : decoded as Image;
  return { data: new Uint8ClampedArray(image.bitmap), width: image.width, height: image.height };
}

/** Whether the picture is followed by the end-of-image marker, which cannot stand inside it (ITU-T T.81, B.1.1.5). */
function isWholeJpeg(bytes: Uint8Array): boolean {
  let start = 0;
  for (const { end } of jpegSegments(bytes)) start = end;
  for (let at = bytes.indexOf(0xff, start); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    if (bytes[at + 1] === 0xd9) return true;
  }
  return false;
}

function pixelsOf(image: { data: Uint8ClampedArray; width: number; height: number } | null): Pixels {
  if (!image) throw new Error("The picture could not be read.");
  return { data: image.data as Uint8ClampedArray<ArrayBuffer>, width: image.width, height: image.height };
}

/**
 * Scales a picture: Lanczos over the area that each new pixel covers, with the light (not its code) averaged and
 * transparent pixels counting for nothing.
 */
export async function resize(pixels: Pixels, width: number, height: number): Promise<Pixels> {
  if (pixels.width === width && pixels.height === height) return pixels;
  return pixelsOf(
    await scale(imageData(pixels), {
      width,
      height,
      method: "lanczos3",
      linearRGB: true,
      premultiply: true,
      fitMethod: "stretch",
    }),
  );
}

/** Writes a picture. `quality` is 1 to 100, for JPEG and WebP. */
export async function encode(pixels: Pixels, format: OutputFormat, quality: number): Promise<Uint8Array<ArrayBuffer>> {
  const image = imageData(pixels);
  if (format === "png") return new Uint8Array(await encodePng(image));
  if (format === "jpeg") return new Uint8Array(await encodeJpeg(image, { quality }));
  return new Uint8Array(await encodeWebp(image, { quality }));
}

function imageData(pixels: Pixels): ImageData {
  return { ...pixels, colorSpace: "srgb" } as ImageData;
}
