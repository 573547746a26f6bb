/**
 * Reads what an image file says of itself, before it is decoded: its format and its size. A file of a few kilobytes
 * can unpack to gigabytes, so what would be too large is refused by its header.
 *
 * @module
 */

/** Formats that are read. */
export type Format = "png" | "jpeg" | "gif" | "tiff" | "webp";

/** What the beginning of a file says. */
export interface Header {
  format: Format;
  /** Pixels, as they are stored: before EXIF turns them. */
  width: number;
  height: number;
  /** Whether it holds several pictures that are shown one after another. */
  animated: boolean;
}

/** The format by the first bytes, or null if it is none of those that are read. */
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
      return { height: view.getUint16(start + 1), width: view.getUint16(start + 3), animated: false };
    }
  }
  throw new RangeError("The file ends before its size is told.");
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

/** GIF89a: a row of blocks; every image descriptor (0x2c) is a frame. */
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

/** TIFF 6.0: the first directory tells the size. */
function readTiff(_view: DataView, bytes: Uint8Array): Omit<Header, "format"> {
  const tags = readTags(bytes);
  const [width, height] = [tags.get(256), tags.get(257)];
  if (width === undefined || height === undefined) throw new RangeError("The file does not tell its size.");
  return { width, height, animated: false };
}

/** The tags of the first directory of a TIFF that hold one short or long number: also those of EXIF. */
export function readTags(bytes: Uint8Array): Map<number, number> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = view.getUint16(0) === 0x4949;
  const tags = new Map<number, number>();
  const directory = view.getUint32(4, little);
  const count = view.getUint16(directory, little);
  for (let i = 0, at = directory + 2; i < count && at + 12 <= bytes.length; i++, at += 12) {
    if (view.getUint32(at + 4, little) !== 1) continue;
    const type = view.getUint16(at + 2, little);
    if (type === 3) tags.set(view.getUint16(at, little), view.getUint16(at + 8, little));
    if (type === 4) tags.set(view.getUint16(at, little), view.getUint32(at + 8, little));
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
