/**
 * PNG files as a row of chunks (https://www.w3.org/TR/png-3/).
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { crc32, deflateSync } from "node:zlib";

/** The bytes that every PNG begins with. */
export const PNG_SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

/** A chunk: its type and where its data is. */
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
    yield { type: String.fromCharCode(...bytes.subarray(at + 4, at + 8)), start, end };
    at = end + 4;
  }
}

/** A chunk with its length and checksum. */
export function pngChunk(type: string, data: Uint8Array): Uint8Array {
  const chunk = Buffer.alloc(data.length + 12);
  chunk.writeUInt32BE(data.length);
  chunk.write(type, 4, "latin1");
  chunk.set(data, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, data.length + 8)), data.length + 8);
  return chunk;
}

/** A PNG without metadata, with metadata: a colour profile, and EXIF as a TIFF structure. */
export function withMetadata(png: Uint8Array, { icc, exif }: { icc?: Uint8Array; exif?: Uint8Array }): Uint8Array {
  const chunks = [];
  if (icc) chunks.push(pngChunk("iCCP", Buffer.concat([Buffer.from("icc\0\0"), deflateSync(icc)])));
  if (exif) chunks.push(pngChunk("eXIf", exif));
  // Right after IHDR, which has 25 bytes after the signature.
  return Buffer.concat([png.subarray(0, 33), ...chunks, png.subarray(33)]);
}
