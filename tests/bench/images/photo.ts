/** Pictures like photos, for measuring. */

import type { Picture } from "../../../queue/handlers/image/vips.ts";
import { Random } from "../../../queue/handlers/random.ts";

/** Pixels of a photo. */
export const [WIDTH, HEIGHT] = [4_000, 3_000];

/** Megapixels a second. */
export function rate(count: number, ms: number): string {
  return `${(count * WIDTH * HEIGHT / 1_000 / ms).toFixed(1).padStart(6)} MP/s`;
}

/** A picture with the detail of a photo: gradients, edges and grain. */
export function photo(width: number, height: number, seed: number): Picture {
  const random = new Random(seed);
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += 4) {
      const grain = random.next() * 24 - 12;
      const edge = Math.sin(x / 37 + seed) * Math.cos(y / 53) > 0.3 ? 60 : 0;
      data[i] = 40 + 150 * x / width + edge + grain;
      data[i + 1] = 60 + 120 * y / height + grain;
      data[i + 2] = 90 + 60 * Math.sin((x + y) / 400) + edge / 2 + grain;
      data[i + 3] = 255;
    }
  }
  return { data: new Uint8Array(data.buffer), width, height, animation: null };
}
