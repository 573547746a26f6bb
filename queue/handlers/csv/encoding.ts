/**
 * The dialect of a CSV: its encoding, delimiter and line endings, given or detected from its beginning.
 *
 * @module
 */

import { isAscii, isUtf8 } from "node:buffer";
import { EncodingError } from "./errors.ts";

/** Encodings that are read. `latin1` is windows-1252, as in the WHATWG Encoding Standard. */
export const ENCODINGS = ["utf-8", "utf-16le", "utf-16be", "latin1"] as const;

/** One of {@linkcode ENCODINGS}. */
export type Encoding = (typeof ENCODINGS)[number];

/** Delimiters that are read. */
export const DELIMITERS = [",", ";", "\t", "|"] as const;

/** One of {@linkcode DELIMITERS}. */
export type Delimiter = (typeof DELIMITERS)[number];

/** How a file is written. */
export interface Dialect {
  encoding: Encoding;
  /** Whether the encoding is still open because there was only ASCII so far. */
  undecided: boolean;
  /** Bytes of the byte order mark. */
  mark: number;
  delimiter: Delimiter;
  /** Whether lines end with a single carriage return, as on the classic Mac OS. */
  crOnly: boolean;
}

const MARKS: [Encoding, number[]][] = [
  ["utf-8", [0xef, 0xbb, 0xbf]],
  ["utf-16le", [0xff, 0xfe]],
  ["utf-16be", [0xfe, 0xff]],
];

/**
 * Detects the dialect of a file.
 *
 * @param first Its first bytes: some megabytes.
 * @param whole Whether that is the whole file.
 * @param stated What is already known.
 * @throws {EncodingError} If it is not text.
 */
export function detectDialect(
  first: Uint8Array,
  whole: boolean,
  stated: { encoding?: Encoding; delimiter?: Delimiter },
): Dialect {
  const marked = MARKS.find(([, mark]) => mark.every((byte, i) => first[i] === byte));
  const mark = marked && (stated.encoding ?? marked[0]) === marked[0] ? marked[1].length : 0;
  const encoding = stated.encoding ?? marked?.[0] ?? guessEncoding(first, whole);
  const undecided = !stated.encoding && !marked && isAscii(first);
  const { bytes } = toUtf8(first.subarray(mark), encoding, false);
  if (bytes.includes(0)) {
    throw new EncodingError(
      "The file contains NUL bytes: it is not text, or UTF-16 without a byte order mark (see encoding).",
    );
  }
  const beginning = new TextDecoder().decode(bytes.subarray(0, 64 * 1024));
  // A line break within quotes is part of a value.
  const unquoted = beginning.replaceAll(/"[^"]*"/g, "");
  const crOnly = !unquoted.includes("\n") && unquoted.includes("\r");
  return { encoding, undecided, mark, delimiter: stated.delimiter ?? detectDelimiter(beginning), crOnly };
}

/** UTF-8 if it is valid or most of its non-ASCII characters are; in the latter case, reading it fails with an error. */
export function guessEncoding(bytes: Uint8Array, whole: boolean): Encoding {
  if (isUtf8Part(bytes, whole)) return "utf-8";
  let right = 0;
  let wrong = 0;
  for (const character of new TextDecoder().decode(bytes, { stream: !whole })) {
    if (character === "\ufffd") wrong++;
    else if (character > "\u007f") right++;
  }
  return right > 10 * wrong ? "utf-8" : "latin1";
}

/** Whether bytes are UTF-8. Unless they are the whole, the last character may be cut off. */
function isUtf8Part(bytes: Uint8Array, whole: boolean): boolean {
  let end = bytes.length;
  if (!whole) {
    // A character has at most four bytes; its first one says how many.
    for (let i = 1; i <= Math.min(4, end); i++) {
      const byte = bytes[end - i];
      if (byte < 0x80) break;
      if (byte >= 0xc0) {
        if (i < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2)) end -= i;
        break;
      }
    }
  }
  return isUtf8(bytes.subarray(0, end));
}

/** The share of lines that must contain a delimiter as often as the first line. */
const EVEN = 0.9;

/**
 * The delimiter: a semicolon, tab or pipe that occurs in the first line, outside quotes, and equally often in nearly
 * all of the next lines; otherwise the comma, which also occurs in numbers and sentences.
 */
export function detectDelimiter(text: string): Delimiter {
  const lines = text.replaceAll(/"[^"]*"/g, "").split(/\r\n|\n|\r/).filter((line) => line !== "").slice(0, 20);
  // The last one may have been cut off.
  if (lines.length > 2) lines.pop();
  const evenness = (delimiter: string) => {
    const counts = lines.map((line) => line.split(delimiter).length - 1);
    return counts[0] > 0 ? counts.filter((count) => count === counts[0]).length / counts.length : 0;
  };
  const best = ([";", "\t", "|"] as const).reduce((a, b) => evenness(b) > evenness(a) ? b : a);
  if (evenness(best) >= EVEN) return best;
  return evenness(best) > evenness(",") ? best : ",";
}

/**
 * Text as UTF-8.
 *
 * @param last Whether nothing comes after it; otherwise an incomplete character at its end is left out.
 * @returns The bytes, which may be those given.
 * @throws {EncodingError} If it is not in this encoding.
 */
export function toUtf8(
  source: Uint8Array,
  encoding: Encoding,
  last: boolean,
): { bytes: Uint8Array; used: number } {
  if (encoding === "utf-8") return { bytes: source, used: source.length };
  if (encoding === "latin1") {
    return { bytes: new TextEncoder().encode(new TextDecoder("windows-1252").decode(source)), used: source.length };
  }
  let used = source.length - source.length % 2;
  // A surrogate pair is kept together.
  const high = source[encoding === "utf-16le" ? used - 1 : used - 2];
  if (!last && used > 0 && high >= 0xd8 && high <= 0xdb) used -= 2;
  if (last && source.length % 2 === 1) throw new EncodingError("The file ends in the middle of a UTF-16 character.");
  const text = new TextDecoder(encoding, { ignoreBOM: true }).decode(source.subarray(0, used));
  return { bytes: new TextEncoder().encode(text), used };
}

/** How many bytes of the source correspond to UTF-8 text. */
export function sourceLength(utf8: Uint8Array, encoding: Encoding): number {
  if (encoding === "utf-8") return utf8.length;
  let units = 0;
  for (const byte of utf8) {
    if ((byte & 0xc0) !== 0x80) units += encoding !== "latin1" && byte >= 0xf0 ? 2 : 1;
  }
  return encoding === "latin1" ? units : units * 2;
}

/**
 * Fails if text that was read as UTF-8 is not.
 *
 * @param last Whether nothing comes after it.
 * @param offset Its position in the file.
 * @throws {EncodingError} If it is not UTF-8.
 */
export function assertUtf8(bytes: Uint8Array, last: boolean, offset: number): void {
  if (isUtf8Part(bytes, last)) return;
  throw new EncodingError(
    `The file is not entirely valid UTF-8 (between bytes ${offset} and ${offset + bytes.length}). ` +
      `If it is Latin-1, set encoding: latin1.`,
  );
}
