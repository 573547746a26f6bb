/**
 * Colour profiles for pictures that tell their colours in another way than by an ICC profile: by the code points of
 * ITU-T H.273 (`cICP` in PNG, `nclx` in AVIF and HEIC), by `gAMA` and `cHRM` of PNG, or by EXIF alone.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { ImageError } from "../error.ts";
import { pngChunks } from "../png_chunks.ts";
import { firstDirectory } from "../tiff_directory.ts";

/** Chromaticities x and y of red, green, blue and white (CIE 1931). */
type Primaries = readonly [red: Point, green: Point, blue: Point, white: Point];
type Point = readonly [x: number, y: number];

/** The function from code to light: a power, or that of sRGB (IEC 61966-2-1). */
type Curve = number | "srgb";

const D65: Point = [0.3127, 0.329];
const SRGB: Primaries = [[0.64, 0.33], [0.3, 0.6], [0.15, 0.06], D65];

/** Primaries by their code point (ITU-T H.273, table 2). */
const PRIMARIES: Record<number, Primaries> = {
  1: SRGB,
  4: [[0.67, 0.33], [0.21, 0.71], [0.14, 0.08], [0.31, 0.316]],
  5: [[0.64, 0.33], [0.29, 0.6], [0.15, 0.06], D65],
  6: [[0.63, 0.34], [0.31, 0.595], [0.155, 0.07], D65],
  7: [[0.63, 0.34], [0.31, 0.595], [0.155, 0.07], D65],
  9: [[0.708, 0.292], [0.17, 0.797], [0.131, 0.046], D65],
  11: [[0.68, 0.32], [0.265, 0.69], [0.15, 0.06], [0.314, 0.351]],
  12: [[0.68, 0.32], [0.265, 0.69], [0.15, 0.06], D65],
};

/**
 * Curves by their code point (ITU-T H.273, table 3). The camera curves 1, 6, 14 and 15 are taken for that of sRGB, as
 * browsers do: pictures that name them were made for a screen.
 */
const CURVES: Record<number, Curve> = {
  1: "srgb",
  4: 2.2,
  5: 2.8,
  6: "srgb",
  8: 1,
  13: "srgb",
  14: "srgb",
  15: "srgb",
};

/** Adobe RGB (1998), section 4.3. */
const ADOBE_RGB: Primaries = [[0.64, 0.33], [0.21, 0.71], [0.15, 0.06], D65];
const ADOBE_GAMMA = 563 / 256;

/**
 * The profile of a picture that has no ICC profile, or whose `cICP` goes before it.
 *
 * @param bytes The file.
 * @param kind What kind of file it is.
 * @param hasIcc Whether it has an ICC profile.
 * @param exif Its EXIF as a TIFF structure.
 * @returns Null if its colours are those of sRGB or of its ICC profile.
 * @throws {ImageError} If its colours have no profile: those of HDR.
 */
export function impliedProfile(
  bytes: Uint8Array,
  kind: string,
  hasIcc: boolean,
  exif: Uint8Array | null,
): Uint8Array | null {
  if (kind === "png") {
    const chunks = new Map([...pngChunks(bytes)].map(({ type, start, end }) => [type, bytes.subarray(start, end)]));
    const cicp = chunks.get("cICP");
    if (cicp?.length === 4) return ofCodePoints(cicp[0], cicp[1]);
    if (chunks.has("sRGB")) return null;
    const [gamma, chromaticities] = [chunks.get("gAMA"), chunks.get("cHRM")];
    if (!hasIcc && (gamma || chromaticities)) return ofGammaAndPrimaries(gamma, chromaticities);
  }
  if (hasIcc) return null;
  if (kind === "avif" || kind === "heic") {
    // The colour information of the picture stands in the header, before the data (ISO/IEC 23008-12, 6.5.5).
    const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 65_536));
    const at = head.indexOf("colrnclx", 0, "latin1") + 8;
    if (at >= 8 && at + 4 <= head.length) return ofCodePoints(head.readUInt16BE(at), head.readUInt16BE(at + 2));
  }
  return exif && isAdobeRgb(exif) ? matrixProfile(ADOBE_RGB, ADOBE_GAMMA) : null;
}

function ofCodePoints(primaries: number, transfer: number): Uint8Array | null {
  if (transfer === 16 || transfer === 18) {
    throw new ImageError(
      `The picture is HDR (${transfer === 16 ? "PQ" : "HLG"}); save it as SDR, for its colours have no place in sRGB.`,
    );
  }
  const curve = CURVES[transfer] ?? "srgb";
  const points = PRIMARIES[primaries] ?? SRGB;
  return points === SRGB && curve === "srgb" ? null : matrixProfile(points, curve);
}

function ofGammaAndPrimaries(gamma?: Uint8Array, chromaticities?: Uint8Array): Uint8Array | null {
  const numbers = (chunk: Uint8Array) => {
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    return Array.from({ length: chunk.length >> 2 }, (_, i) => view.getUint32(i * 4) / 100_000);
  };
  let points = SRGB;
  if (chromaticities?.length === 32) {
    const [white, red, green, blue] = [0, 2, 4, 6].map((i) =>
      numbers(chromaticities).slice(i, i + 2) as [number, number]
    );
    if ([white, red, green, blue].every(([x, y]) => x > 0 && y > 0 && x + y <= 1)) points = [red, green, blue, white];
  }
  const exponent = gamma?.length === 4 ? numbers(gamma)[0] : 0;
  // 1/2.2 is what programs write for sRGB.
  const curve = exponent > 0.1 && exponent < 2 && Math.abs(exponent - 1 / 2.2) > 0.005 ? 1 / exponent : "srgb";
  const isSrgb = points.every((point, i) => point.every((value, k) => Math.abs(value - SRGB[i][k]) < 0.005));
  return isSrgb && curve === "srgb" ? null : matrixProfile(points, curve);
}

/** Whether EXIF says that the colours are those of Adobe RGB: ColorSpace 2, or "uncalibrated" with the mark R03 (DCF 2.0). */
function isAdobeRgb(exif: Uint8Array): boolean {
  const [photo] = firstDirectory(exif).get(0x8769) ?? [];
  if (photo === undefined) return false;
  const tags = firstDirectory(exif, photo);
  const [colorSpace] = tags.get(0xa001) ?? [];
  const [interoperability] = tags.get(0xa005) ?? [];
  if (colorSpace === 2) return true;
  if (colorSpace !== 0xffff || interoperability === undefined) return false;
  return String.fromCharCode(...firstDirectory(exif, interoperability).get(1) ?? []).startsWith("R03");
}

/** A colour profile of three primaries and one curve (ICC.1:2022, 8.3 and 10.18; D50 by the Bradford transform). */
export function matrixProfile(primaries: Primaries, curve: Curve): Uint8Array {
  const columns = columnsOf(primaries);
  const fixed = (value: number) => Math.round(value * 65_536);
  const data = (type: string, ...numbers: number[]) => {
    const block = Buffer.alloc(8 + numbers.length * 4);
    block.write(type, "latin1");
    numbers.forEach((number, i) => block.writeInt32BE(number, 8 + i * 4));
    return block;
  };
  const text = (value: string) => {
    const block = Buffer.alloc(28 + value.length * 2);
    block.write("mluc", "latin1");
    [1, 12].forEach((number, i) => block.writeUInt32BE(number, 8 + i * 4));
    block.write("enUS", 16, "latin1");
    [value.length * 2, 28].forEach((number, i) => block.writeUInt32BE(number, 20 + i * 4));
    for (let i = 0; i < value.length; i++) block.writeUInt16BE(value.charCodeAt(i), 28 + i * 2);
    return block;
  };
  const srgb = [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045].map(fixed);
  const parameters = curve === "srgb" ? data("para", 3 << 16, ...srgb) : data("para", 0, fixed(curve));
  const tags: [string, Buffer][] = [
    ["desc", text("RGB")],
    ["cprt", text("CC0")],
    ["wtpt", data("XYZ ", ...D50.map(fixed))],
    ...["rXYZ", "gXYZ", "bXYZ"].map((name, i): [string, Buffer] => [name, data("XYZ ", ...columns[i].map(fixed))]),
    ...["rTRC", "gTRC", "bTRC"].map((name): [string, Buffer] => [name, parameters]),
  ];
  const table = Buffer.alloc(4 + tags.length * 12);
  table.writeUInt32BE(tags.length);
  let at = 128 + table.length;
  const blocks: Buffer[] = [];
  tags.forEach(([name, block], i) => {
    table.write(name, 4 + i * 12, "latin1");
    table.writeUInt32BE(at, 8 + i * 12);
    table.writeUInt32BE(block.length, 12 + i * 12);
    blocks.push(block, Buffer.alloc(-block.length & 3));
    at += block.length + (-block.length & 3);
  });
  const header = Buffer.alloc(128);
  header.writeUInt32BE(at);
  header.writeUInt32BE(0x04400000, 8);
  header.write("mntrRGB XYZ ", 12, "latin1");
  header.write("acsp", 36, "latin1");
  D50.forEach((value, i) => header.writeInt32BE(fixed(value), 68 + i * 4));
  return Buffer.concat([header, table, ...blocks]);
}

type Vector = [number, number, number];
type Matrix = [Vector, Vector, Vector];

const D50: Vector = [0.9642, 1, 0.8249];
/** From XYZ to the responses of cones (ICC.1:2022, annex E). */
const BRADFORD: Matrix = [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]];

/** XYZ of the primaries, so that their sum is white, seen under D50. */
function columnsOf([red, green, blue, white]: Primaries): Vector[] {
  const xyz = ([x, y]: Point): Vector => [x / y, 1, (1 - x - y) / y];
  const [r, g, b] = [xyz(red), xyz(green), xyz(blue)];
  const shares = times(inverse([0, 1, 2].map((i) => [r[i], g[i], b[i]]) as Matrix), xyz(white));
  const [from, to] = [times(BRADFORD, xyz(white)), times(BRADFORD, D50)];
  return [r, g, b].map((column, i) => {
    const cones = times(BRADFORD, column.map((value) => value * shares[i]) as Vector);
    return times(inverse(BRADFORD), cones.map((value, k) => value * to[k] / from[k]) as Vector);
  });
}

function times(matrix: Matrix, vector: Vector): Vector {
  return matrix.map((row) => row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2]) as Vector;
}

function inverse([[a, b, c], [d, e, f], [g, h, i]]: Matrix): Matrix {
  const whole = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  const cofactors = [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ];
  return cofactors.map((row) => row.map((value) => value / whole)) as Matrix;
}
