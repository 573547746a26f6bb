/**
 * Draws pictures, for tasks without files.
 *
 * @module
 */

import { Image } from "imagescript";
import { randomFrom } from "../random.ts";
import type { Picture } from "./vips.ts";

const SIZE = { width: 1_024, height: 768 };

/** Draws a gradient with circles. */
export function draw(seed: number): Picture {
  const random = randomFrom(seed);
  const { width, height } = SIZE;
  const [r, g, b] = [random() * 200, random() * 200, random() * 200];
  const image = new Image(width, height);
  image.fill((x, y) => Image.rgbToColor(r + 55 * x / width, g + 55 * y / height, b + 55 * (x + y) / (width + height)));
  for (let i = 0; i < 6; i++) {
    const color = Image.rgbToColor(random() * 255, random() * 255, random() * 255);
    const [x, y] = [Math.floor(random() * width), Math.floor(random() * height)];
    image.drawCircle(x, y, 40 + Math.floor(random() * 120), color);
  }
  return { data: new Uint8Array(image.bitmap), width, height, animation: null };
}
