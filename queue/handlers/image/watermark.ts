/**
 * A text or a picture over each picture.
 *
 * @module
 */

import { create } from "fontkit";
import { Buffer } from "node:buffer";
// Not used by name: it puts the font where it is read.
import "dejavu-fonts-ttf/package.json" with { type: "json" };
import { fittedSize, type Place, placed, type Size } from "./fit.ts";
import { ImageError } from "./error.ts";
import { resize } from "./scale.ts";
import { open, type Picture, toPicture } from "./vips.ts";

/** What is put over each picture. */
export interface Watermark {
  content: { text: string } | { picture: Picture };
  place: Place;
  /** Its width, as a share of the picture's: above 0, up to 1. */
  width: number;
  /** Above 0, up to 1. */
  opacity: number;
}

/** Room between the watermark and the edges, as a share of the shorter side. */
const MARGIN = 0.03;

/** A transparent picture of this size that has the watermark in its place: four channels. */
export async function overlayOf({ content, place, width, opacity }: Watermark, size: Size): Promise<Uint8Array> {
  const margin = Math.round(Math.min(size.width, size.height) * MARGIN);
  const room = { width: Math.max(1, size.width - 2 * margin), height: Math.max(1, size.height - 2 * margin) };
  const most = { width: Math.max(1, Math.round(Math.min(room.width, size.width * width))), height: room.height };
  const mark = "text" in content
    ? await writtenText(content.text, most)
    : await resize(content.picture, fittedSize(content.picture, most, "contain"));
  const { left, top } = placed({ width: room.width - mark.width, height: room.height - mark.height }, place);
  const overlay = new Uint8Array(size.width * size.height * 4);
  for (let y = 0; y < mark.height; y++) {
    for (let x = 0; x < mark.width; x++) {
      const from = (y * mark.width + x) * 4;
      const to = ((top + margin + y) * size.width + left + margin + x) * 4;
      overlay.set(mark.data.subarray(from, from + 3), to);
      overlay[to + 3] = Math.round(mark.data[from + 3] * opacity);
    }
  }
  return overlay;
}

/** What is used of a font; the library's types are a package of their own. */
interface Font {
  layout(text: string): {
    glyphs: { path: { toSVG(): string } }[];
    positions: { xAdvance: number; xOffset: number; yOffset: number }[];
    bbox: { minX: number; minY: number; maxX: number; maxY: number };
  };
  hasGlyphForCodePoint(point: number): boolean;
}

let font: Promise<Font> | null = null;

async function readFont(): Promise<Font> {
  const bytes = await Deno.readFile(new URL(import.meta.resolve("dejavu-fonts-ttf/ttf/DejaVuSans.ttf")));
  return create(Buffer.from(bytes)) as Font;
}

async function loadFont(): Promise<Font> {
  font ??= readFont();
  try {
    return await font;
  } catch (error) {
    font = null;
    throw error;
  }
}

/** White text with a dark shadow, as large as there is room: it is seen on any picture. */
async function writtenText(text: string, most: Size): Promise<Picture> {
  const known = await loadFont();
  const missing = Array.from(text).find((sign) => !known.hasGlyphForCodePoint(sign.codePointAt(0)!));
  if (missing) throw new ImageError(`The watermark's font has no sign for "${missing}"; use a picture.`);
  const { glyphs, positions, bbox } = known.layout(text);
  let at = 0;
  const paths = glyphs.map(({ path }, i) => {
    const place = `translate(${at + positions[i].xOffset} ${positions[i].yOffset})`;
    at += positions[i].xAdvance;
    return `<path transform="${place}" d="${path.toSVG()}"/>`;
  });
  const size = { width: bbox.maxX - bbox.minX, height: bbox.maxY - bbox.minY };
  if (!(size.width > 0 && size.height > 0)) throw new ImageError("The watermark has no visible signs.");
  // Room for the shadow, below and to the right.
  const shadow = size.height / 24;
  const whole = { width: size.width + shadow, height: size.height + shadow };
  const box = fittedSize(whole, most, "contain");
  const group = (colour: string, offset: number) =>
    `<g fill="${colour}" transform="translate(${offset - bbox.minX} ${offset + bbox.maxY}) scale(1 -1)">${
      paths.join("")
    }</g>`;
  const viewBox = `viewBox="0 0 ${whole.width} ${whole.height}"`;
  const view = `width="${box.width}" height="${box.height}" ${viewBox} preserveAspectRatio="none"`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" ${view}>${group("#000", shadow)}${group("#fff", 0)}</svg>`;
  return await toPicture(open(Buffer.from(svg)));
}
