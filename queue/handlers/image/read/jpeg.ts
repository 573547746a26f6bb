/**
 * JPEG files with bytes that belong to nothing: the picture is whole, but a strict decoder refuses them.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** Segments that say how pixels are to be seen, by marker: EXIF, the colour profile, Adobe's colour transform. */
const OF_PIXELS = [0xe1, 0xe2, 0xee];

/**
 * A JPEG without what stands between its segments, and without application data that says nothing of the pixels. Null
 * if it has no picture data.
 */
export function withoutStraySegments(bytes: Uint8Array): Uint8Array | null {
  const parts = [bytes.subarray(0, 2)];
  for (let at = 2; at + 4 <= bytes.length;) {
    const marker = bytes[at + 1];
    if (bytes[at] !== 0xff || marker < 0xc0 || marker === 0xff || marker >= 0xd0 && marker <= 0xd9) {
      at++;
      continue;
    }
    // After the start of scan (ITU-T T.81, B.2.3) come the pixels.
    if (marker === 0xda) return Buffer.concat([...parts, bytes.subarray(at)]);
    const end = at + 2 + (bytes[at + 2] << 8 | bytes[at + 3]);
    if (marker < 0xe0 || OF_PIXELS.includes(marker)) parts.push(bytes.subarray(at, end));
    at = end;
  }
  return null;
}

/** What libjpeg says of bytes that are left over before the end of the picture (jerror.h, JWRN_EXTRANEOUS_DATA). */
const LEFT_OVER = /(\d+) extraneous bytes before marker 0xd9/;

/** A JPEG without the bytes that libjpeg found left over after the last pixel; null if it found none. */
export function withoutLeftOver(bytes: Uint8Array, message: string): Uint8Array | null {
  const count = Number(LEFT_OVER.exec(message)?.[1] ?? 0);
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  // The first end after the start of the pixels: phones append more pictures.
  const end = whole.indexOf(Buffer.of(0xff, 0xd9), whole.indexOf(Buffer.of(0xff, 0xda)));
  if (count === 0 || end < count) return null;
  return Buffer.concat([bytes.subarray(0, end - count), bytes.subarray(end)]);
}
