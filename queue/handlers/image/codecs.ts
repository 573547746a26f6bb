/**
 * Reading, scaling and writing pictures: the only place that uses the codec libraries. imagescript draws, crops,
 * composes and reads GIF; `tiff` reads TIFF; jSquash (Wasm builds of MozJPEG, libwebp, the `png` crate and the `resize`
 * crate) does what imagescript cannot do or does much worse. CONTRIBUTING.md has the numbers.
 *
 * @module
 */

import decodeJpeg, { init as initJpeg } from "@jsquash/jpeg/decode.js";
import encodeJpeg from "@jsquash/jpeg/encode.js";
import decodePng from "@jsquash/png/decode.js";
import encodePng from "@jsquash/png/encode.js";
import scale from "@jsquash/resize/index.js";
import decodeWebp from "@jsquash/webp/decode.js";
import encodeWebp from "@jsquash/webp/encode.js";
import { decode as decodeWithImagescript, GIF, type Image } from "imagescript";
import { Buffer } from "node:buffer";
import { decode as decodePages } from "tiff";
import { type Format, pngChunks } from "./header.ts";
import { withOrientationReset } from "./metadata.ts";

/** Pixels, four bytes each (red, green, blue, alpha; not premultiplied), row by row. */
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
 * Reads a picture as it is stored; for a TIFF, the first page.
 *
 * @throws {Error} If the file is damaged or of an unsupported kind.
 */
export async function decode(bytes: Uint8Array<ArrayBuffer>, format: Format): Promise<Pixels> {
  switch (format) {
    case "jpeg":
      return await decodeWholeJpeg(bytes);
    case "png":
      return pixelsOf(await decodePng(plainPng(bytes).buffer));
    case "webp":
      return pixelsOf(await decodeWebp(bytes.slice().buffer));
    case "tiff":
      return decodeTiff(bytes);
    case "gif": {
      const decoded = await decodeWithImagescript(bytes);
      const image = decoded instanceof GIF ? decoded[0] as unknown as Image : decoded as Image;
      return { data: new Uint8ClampedArray(image.bitmap), width: image.width, height: image.height };
    }
  }
}

/** MozJPEG fills missing parts with grey, and reports this only on its error output. */
let complaints: string[] = [];
let jpegIsReady = false;

async function decodeWholeJpeg(bytes: Uint8Array): Promise<Pixels> {
  if (!jpegIsReady) {
    await initJpeg({ printErr: (text: string) => void complaints.push(text) } as never);
    jpegIsReady = true;
  }
  complaints = [];
  const pixels = pixelsOf(await decodeJpeg(bytes.slice().buffer));
  const cut = complaints.find((text) => /premature end|corrupt/i.test(text));
  if (cut) throw new Error(cut);
  return pixels;
}

/** The chunks of a PNG that form the picture; others may be damaged, or unpack to any size. */
const PICTURE = new Set(["IHDR", "PLTE", "tRNS", "IDAT", "IEND"]);

function plainPng(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const parts = [bytes.subarray(0, 8)];
  for (const { type, start, end } of pngChunks(bytes)) {
    if (PICTURE.has(type)) parts.push(bytes.subarray(start - 8, end + 4));
  }
  return new Uint8Array(Buffer.concat(parts));
}

/** Grey, RGB or palette, with or without alpha, of 1, 8 or 16 bits a sample, or floating point from 0 to 1. */
function decodeTiff(bytes: Uint8Array): Pixels {
  // The library refuses a rotated picture; it is rotated by our code, like other formats.
  const [page] = decodePages(withOrientationReset(bytes) ?? bytes, { pages: [0] });
  const { width, height, data, samplesPerPixel: samples, bitsPerSample: bits, palette } = page;
  const most = data instanceof Float32Array || data instanceof Float64Array ? 1 : 2 ** bits - 1;
  const out = new Uint8ClampedArray(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    const at = i * samples;
    const code = (k: number) => data[at + k] / most * 255;
    if (page.type === 3) {
      const colour = palette![data[at]];
      for (let k = 0; k < 3; k++) out[i * 4 + k] = colour[k] / 257;
    } else if (samples >= 3) { for (let k = 0; k < 3; k++) out[i * 4 + k] = code(k); }
    else out[i * 4] = out[i * 4 + 1] = out[i * 4 + 2] = code(0);
    out[i * 4 + 3] = page.alpha && (samples === 2 || samples === 4) ? code(samples - 1) : 255;
  }
  return { data: out, width, height };
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
