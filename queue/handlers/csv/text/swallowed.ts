/**
 * Records that may hold others: a quote is missing, or there is one too many.
 *
 * @module
 */

import type { FoundRecord } from "./records.ts";

/**
 * Whether a record of several lines may have swallowed others: each of its lines, or one that lies within a single
 * value, has as many delimiters as a record.
 */
export function maySwallow(bytes: Uint8Array, { starts, ends, length }: FoundRecord, delimiter: number): boolean {
  if (length < 2) return false;
  let line = { delimiters: 0, isWithin: false };
  const lines = [line];
  for (let i = 0; i < length; i++) {
    if (i > 0) {
      line.delimiters++;
      line.isWithin = false;
    }
    for (let at = starts[i]; at < ends[i]; at++) {
      if (bytes[at] === delimiter) line.delimiters++;
      else if (bytes[at] === 0x0a || bytes[at] === 0x0d && bytes[at + 1] !== 0x0a) {
        lines.push(line = { delimiters: 0, isWithin: true });
      }
    }
  }
  // The last line holds the end of its value.
  line.isWithin = false;
  const isRecord = ({ delimiters }: typeof line) => delimiters === length - 1;
  return lines.length > 1 && (lines.every(isRecord) || lines.some((each) => each.isWithin && isRecord(each)));
}
