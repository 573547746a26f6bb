/**
 * What kind of file a picture is, by its bytes.
 *
 * @module
 */

import { fileTypeFromBuffer } from "file-type";
import { ImageError } from "../error.ts";
import { pngChunks } from "../png_chunks.ts";
import { firstDirectory } from "../tiff_directory.ts";

/** Kinds of files that are read. */
export const KINDS = ["png", "jpeg", "gif", "tiff", "webp", "avif", "heic", "bmp"] as const;

/** One of {@linkcode KINDS}. */
export type Kind = (typeof KINDS)[number];

const READABLE = "PNG, JPEG, GIF, WebP, AVIF, HEIC, TIFF and BMP are read.";

/**
 * Tells the kind of a file.
 *
 * @throws {ImageError} If it is none that is read; the message names what it is.
 */
export async function kindOf(bytes: Uint8Array): Promise<Kind> {
  const text = latin1(bytes.subarray(0, 4_096));
  if (text.startsWith("\x89PNG\r\n\x1a\n")) {
    for (const { type } of pngChunks(bytes)) {
      if (type === "CgBI") {
        throw new ImageError("This PNG was changed for iOS (CgBI) and is no longer a PNG; use the original file.");
      }
      break;
    }
    return "png";
  }
  if (text.startsWith("\xff\xd8\xff")) return "jpeg";
  if (/^GIF8[79]a/.test(text)) return "gif";
  if (/^(II[*+]\0|MM\0[*+])/.test(text)) {
    assertTiff(bytes);
    return "tiff";
  }
  if (/^RIFF[^]{4}WEBP/.test(text)) return "webp";
  // BMP: the size of its header follows the file header of 14 bytes.
  if (text.startsWith("BM") && [12, 16, 40, 52, 56, 64, 108, 124].includes(bytes[14]) && bytes[15] === 0) {
    // BI_JPEG and BI_PNG: for printers.
    if (bytes[14] >= 40 && (bytes[30] === 4 || bytes[30] === 5)) {
      throw new ImageError("This BMP has a JPEG or PNG inside; send that file itself.");
    }
    return "bmp";
  }
  if (text.slice(4, 8) === "ftyp") {
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    const brands = length <= bytes.length ? text.slice(8, Math.min(length, 4_096)) : "";
    if (brands.startsWith("avis")) throw new ImageError("This is an animated AVIF; only still ones are read.");
    if (/avi[fs]/.test(brands)) return "avif";
    if (/hei[cxms]|hev[cxms]/.test(brands)) return "heic";
  }
  if (/^\ufeff?\s*</.test(text.replace("\xef\xbb\xbf", "")) && /<svg[\s>]/i.test(text)) {
    throw new ImageError(`This is an SVG, a drawing and no picture of pixels. ${READABLE}`);
  }
  const found = await fileTypeFromBuffer(bytes);
  throw new ImageError(
    found
      ? `This is a file of kind ${found.ext.toUpperCase()} (${found.mime}). ${READABLE}`
      : `This is no picture. ${READABLE}`,
  );
}

/** Samples of a pixel by how a TIFF says they are to be seen (PhotometricInterpretation). */
const SAMPLES: Record<number, number> = { 0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3 };

/** Refuses TIFFs that no decoder here reads right. */
function assertTiff(bytes: Uint8Array): void {
  const tags = firstDirectory(bytes);
  const number = (tag: number, otherwise: number) => tags.get(tag)?.[0] ?? otherwise;
  const photometric = number(262, 1);
  // DNGVersion; a reduced picture where the first one should be; samples of a sensor.
  if (tags.has(50_706) || number(254, 0) & 1 || photometric === 32_803 || photometric === 34_892) {
    throw new ImageError("This is a camera's raw file; develop it to JPEG or TIFF first.");
  }
  const most = (SAMPLES[photometric] ?? 3) + 1;
  if (number(277, 1) > most) {
    throw new ImageError(
      `This TIFF has ${number(277, 1)} channels; at most ${most} of its kind are read, one of them alpha.`,
    );
  }
}

/**
 * Whether a TIFF is of a kind that libvips refuses or takes for another: samples of unusual sizes or in floating point,
 * tiles with a plane for each colour, colours other than grey, RGB, palette and CMYK.
 */
export function isUnusualTiff(bytes: Uint8Array): boolean {
  const tags = firstDirectory(bytes);
  const number = (tag: number, otherwise: number) => tags.get(tag)?.[0] ?? otherwise;
  const photometric = number(262, 1);
  const isJpeg = [6, 7].includes(number(259, 1));
  return !(tags.get(258) ?? [1]).every((bits) => [1, 2, 4, 8, 16].includes(bits)) ||
    number(339, 1) !== 1 ||
    number(284, 1) === 2 && tags.has(322) ||
    !([0, 1, 2, 3, 5].includes(photometric) || photometric === 6 && isJpeg);
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
