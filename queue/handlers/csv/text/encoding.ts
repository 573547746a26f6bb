/**
 * Encodings of text: which one a file is in, and how its bytes become UTF-8.
 *
 * @module
 */

import { isAscii, isUtf8 } from "node:buffer";
import { EncodingError } from "./errors.ts";

/**
 * Encodings that are read: those of the WHATWG Encoding Standard. `latin1` is its name for windows-1252, as there.
 */
export const ENCODINGS = [
  "utf-8",
  "utf-16le",
  "utf-16be",
  "windows-1252",
  "latin1",
  "macintosh",
  "iso-8859-2",
  "iso-8859-3",
  "iso-8859-4",
  "iso-8859-5",
  "iso-8859-6",
  "iso-8859-7",
  "iso-8859-8",
  "iso-8859-10",
  "iso-8859-13",
  "iso-8859-14",
  "iso-8859-15",
  "iso-8859-16",
  "windows-1250",
  "windows-1251",
  "windows-1253",
  "windows-1254",
  "windows-1255",
  "windows-1256",
  "windows-1257",
  "windows-1258",
  "windows-874",
  "ibm866",
  "koi8-r",
  "koi8-u",
  "x-mac-cyrillic",
  "shift_jis",
  "euc-jp",
  "iso-2022-jp",
  "gbk",
  "gb18030",
  "big5",
  "euc-kr",
] as const;

/** One of {@linkcode ENCODINGS}. */
export type Encoding = (typeof ENCODINGS)[number];

/** An encoding that was detected. */
export interface DetectedEncoding {
  encoding: Encoding;
  /** How sure that is, from 0 to 1. */
  confidence: number;
}

/** Bytes of a legacy encoding that the detection looks at. */
const SAMPLE_BYTES = 64 * 1024;

/** Names of the detector that the Encoding Standard calls otherwise. */
const LABELS: Record<string, string> = {
  macroman: "macintosh",
  maccyrillic: "x-mac-cyrillic",
  cp932: "shift_jis",
  cp949: "euc-kr",
  cp874: "windows-874",
  "tis-620": "windows-874",
  "iso-8859-1": "windows-1252",
  "iso-8859-9": "windows-1254",
};

/**
 * Detects an encoding. UTF-8 if the bytes are valid, or most of their non-ASCII characters are; in the latter case,
 * reading them fails with an error. All others are told from their words, by jschardet.
 *
 * @param whole Whether these are all bytes; otherwise the last character may be cut.
 */
export async function detectEncoding(bytes: Uint8Array, whole: boolean): Promise<DetectedEncoding> {
  if (isAscii(bytes)) {
    // Only ISO-2022-JP has these escape sequences.
    const text = new TextDecoder().decode(bytes.subarray(0, SAMPLE_BYTES));
    const isJapanese = text.includes("\u001b$B") || text.includes("\u001b$@");
    return { encoding: isJapanese ? "iso-2022-jp" : "utf-8", confidence: 1 };
  }
  if (isUtf8Part(bytes, whole)) return { encoding: "utf-8", confidence: 1 };
  let right = 0;
  let wrong = 0;
  for (const character of new TextDecoder().decode(bytes, { stream: !whole })) {
    if (character === "\ufffd") wrong++;
    else if (character > "\u007f") right++;
  }
  if (right > 10 * wrong) return { encoding: "utf-8", confidence: 0.5 };
  return await detectLegacyEncoding(nonAsciiLines(bytes));
}

/** Lines with characters that are not ASCII: all others say nothing. */
function nonAsciiLines(bytes: Uint8Array): Uint8Array {
  const lines: Uint8Array[] = [];
  let size = 0;
  for (let at = 0; at < bytes.length && size < SAMPLE_BYTES;) {
    const end = bytes.indexOf(0x0a, at) + 1 || bytes.length;
    const line = bytes.subarray(at, Math.min(end, at + SAMPLE_BYTES));
    if (!isAscii(line)) {
      lines.push(line);
      size += line.length;
    }
    at = end;
  }
  const sample = new Uint8Array(size);
  let at = 0;
  for (const line of lines) {
    sample.set(line, at);
    at += line.length;
  }
  return sample;
}

/** A Chinese character alone in or at the end of a Latin word: accented letters that were read as such. */
const HAN_IN_LATIN = /\p{Ll}\p{Script=Han}(?!\p{Script=Han})|\p{Script=Latin}\p{Script=Han}{1,2}\p{Script=Latin}/u;

/** Bytes beyond ASCII that prove half as much as very many. */
const LITTLE = 2;

async function detectLegacyEncoding(sample: Uint8Array): Promise<DetectedEncoding> {
  // Its tables take 80 MB: only who needs them loads them.
  const { default: jschardet } = await import("jschardet");
  // It reads bytes as the characters of the same numbers.
  const text = Array.from(sample, (byte) => String.fromCharCode(byte)).join("");
  const candidates: { encoding: Encoding; score: number; text: string }[] = [];
  for (const { encoding, confidence } of jschardet.detectAll(text, { minimumThreshold: 0 })) {
    const name = encoding?.toLowerCase().replace(/^iso8859/, "iso-8859").replace(/^cp125/, "windows-125") ?? "";
    const label = (LABELS[name] ?? name) as Encoding;
    if (!ENCODINGS.includes(label) || candidates.some((other) => other.encoding === label)) continue;
    candidates.push({ encoding: label, score: confidence, text: new TextDecoder(label).decode(sample) });
  }
  candidates.sort((a, b) => b.score - a.score);
  const [best] = candidates;
  if (!best) return { encoding: "windows-1252", confidence: 0 };
  // The commonest of those that read the bytes alike, or nearly as well.
  const chosen = candidates.find(({ encoding, score, text }) =>
    encoding === "windows-1252" &&
    (text === best.text || implausibleWords(text).length === 0 &&
        (score >= 0.8 * best.score || implausibleWords(best.text).length > 0))
  ) ?? candidates.find(({ encoding, text }) => encoding.startsWith("windows-") && text === best.text) ?? best;
  const rival = candidates.find(({ text }) =>
    text !== chosen.text && implausibleWords(text).length === 0 && !HAN_IN_LATIN.test(text)
  );
  // Where every other reading makes no sense there is nothing to doubt. A few letters prove little: with n of them, n / (n + LITTLE) of it.
  const letters = sample.reduce((count, byte) => byte > 0x7f ? count + 1 : count, 0);
  const confidence = (rival ? chosen.score / (chosen.score + rival.score) : 1) * letters /
    (letters + LITTLE);
  return { encoding: chosen.encoding, confidence: Math.round(confidence * 100) / 100 };
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

/**
 * Text as UTF-8.
 *
 * @param last Whether nothing comes after it; otherwise what comes after its last line end is left.
 * @returns The text, which may be the bytes given, and how many bytes it was made from.
 * @throws {EncodingError} If it is UTF-16 and ends in the middle of a character.
 */
export function toUtf8(source: Uint8Array, encoding: Encoding, last: boolean): { text: Uint8Array; used: number } {
  if (encoding === "utf-8") return { text: source, used: source.length };
  const wide = encoding === "utf-16le" || encoding === "utf-16be";
  if (last && wide && source.length % 2 === 1) {
    throw new EncodingError("The file ends in the middle of a UTF-16 character.");
  }
  // In all of these encodings, the byte of a line feed is nothing else, and nothing is shifted across it.
  const used = last ? source.length : wide ? wideLineEnd(source, encoding === "utf-16be") : lineEnd(source);
  const text = new TextDecoder(encoding, { ignoreBOM: true }).decode(source.subarray(0, used));
  return { text: new TextEncoder().encode(text), used };
}

function lineEnd(bytes: Uint8Array): number {
  return Math.max(bytes.lastIndexOf(0x0a), bytes.lastIndexOf(0x0d)) + 1;
}

function wideLineEnd(bytes: Uint8Array, big: boolean): number {
  for (let at = bytes.length - bytes.length % 2 - 2; at >= 0; at -= 2) {
    const unit = big ? bytes[at] << 8 | bytes[at + 1] : bytes[at + 1] << 8 | bytes[at];
    if (unit === 0x0a || unit === 0x0d) return at + 2;
  }
  return 0;
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
      `If it is in another encoding, set it, such as encoding: latin1.`,
  );
}

// UTF-8 that was read as windows-1252 once; accented letters that are capital only within a word; signs in words.
const IMPLAUSIBLE = [
  // Latin letters among Cyrillic or Greek ones.
  /\p{Script=Latin}[\p{Script=Cyrillic}\p{Script=Greek}]|[\p{Script=Cyrillic}\p{Script=Greek}]\p{Script=Latin}/u,
  /[ÃÂ][\u0080-\u00bf]|â€|ï¿½|\ufffd/u,
  /\p{Ll}[[\u0080-\uffff]&&[[\p{Lu}&&\p{Script=Latin}]\p{C}]]/v,
  /^\p{Lu}[[\u0080-\uffff]&&\p{Lu}&&\p{Script=Latin}]\p{Ll}/v,
  /\p{L}[[[\u0080-\uffff]&&[\p{S}\p{C}]]--[™®©]]\p{L}/v,
];

/** Up to five words that make no sense: the text may be in another encoding. */
export function implausibleWords(text: string): string[] {
  const words = new Set<string>();
  for (const [word] of text.matchAll(/[\p{L}\p{M}\p{N}\p{S}\u0080-\u00bf\ufffd€™]+/gu)) {
    if (!IMPLAUSIBLE.some((pattern) => pattern.test(word))) continue;
    words.add(word.slice(0, 40));
    if (words.size === 5) break;
  }
  return [...words];
}
