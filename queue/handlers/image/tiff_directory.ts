/**
 * The directories of a TIFF, which EXIF is, too (TIFF 6.0, section 2; BigTIFF).
 *
 * @module
 */

/** Bytes of a value by its type. */
const SIZES: Record<number, number> = { 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 13: 4, 16: 8 };

/**
 * The integers of the first directory by tag, at most 16 of each. What lies outside of the file is left out.
 *
 * @param at Where the directory is; default: where the header says.
 */
export function firstDirectory(bytes: Uint8Array, at?: number): Map<number, number[]> {
  const tags = new Map<number, number[]>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const little = view.getUint16(0) === 0x4949;
    const big = view.getUint16(2, little) === 43;
    const offset = (position: number) =>
      big ? Number(view.getBigUint64(position, little)) : view.getUint32(position, little);
    const start = at ?? offset(big ? 8 : 4);
    const count = big ? offset(start) : view.getUint16(start, little);
    for (let i = 0; i < count; i++) {
      const entry = start + (big ? 8 + i * 20 : 2 + i * 12);
      const type = view.getUint16(entry + 2, little);
      const size = SIZES[type];
      if (!size) continue;
      const length = offset(entry + 4);
      const field = entry + (big ? 12 : 8);
      const values = length * size <= (big ? 8 : 4) ? field : offset(field);
      const list: number[] = [];
      for (let k = 0; k < Math.min(length, 16); k++) {
        const place = values + k * size;
        if (place + size > bytes.length) break;
        if (size === 1) list.push(bytes[place]);
        else if (size === 2) list.push(view.getUint16(place, little));
        else if (type === 16) list.push(Number(view.getBigUint64(place, little)));
        else list.push(view.getUint32(place, little));
      }
      tags.set(view.getUint16(entry, little), list);
    }
  } catch (error) {
    // What is cut off is not told.
    if (!(error instanceof RangeError)) throw error;
  }
  return tags;
}

/** The tag that says how a picture is to be turned. */
const ORIENTATION = 274;

/** The same EXIF for a picture that has been turned upright; null if it is damaged. */
export function withOrientationReset(exif: Uint8Array): Uint8Array | null {
  const copy = new Uint8Array(exif);
  const view = new DataView(copy.buffer);
  try {
    const little = view.getUint16(0) === 0x4949;
    const start = view.getUint32(4, little);
    for (let i = 0; i < view.getUint16(start, little); i++) {
      const entry = start + 2 + i * 12;
      if (view.getUint16(entry, little) !== ORIENTATION) continue;
      if (view.getUint16(entry + 2, little) === 4) view.setUint32(entry + 8, 1, little);
      else view.setUint16(entry + 8, 1, little);
    }
    return copy;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
