/**
 * Animated PNG, which libvips reads as a still (https://www.w3.org/TR/png-3/#apng-frame-based-animation).
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { PNG_SIGNATURE, pngChunk, pngChunks } from "../png_chunks.ts";
import { open, type Picture, toPicture } from "../vips.ts";

/** A frame as it is stored: a PNG of its own, with its place on the canvas. */
interface Frame {
  left: number;
  top: number;
  width: number;
  height: number;
  delay: number;
  /** 0: the frame stays; 1: its area is cleared after it; 2: what was there before it comes back. */
  disposal: number;
  /** 0: it replaces what was there; 1: it is drawn over it. */
  blending: number;
  data: Uint8Array[];
}

/** How many frames the animation of a PNG has; 0 if it has none. */
export function apngFrames(bytes: Uint8Array): number {
  for (const { type, start, end } of pngChunks(bytes)) {
    if (type === "acTL" && end - start === 8) return Buffer.from(bytes.subarray(start, start + 4)).readUInt32BE();
    if (type === "IDAT") break;
  }
  return 0;
}

/**
 * Reads all frames, each as it is seen.
 *
 * @throws {Error} If the file is damaged.
 */
export async function readApng(bytes: Uint8Array): Promise<Picture> {
  const { frames, header, shared, loop } = parse(bytes);
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const pageBytes = width * height * 4;
  const data = new Uint8Array(pageBytes * frames.length);
  const canvas = new Uint8Array(pageBytes);
  for (const [i, frame] of frames.entries()) {
    if (frame.left + frame.width > width || frame.top + frame.height > height) {
      throw new Error(`Frame ${i + 1} of the APNG does not fit into the picture.`);
    }
    const ownHeader = Buffer.from(header);
    ownHeader.writeUInt32BE(frame.width, 0);
    ownHeader.writeUInt32BE(frame.height, 4);
    const png = Buffer.concat([
      PNG_SIGNATURE,
      pngChunk("IHDR", ownHeader),
      ...shared,
      ...frame.data.map((part) => pngChunk("IDAT", part)),
      pngChunk("IEND", new Uint8Array()),
    ]);
    const pixels = await toPicture(open(png, { failOn: "error" }));
    const before = frame.disposal === 2 && i > 0 ? canvas.slice() : null;
    draw(canvas, width, pixels.data, frame);
    data.set(canvas, i * pageBytes);
    if (before) canvas.set(before);
    else if (frame.disposal !== 0) {
      for (let y = 0; y < frame.height; y++) {
        const at = ((frame.top + y) * width + frame.left) * 4;
        canvas.fill(0, at, at + frame.width * 4);
      }
    }
  }
  return { data, width, height, animation: { delays: frames.map(({ delay }) => delay), loop } };
}

function draw(canvas: Uint8Array, width: number, pixels: Uint8Array, frame: Frame): void {
  for (let y = 0; y < frame.height; y++) {
    const row = pixels.subarray(y * frame.width * 4, (y + 1) * frame.width * 4);
    const at = ((frame.top + y) * width + frame.left) * 4;
    if (frame.blending === 0) {
      canvas.set(row, at);
      continue;
    }
    for (let x = 0; x < row.length; x += 4) {
      // Source over destination (PNG, 13.16), not premultiplied.
      const over = row[x + 3] / 255;
      const under = canvas[at + x + 3] / 255 * (1 - over);
      const alpha = over + under;
      for (let k = 0; k < 3 && alpha > 0; k++) {
        canvas[at + x + k] = Math.round((row[x + k] * over + canvas[at + x + k] * under) / alpha);
      }
      canvas[at + x + 3] = Math.round(alpha * 255);
    }
  }
}

/** What frames need of the file: its palette and transparency. Colours are converted once for all frames. */
const SHARED = new Set(["PLTE", "tRNS"]);

function parse(bytes: Uint8Array) {
  let header: Buffer | null = null;
  let [announced, loop] = [0, 0];
  const shared: Uint8Array[] = [];
  const frames: Frame[] = [];
  for (const { type, start, end } of pngChunks(bytes)) {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
    if (type === "IHDR") header = Buffer.from(chunk);
    // The first one counts: by it the size was checked.
    else if (type === "acTL" && announced === 0) [announced, loop] = [chunk.readUInt32BE(0), chunk.readUInt32BE(4)];
    else if (SHARED.has(type)) shared.push(pngChunk(type, chunk));
    else if (type === "fcTL") frames.push(frameOf(chunk));
    // Without a frame before it, the picture of the file is no part of the animation.
    else if (type === "IDAT") frames.at(-1)?.data.push(chunk);
    else if (type === "fdAT") frames.at(-1)?.data.push(chunk.subarray(4));
  }
  if (!header || frames.length !== announced || frames.some(({ data }) => data.length === 0)) {
    throw new Error(`The APNG says that it has ${announced} frames, and has ${frames.length}.`);
  }
  return { frames, header, shared, loop };
}

function frameOf(chunk: Buffer): Frame {
  const [, width, height, left, top] = [0, 4, 8, 12, 16].map((at) => chunk.readUInt32BE(at));
  // Hundredths of a second where no unit is given.
  const delay = Math.round(chunk.readUInt16BE(20) / (chunk.readUInt16BE(22) || 100) * 1_000);
  return { left, top, width, height, delay, disposal: chunk[24], blending: chunk[25], data: [] };
}
