/**
 * Whether a GIF is whole: the decoder passes over an animation that is cut off (GIF89a, 12 to 27).
 *
 * @module
 */

/** Whether all blocks are there, up to the trailer or to the end of the file. */
export function isWholeGif(bytes: Uint8Array): boolean {
  const table = (flags: number) => flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0;
  let at = 13 + table(bytes[10]);
  const skipSubBlocks = () => {
    while (at < bytes.length && bytes[at] !== 0) at += bytes[at] + 1;
    at++;
  };
  while (at < bytes.length) {
    if (bytes[at] === 0x3b) return true;
    if (bytes[at] === 0x2c) at += 10 + table(bytes[at + 9]) + 1;
    else if (bytes[at] === 0x21) at += 2;
    else return false;
    skipSubBlocks();
  }
  return at === bytes.length;
}
