/**
 * Reads an image's size from its header, so that what would be too large is refused before it is decoded: a file of
 * a few kilobytes can unpack to gigabytes.
 *
 * @module
 */

/** Width and height in pixels. */
export interface Dimensions {
  width: number;
  height: number;
}

/** The size that a PNG or JPEG file states, or null if it is neither or is cut short. */
export function readDimensions(bytes: Uint8Array): Dimensions | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return readPng(view) ?? readJpeg(view);
}

/** PNG: eight bytes of signature, then the IHDR chunk (https://www.w3.org/TR/png-3/#11IHDR). */
function readPng(view: DataView): Dimensions | null {
  if (view.byteLength < 24 || view.getUint32(0) !== 0x89504e47 || view.getUint32(4) !== 0x0d0a1a0a) return null;
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

/** JPEG: a row of segments; the size is in the first start-of-frame (ITU-T T.81, B.2.2). */
function readJpeg(view: DataView): Dimensions | null {
  if (view.byteLength < 4 || view.getUint16(0) !== 0xffd8) return null;
  let at = 2;
  while (at + 9 <= view.byteLength) {
    if (view.getUint8(at) !== 0xff) return null;
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at++;
      continue;
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) return { height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
    at += 2 + view.getUint16(at + 2);
  }
  return null;
}
