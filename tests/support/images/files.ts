/** Writes pictures for tests that must know each pixel. */

import { Buffer } from "node:buffer";
import { deflateSync } from "node:zlib";
import { pngChunk } from "../../../queue/handlers/image/png_chunks.ts";

/** What a PNG is made of. */
export interface Png {
  width: number;
  height: number;
  /** 1, 2, 4, 8 or 16. */
  depth: number;
  /** 0 grey, 2 colour, 3 palette, 4 grey with alpha, 6 colour with alpha. */
  kind: number;
  /** Unpacked samples of a row, without the filter byte. */
  samples(y: number): number[];
  palette?: number[];
  /** Other chunks, before the data. */
  more?: [type: string, data: Uint8Array][];
}

/** The header of a PNG. */
export function pngHeader(width: number, height: number, depth = 8, kind = 2): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(13);
  const view = new DataView(data.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  data.set([depth, kind, 0, 0, 0], 8);
  return new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, ...pngChunk("IHDR", data)]);
}

/** A whole PNG. */
export function png({ width, height, depth, kind, samples, palette, more = [] }: Png): Uint8Array<ArrayBuffer> {
  const rows = Array.from({ length: height }, (_, y) => [0, ...packed(samples(y), depth)]);
  return new Uint8Array([
    ...pngHeader(width, height, depth, kind),
    ...palette ? pngChunk("PLTE", Uint8Array.from(palette)) : [],
    ...more.flatMap(([type, data]) => [...pngChunk(type, data)]),
    ...pngChunk("IDAT", deflateSync(Uint8Array.from(rows.flat()))),
    ...pngChunk("IEND", new Uint8Array()),
  ]);
}

function packed(samples: number[], depth: number): number[] {
  if (depth === 16) return samples.flatMap((sample) => [sample >> 8, sample & 255]);
  if (depth === 8) return samples;
  const perByte = 8 / depth;
  return Array.from({ length: Math.ceil(samples.length / perByte) }, (_, i) => {
    let byte = 0;
    for (let k = 0; k < perByte; k++) byte = byte << depth | (samples[i * perByte + k] ?? 0);
    return byte;
  });
}

/** An uncompressed TIFF of one colour. */
export function tiffOf(width: number, height: number, colour: number[]): Uint8Array<ArrayBuffer> {
  const SHORT = 3;
  const LONG = 4;
  const bits = 8 + 2 + 9 * 12 + 4;
  const start = bits + 6;
  // Tag, type, count, value: TIFF 6.0, "baseline RGB".
  const tags = [
    [256, LONG, 1, width],
    [257, LONG, 1, height],
    [258, SHORT, 3, bits],
    [259, SHORT, 1, 1],
    [262, SHORT, 1, 2],
    [273, LONG, 1, start],
    [277, SHORT, 1, 3],
    [278, LONG, 1, height],
    [279, LONG, 1, width * height * 3],
  ];
  const bytes = new Uint8Array(start + width * height * 3);
  const view = new DataView(bytes.buffer);
  bytes.set([0x49, 0x49, 42, 0, 8, 0, 0, 0, tags.length, 0]);
  tags.forEach(([tag, type, count, value], i) => {
    const at = 10 + i * 12;
    view.setUint16(at, tag, true);
    view.setUint16(at + 2, type, true);
    view.setUint32(at + 4, count, true);
    view.setUint32(at + 8, value, true);
  });
  for (let i = 0; i < 3; i++) view.setUint16(bits + i * 2, 8, true);
  for (let i = 0; i < width * height; i++) bytes.set(colour, start + i * 3);
  return bytes;
}

/** EXIF whose colour space is uncalibrated, with the mark of Adobe RGB. */
export function adobeExif(): Uint8Array {
  const bytes = Buffer.alloc(80);
  bytes.write("II*\0\x08", "latin1");
  const directory = (at: number, entries: number[][]) => {
    bytes.writeUInt16LE(entries.length, at);
    entries.forEach(([tag, type, count, value], i) => {
      bytes.writeUInt16LE(tag, at + 2 + i * 12);
      bytes.writeUInt16LE(type, at + 4 + i * 12);
      bytes.writeUInt32LE(count, at + 6 + i * 12);
      bytes.writeUInt32LE(value, at + 10 + i * 12);
    });
  };
  directory(8, [[0x8769, 4, 1, 26]]);
  directory(26, [[0xa001, 3, 1, 0xffff], [0xa005, 4, 1, 56]]);
  directory(56, [[1, 2, 4, Buffer.from("R03\0").readUInt32LE()]]);
  return bytes;
}
