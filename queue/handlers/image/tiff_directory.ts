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

/**
 * EXIF for a picture that has been turned upright and, with `isSrgb`, converted to sRGB: it does not say otherwise any
 * more (tags Orientation, ColorSpace and InteroperabilityIndex; CIPA DC-008). Null if it is damaged.
 */
export function correctedExif(exif: Uint8Array, isSrgb: boolean): Uint8Array | null {
  const copy = new Uint8Array(exif);
  const view = new DataView(copy.buffer);
  /** Changes entries of the directory at a place. */
  const change = (start: number, changes: Record<number, (field: number, type: number) => void>) => {
    for (let i = 0; i < view.getUint16(start, little); i++) {
      const entry = start + 2 + i * 12;
      changes[view.getUint16(entry, little)]?.(entry + 8, view.getUint16(entry + 2, little));
    }
  };
  let little = false;
  const toOne = (field: number, type: number) =>
    type === 4 ? view.setUint32(field, 1, little) : view.setUint16(field, 1, little);
  const below = (changes: Parameters<typeof change>[1]) => (field: number) =>
    change(view.getUint32(field, little), changes);
  try {
    little = view.getUint16(0) === 0x4949;
    const interoperability = below({ 1: (field) => copy.set(new TextEncoder().encode("R98"), field) });
    const photo = below({ 0xa001: toOne, 0xa005: interoperability });
    change(view.getUint32(4, little), isSrgb ? { 274: toOne, 0x8769: photo } : { 274: toOne });
    return copy;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
