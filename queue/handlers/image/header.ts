/**
 * Reads the header of an image file before it is decoded: its format and its size. A file of a few kilobytes can unpack
 * to gigabytes, so a picture that would be too large is rejected by its header.
 *
 * @module
 */

import { constants, gunzipSync, inflateRawSync, inflateSync } from "node:zlib";

/** Formats that are read. */
export type Format = "png" | "jpeg" | "gif" | "tiff" | "webp";

/** The header of a file. */
export interface Header {
  format: Format;
  /** Pixels, as they are stored: before EXIF turns them. */
  width: number;
  height: number;
  /** Whether it holds several pictures that are shown one after another. */
  animated: boolean;
}

/** A file whose header describes something unsupported; the message says what. */
export class HeaderError extends Error {
  override name = "HeaderError";
}

/** The format by the first bytes, or null if it is not supported. */
export function formatOf(bytes: Uint8Array): Format | null {
  const text = latin1(bytes, 0, 12);
  if (text.startsWith("\x89PNG\r\n\x1a\n")) return "png";
  if (text.startsWith("\xff\xd8\xff")) return "jpeg";
  if (/^GIF8[79]a/.test(text)) return "gif";
  if (text.startsWith("II*\0") || text.startsWith("MM\0*")) return "tiff";
  if (/^RIFF.{4}WEBP$/s.test(text)) return "webp";
  return null;
}

/**
 * Reads the header.
 *
 * @returns Null if it is none of the formats.
 * @throws {RangeError} If the file ends before its header does.
 * @throws {HeaderError} If it is of an unsupported kind.
 */
export function readHeader(bytes: Uint8Array): Header | null {
  const format = formatOf(bytes);
  if (!format) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { format, ...READERS[format](view, bytes) };
}

type Reader = (view: DataView, bytes: Uint8Array) => Omit<Header, "format">;

const READERS: Record<Format, Reader> = { png: readPng, jpeg: readJpeg, gif: readGif, tiff: readTiff, webp: readWebp };

/** PNG: a row of chunks, IHDR first (https://www.w3.org/TR/png-3/); acTL before the data makes it an animation. */
function readPng(view: DataView, bytes: Uint8Array): Omit<Header, "format"> {
  let animated = false;
  for (const { type } of pngChunks(bytes)) {
    if (type === "acTL") animated = true;
    if (type === "IDAT") break;
  }
  return { width: view.getUint32(16), height: view.getUint32(20), animated };
}

/** A chunk of a PNG: its type and where its data is. */
export interface Chunk {
  type: string;
  start: number;
  end: number;
}

/** The chunks of a PNG; what is cut short is left out. */
export function* pngChunks(bytes: Uint8Array): Generator<Chunk> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 12 <= bytes.length;) {
    const start = at + 8;
    const end = start + view.getUint32(at);
    if (end + 4 > bytes.length) return;
    yield { type: latin1(bytes, at + 4, at + 8), start, end };
    at = end + 4;
  }
}

/** JPEG: a row of segments; the size is in the first start-of-frame (ITU-T T.81, B.2.2). */
function readJpeg(view: DataView, bytes: Uint8Array): Omit<Header, "format"> {
  for (const { marker, start } of jpegSegments(bytes)) {
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      if (view.getUint8(start + 5) === 4) throw new HeaderError("This JPEG is CMYK; only RGB and grey are supported.");
      return { height: view.getUint16(start + 1), width: view.getUint16(start + 3), animated: false };
    }
  }
  throw new RangeError("The file ends before the picture size.");
}

/** A segment of a JPEG before the picture itself. */
export interface Segment {
  marker: number;
  start: number;
  end: number;
}

/** The segments of a JPEG up to the picture itself. */
export function* jpegSegments(bytes: Uint8Array): Generator<Segment> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 2; at + 4 <= bytes.length;) {
    if (bytes[at] !== 0xff) return;
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at++;
      continue;
    }
    const end = at + 2 + view.getUint16(at + 2);
    if (end > bytes.length) return;
    yield { marker, start: at + 4, end };
    if (marker === 0xda) return;
    at = end;
  }
}

/** GIF89a: a row of blocks; every image descriptor (0x2c) is a frame, with a place and size of its own. */
function readGif(view: DataView, bytes: Uint8Array): Omit<Header, "format"> {
  const size = { width: view.getUint16(6, true), height: view.getUint16(8, true) };
  const table = (flags: number) => flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0;
  let frames = 0;
  let at = 13 + table(bytes[10]);
  const skip = () => {
    while (at < bytes.length && bytes[at] !== 0) at += bytes[at] + 1;
    at++;
  };
  while (at < bytes.length && frames < 2) {
    if (bytes[at] === 0x2c) {
      const [left, top, width, height] = [1, 3, 5, 7].map((offset) => view.getUint16(at + offset, true));
      if (left + width > size.width || top + height > size.height) {
        throw new HeaderError("This GIF has a frame that is larger than the picture.");
      }
      frames++;
      at += 10 + table(bytes[at + 9]) + 1;
      skip();
    } else if (bytes[at] === 0x21) {
      at += 2;
      skip();
    } else break;
  }
  return { ...size, animated: frames > 1 };
}

/** TIFF 6.0: the first directory has the size. Tags must not claim more data than the file has. */
function readTiff(view: DataView, bytes: Uint8Array): Omit<Header, "format"> {
  const seen = new Set<number>();
  let [width, height] = [0, 0];
  for (const { tag, type, count } of tiffTags(bytes)) {
    if (seen.has(tag)) throw new HeaderError("This TIFF contains the same tag twice.");
    seen.add(tag);
    if (count * (TIFF_SIZES[type] ?? 1) > view.byteLength) {
      throw new HeaderError("This TIFF has a tag that is larger than the file.");
    }
  }
  const numbers = readTags(bytes);
  [width, height] = [numbers.get(256) ?? 0, numbers.get(257) ?? 0];
  // A tile is unpacked as a whole: apart from padding, it must not be larger than the picture.
  const [tileWidth, tileHeight] = [numbers.get(322) ?? 0, numbers.get(323) ?? 0];
  if (tileWidth > width + 1_024 || tileHeight > height + 1_024 || (numbers.get(277) ?? 1) > 4) {
    throw new HeaderError("This kind of TIFF is not supported.");
  }
  assertStrips(bytes, { width, height });
  return { width, height, animated: false };
}

/** Bytes of one sample at most: a number of double precision. */
const SAMPLE_BYTES = 8;

/**
 * Rejects a TIFF whose compressed pieces unpack to more than its pixels need. The library unpacks them without a limit:
 * Deflate up to a thousand times its length, LZW more than that.
 */
function assertStrips(bytes: Uint8Array, { width, height }: { width: number; height: number }): void {
  const numbers = readTags(bytes);
  const compression = numbers.get(259) ?? 1;
  const measure = compression === 5 ? lzwLength : compression === 8 || compression === 32_946 ? deflateLength : null;
  if (!measure) return;
  // The size with the largest samples, plus a margin for padding.
  const most = (width + 1_024) * (height + 1_024) * (numbers.get(277) ?? 1) * SAMPLE_BYTES;
  let left = Math.min(most, MAX_UNPACKED);
  const tiled = numbers.has(322);
  const offsets = readList(bytes, tiled ? 324 : 273);
  const lengths = readList(bytes, tiled ? 325 : 279);
  for (const [i, offset] of offsets.entries()) {
    const strip = bytes.subarray(offset, offset + (lengths[i] ?? 0));
    const unpacked = measure(strip, left);
    if (unpacked > left) throw new HeaderError("This TIFF unpacks to more data than its pixels need.");
    left -= unpacked;
  }
}

/**
 * What a strip of LZW unpacks to (TIFF 6.0, section 13); more than `most` is more. A code stands for a run: each code
 * that follows another adds one, a byte longer than the run of the code before it.
 */
function lzwLength(strip: Uint8Array, most: number): number {
  const runs = new Uint32Array(4_096).fill(1, 0, 256);
  let total = 0;
  let next = 258;
  let last = 0;
  let width = 9;
  for (let bit = 0; bit + width <= strip.length * 8 && total <= most;) {
    const at = bit >> 3;
    const three = strip[at] << 16 | (strip[at + 1] ?? 0) << 8 | (strip[at + 2] ?? 0);
    const code = three >> 24 - width - (bit & 7) & (1 << width) - 1;
    bit += width;
    if (code === 257) break;
    if (code === 256) {
      [next, last] = [258, 0];
    } else {
      if (last > 0 && next < 4_096) runs[next++] = last + 1;
      last = code < next ? runs[code] : last + 1;
      total += last;
    }
    // The width changes one code early.
    width = next < 511 ? 9 : next < 1_023 ? 10 : next < 2_047 ? 11 : 12;
  }
  return total;
}

/** What a Deflate stream unpacks to, in the three wrappings that the library knows; more than `most` is more. */
function deflateLength(strip: Uint8Array, most: number): number {
  const [first = 0, second = 0] = strip;
  const unpack = first === 0x1f && second === 0x8b
    ? gunzipSync
    : (first & 15) === 8 && (first * 256 + second) % 31 === 0
    ? inflateSync
    : inflateRawSync;
  try {
    return unpack(strip, { maxOutputLength: most + 1, finishFlush: constants.Z_SYNC_FLUSH }).length;
  } catch (error) {
    if ((error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE") return Infinity;
    // Damaged: the library will detect that too.
    return 0;
  }
}

/** Most bytes that the pieces of a TIFF may unpack to, whatever its stated size. */
const MAX_UNPACKED = 1024 ** 3;

/** The numbers of a tag, however many. */
function readList(bytes: Uint8Array, wanted: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = view.getUint16(0) === 0x4949;
  for (const { tag, type, count, at } of tiffTags(bytes)) {
    if (tag !== wanted || type !== 3 && type !== 4) continue;
    const size = type === 3 ? 2 : 4;
    const start = count * size <= 4 ? at : view.getUint32(at, little);
    return Array.from({ length: count }, (_, i) => {
      const place = start + i * size;
      return type === 3 ? view.getUint16(place, little) : view.getUint32(place, little);
    });
  }
  return [];
}

/** Bytes of a value by its type (TIFF 6.0, page 15). */
const TIFF_SIZES = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8];

/** An entry of a directory; `at` is where its value stands, or the offset of it. */
interface Tag {
  tag: number;
  type: number;
  count: number;
  at: number;
}

/** The entries of the first directory of a TIFF: EXIF is one, too. */
export function* tiffTags(bytes: Uint8Array): Generator<Tag> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = view.getUint16(0) === 0x4949;
  const directory = view.getUint32(4, little);
  const entries = view.getUint16(directory, little);
  for (let i = 0, at = directory + 2; i < entries; i++, at += 12) {
    const [tag, type] = [view.getUint16(at, little), view.getUint16(at + 2, little)];
    yield { tag, type, count: view.getUint32(at + 4, little), at: at + 8 };
  }
}

/** The tags that hold one short or long number. */
export function readTags(bytes: Uint8Array): Map<number, number> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = view.getUint16(0) === 0x4949;
  const tags = new Map<number, number>();
  for (const { tag, type, count, at } of tiffTags(bytes)) {
    if (count !== 1) continue;
    if (type === 3) tags.set(tag, view.getUint16(at, little));
    if (type === 4) tags.set(tag, view.getUint32(at, little));
  }
  return tags;
}

/** WebP: a RIFF of chunks (RFC 9649). */
function readWebp(view: DataView, bytes: Uint8Array): Omit<Header, "format"> {
  const kind = latin1(bytes, 12, 16);
  if (kind === "VP8X") {
    const uint24 = (at: number) => view.getUint16(at, true) + (view.getUint8(at + 2) << 16);
    return { width: uint24(24) + 1, height: uint24(27) + 1, animated: (bytes[20] & 2) !== 0 };
  }
  if (kind === "VP8L") {
    const bits = view.getUint32(21, true);
    return { width: (bits & 0x3fff) + 1, height: ((bits >> 14) & 0x3fff) + 1, animated: false };
  }
  return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff, animated: false };
}

/** The chunks of a WebP. */
export function* webpChunks(bytes: Uint8Array): Generator<Chunk> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 12; at + 8 <= bytes.length;) {
    const start = at + 8;
    const end = start + view.getUint32(at + 4, true);
    if (end > bytes.length) return;
    yield { type: latin1(bytes, at, at + 4), start, end };
    at = end + end % 2;
  }
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...bytes.subarray(start, end));
}
