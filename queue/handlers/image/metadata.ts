/**
 * Metadata of an image file: EXIF and the colour profile, taken out of one file and put into another.
 *
 * @module
 */

import { crc32, deflateSync, inflateSync } from "node:zlib";
import { type Format, jpegSegments, pngChunks, readTags, tiffTags, webpChunks } from "./header.ts";

/** What is kept of a file's metadata. */
export interface Metadata {
  /** A TIFF structure, as EXIF is everywhere. */
  exif: Uint8Array | null;
  /** An ICC profile. */
  icc: Uint8Array | null;
}

const EXIF = "Exif\0\0";
const ICC = "ICC_PROFILE\0";
/** Bytes of a colour profile; those in use have a few kilobytes. */
const MAX_ICC = 4 * 1024 * 1024;
/** The tag of EXIF and TIFF that says how the picture is to be turned. */
const ORIENTATION = 274;

/** Takes the metadata out of a file. What is damaged is left out. */
export function readMetadata(bytes: Uint8Array, format: Format): Metadata {
  const metadata: Metadata = { exif: null, icc: null };
  if (format === "tiff") metadata.exif = bytes;
  else if (format === "png") {
    for (const { type, start, end } of pngChunks(bytes)) {
      if (type === "eXIf") metadata.exif = bytes.subarray(start, end);
      if (type === "iCCP") metadata.icc = inflated(bytes.subarray(bytes.indexOf(0, start) + 2, end));
    }
  } else if (format === "webp") {
    for (const { type, start, end } of webpChunks(bytes)) {
      const data = bytes.subarray(start, end);
      if (type === "EXIF") metadata.exif = startsWith(data, EXIF) ? data.subarray(EXIF.length) : data;
      if (type === "ICCP") metadata.icc = data;
    }
  } else if (format === "jpeg") {
    const parts: Uint8Array[] = [];
    for (const { marker, start, end } of jpegSegments(bytes)) {
      const data = bytes.subarray(start, end);
      if (marker === 0xe1 && startsWith(data, EXIF)) metadata.exif ??= data.subarray(EXIF.length);
      // A profile may take several segments, which say their number.
      if (marker === 0xe2 && startsWith(data, ICC)) parts[data[ICC.length] - 1] = data.subarray(ICC.length + 2);
    }
    if (parts.length > 0 && !Array.from(parts).includes(undefined as never)) metadata.icc = joined(parts);
  }
  return metadata;
}

/** How a picture is to be turned, 1 to 8 as EXIF counts; 1 if nothing is said. */
export function orientationOf({ exif }: Metadata): number {
  if (!exif) return 1;
  const orientation = undamaged(() => readTags(exif).get(ORIENTATION)) ?? 1;
  return orientation >= 1 && orientation <= 8 ? orientation : 1;
}

/** The same EXIF for a picture that has been turned upright; null if it is damaged. */
export function withOrientationReset(exif: Uint8Array): Uint8Array<ArrayBuffer> | null {
  return undamaged(() => {
    const copy = new Uint8Array(exif);
    const view = new DataView(copy.buffer);
    const little = view.getUint16(0) === 0x4949;
    for (const { tag, type, at } of tiffTags(copy)) {
      if (tag !== ORIENTATION) continue;
      if (type === 4) view.setUint32(at, 1, little);
      else view.setUint16(at, 1, little);
    }
    return copy;
  });
}

/** Damaged metadata does not prevent the picture from being read. */
function undamaged<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/**
 * Whether a colour profile is RGB, like all pictures that are written, but not sRGB, which all readers assume: without
 * the profile, the colours would change (ICC.1:2022, 7.2).
 */
export function isForeignRgb(icc: Uint8Array | null): icc is Uint8Array {
  return isRgb(icc) && !new TextDecoder("latin1").decode(icc.subarray(128)).replaceAll("\0", "").includes("sRGB");
}

/** Whether a colour profile is complete and RGB. */
export function isRgb(icc: Uint8Array | null): icc is Uint8Array {
  if (!icc || icc.length < 132) return false;
  const text = (at: number) => String.fromCharCode(...icc.subarray(at, at + 4));
  const length = new DataView(icc.buffer, icc.byteOffset).getUint32(0);
  return length === icc.length && text(16) === "RGB " && text(36) === "acsp";
}

/** Puts metadata into a file that has none. What a format has no room for is left out. */
export function writeMetadata(
  file: Uint8Array,
  format: "png" | "jpeg" | "webp",
  { exif, icc }: Metadata,
  size: { width: number; height: number; alpha: boolean },
): Uint8Array {
  if (!exif && !icc) return file;
  if (format === "png") {
    const chunks = [];
    if (icc) chunks.push(pngChunk("iCCP", joined([ascii("icc\0\0"), deflateSync(icc)])));
    if (exif) chunks.push(pngChunk("eXIf", exif));
    // Right after IHDR, which has 25 bytes after the signature's 8.
    return joined([file.subarray(0, 33), ...chunks, file.subarray(33)]);
  }
  if (format === "jpeg") {
    const segments = [];
    if (exif && exif.length < 65_000) segments.push(jpegSegment(0xe1, joined([ascii(EXIF), exif])));
    if (icc) {
      const count = Math.ceil(icc.length / 65_000);
      for (let i = 0; i < count; i++) {
        const part = icc.subarray(i * 65_000, (i + 1) * 65_000);
        segments.push(jpegSegment(0xe2, joined([ascii(ICC), Uint8Array.of(i + 1, count), part])));
      }
    }
    return joined([file.subarray(0, 2), ...segments, file.subarray(2)]);
  }
  const flags = (icc ? 0x20 : 0) | (size.alpha ? 0x10 : 0) | (exif ? 0x08 : 0);
  const uint24 = (value: number) => [value & 255, value >> 8 & 255, value >> 16];
  const extended = Uint8Array.of(flags, 0, 0, 0, ...uint24(size.width - 1), ...uint24(size.height - 1));
  const picture = [...webpChunks(file)].filter(({ type }) => ["VP8 ", "VP8L", "ALPH"].includes(type))
    .map(({ type, start, end }) => riffChunk(type, file.subarray(start, end)));
  const body = joined([
    ascii("WEBP"),
    riffChunk("VP8X", extended),
    ...icc ? [riffChunk("ICCP", icc)] : [],
    ...picture,
    ...exif ? [riffChunk("EXIF", exif)] : [],
  ]);
  return riffChunk("RIFF", body);
}

function inflated(bytes: Uint8Array): Uint8Array | null {
  try {
    return inflateSync(bytes, { maxOutputLength: MAX_ICC });
  } catch {
    // An unreadable profile is treated as missing.
    return null;
  }
}

function pngChunk(type: string, data: Uint8Array): Uint8Array {
  const chunk = new Uint8Array(data.length + 12);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, data.length);
  chunk.set(ascii(type), 4);
  chunk.set(data, 8);
  view.setUint32(data.length + 8, crc32(chunk.subarray(4, data.length + 8)));
  return chunk;
}

function jpegSegment(marker: number, data: Uint8Array): Uint8Array {
  const length = data.length + 2;
  return joined([Uint8Array.of(0xff, marker, length >> 8, length & 255), data]);
}

function riffChunk(type: string, data: Uint8Array): Uint8Array {
  const chunk = new Uint8Array(8 + data.length + data.length % 2);
  chunk.set(ascii(type));
  new DataView(chunk.buffer).setUint32(4, data.length, true);
  chunk.set(data, 8);
  return chunk;
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return ascii(text).every((byte, i) => bytes[i] === byte);
}

function joined(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
