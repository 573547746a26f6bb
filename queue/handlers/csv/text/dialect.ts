/**
 * The dialect of a CSV: how it is written, given or detected from its beginning.
 *
 * @module
 */

import { isAscii } from "node:buffer";
import { detectEncoding, type Encoding, implausibleWords, toUtf8 } from "./encoding.ts";
import { TableError } from "./errors.ts";
import { RecordReader, type RecordSyntax } from "./records.ts";

/** Delimiters that are read. */
export const DELIMITERS = [",", ";", "\t", "|"] as const;

/** One of {@linkcode DELIMITERS}. */
export type Delimiter = (typeof DELIMITERS)[number];

/** Characters that values are quoted with; empty: they are not quoted. */
export const QUOTES = ['"', "'", ""] as const;

/** How a quote within a quoted value is written. */
export const ESCAPES = ["doubled", "backslash"] as const;

/** What is known of a file before it is read. */
export interface StatedDialect {
  encoding?: Encoding;
  delimiter?: Delimiter;
  quote?: (typeof QUOTES)[number];
  escape?: (typeof ESCAPES)[number];
  /** One ASCII character that begins lines to skip. */
  comment?: string;
  /** Lines to skip at the beginning. */
  skip_rows?: number;
  /** Whether the first record is a header. @default true */
  header?: boolean;
}

/** How a file is written. */
export interface Dialect extends RecordSyntax {
  encoding: Encoding;
  /** How sure the encoding is, from 0 to 1; null if it was given. */
  confidence: number | null;
  /** Whether the encoding is still open because there was only ASCII so far. */
  undecided: boolean;
  /** Bytes of the byte order mark. */
  mark: number;
  delimiter: Delimiter;
  quote: (typeof QUOTES)[number];
  /** Lines to skip at the beginning. */
  skip: number;
  /** The first of these. */
  skipped: string[];
  /** What is doubtful. */
  warnings: string[];
}

const MARKS: [Encoding, number[]][] = [
  ["utf-8", [0xef, 0xbb, 0xbf]],
  ["utf-16le", [0xff, 0xfe]],
  ["utf-16be", [0xfe, 0xff]],
];

/** Bytes of text that the delimiter, quotes and header are told from. */
const SAMPLE_BYTES = 64 * 1024;
/** Records that they are told from. */
const SAMPLE_RECORDS = 100;
/** The most lines before a header that are found without being told. */
const MAX_TITLE_LINES = 20;
/** Skipped lines, and characters of each, that are shown. */
const [SHOWN_LINES, SHOWN_CHARS] = [10, 200];

/**
 * Detects the dialect of a file.
 *
 * @param first Its first bytes: some megabytes.
 * @param whole Whether that is the whole file.
 * @param stated What is already known.
 * @throws {EncodingError} If it is not text.
 */
export async function detectDialect(first: Uint8Array, whole: boolean, stated: StatedDialect): Promise<Dialect> {
  const marked = MARKS.find(([, mark]) => mark.every((byte, i) => first[i] === byte));
  const mark = marked && (stated.encoding ?? marked[0]) === marked[0] ? marked[1].length : 0;
  const rest = first.subarray(mark);
  const detected = stated.encoding
    ? { encoding: stated.encoding, confidence: null }
    : marked
    ? { encoding: marked[0], confidence: 1 }
    : await detectEncoding(rest, whole);
  const { encoding, confidence } = detected;
  const sample = rest.subarray(0, Math.min(rest.length, 2 * SAMPLE_BYTES) & ~1);
  const sampleIsAll = whole && sample.length === rest.length;
  const { text: bytes } = toUtf8(whole && rest.length < 2 * SAMPLE_BYTES ? rest : sample, encoding, false);
  const cut = bytes.length > 0 ? bytes : toUtf8(sample, encoding, true).text;
  const text = new TextDecoder().decode(cut.subarray(0, SAMPLE_BYTES), { stream: !sampleIsAll });
  const layout = detectLayout(text, whole && text.length < SAMPLE_BYTES / 2, stated);
  return {
    encoding,
    confidence,
    undecided: !stated.encoding && !marked && encoding === "utf-8" && isAscii(rest),
    mark,
    ...layout,
    warnings: [...warningsOf(encoding, confidence, text), ...layout.warnings],
  };
}

function warningsOf(encoding: Encoding, confidence: number | null, text: string): string[] {
  const warnings: string[] = [];
  const name = encoding === "latin1" ? "windows-1252" : encoding;
  if (confidence !== null && confidence < 0.6) {
    warnings.push(`The encoding is a guess: ${name}, with a confidence of ${Math.round(confidence * 100)} %.`);
  }
  const words = implausibleWords(text);
  if (words.length > 0) {
    const shown = words.map((word) => `"${word}"`).join(", ");
    warnings.push(`Some words make no sense as ${name}: ${shown}. The text may be in another encoding.`);
  }
  return warnings;
}

/** A warning about an encoding that was decided after the beginning of the file. */
export function lateWarnings(encoding: Encoding, confidence: number, bytes: Uint8Array): string[] {
  const { text } = toUtf8(bytes.subarray(0, SAMPLE_BYTES), encoding, encoding === "utf-8");
  return warningsOf(encoding, confidence, new TextDecoder().decode(text));
}

/**
 * Refuses text that is something else.
 *
 * @throws {TableError} With its name.
 */
function assertTable(text: string): void {
  const start = text.trimStart();
  const [line] = start.split(/\r\n|\n|\r/, 1);
  const isJson = /^[[{]\s*$/.test(line) && /^[[{]\s*["{[\]}]/.test(start) || /^[[{]/.test(line) && canParse(line);
  const kind = isJson ? "JSON" : /^<\?xml\b/i.test(start) ? "XML" : /^<(!doctype|html)\b/i.test(start) ? "HTML" : null;
  if (kind) throw new TableError(`The file is not a CSV: it is ${kind}.`);
}

function canParse(json: string): boolean {
  try {
    JSON.parse(json);
    return true;
  } catch {
    return false;
  }
}

type Layout = Pick<Dialect, "delimiter" | "quote" | "backslash" | "comment" | "skip" | "skipped" | "warnings">;

function detectLayout(text: string, whole: boolean, stated: StatedDialect): Layout {
  const comment = stated.comment ?? "";
  let skip = stated.skip_rows ?? 0;
  const lines = text.split(/\r\n|\n|\r/);
  let { delimiter } = stated;
  if (!delimiter) assertTable(text);
  // The line that Excel writes and reads before the header.
  const separator = /^sep=(.) *$/i.exec(lines[skip] ?? "")?.[1];
  if (separator) {
    if (!delimiter && !(DELIMITERS as readonly string[]).includes(separator)) {
      throw new TableError(`The file says sep=${separator}: this delimiter is not supported.`);
    }
    delimiter ??= separator as Delimiter;
    skip++;
  }
  const rest = skip === 0 ? text : lines.slice(skip).join("\n");
  const quote = stated.quote ?? '"';
  delimiter ??= detectDelimiter(rest);
  const syntax = { delimiter, quote, comment, backslash: stated.escape === "backslash" };
  if (!stated.escape && quote !== "" && rest.includes(`\\${quote}`)) syntax.backslash = isBackslash(rest, syntax);
  if (stated.skip_rows === undefined && stated.header !== false) skip += titleLines(rest, syntax, whole);
  const skipped = lines.slice(0, skip).slice(0, SHOWN_LINES).map((line) => line.slice(0, SHOWN_CHARS));
  const isOpen = !syntax.backslash && !stated.escape && quote !== "" && rest.includes("\\\\") &&
    sampleOf(rest, syntax, whole).some(({ values }) => values.some((value) => value.includes("\\\\")));
  const doubts = isOpen
    ? ["Doubled backslashes were kept as written; set escape to backslash to read each pair as one."]
    : [];
  const header = lines[skip] ?? "";
  if (comment === "" && stated.header !== false && /^#(?!\S*$)/.test(header)) {
    doubts.push("The first row begins with #: if it is a comment, set comment or skip_rows.");
  }
  return { ...syntax, delimiter, skip, skipped, warnings: doubts };
}

/** The share of lines that must contain a delimiter equally often. */
const EVEN = 0.9;

/**
 * The delimiter: a semicolon, tab or pipe that occurs, outside quotes, equally often in nearly all lines; otherwise the
 * comma, which also occurs in numbers and sentences.
 */
function detectDelimiter(text: string): Delimiter {
  const unquoted = text.slice(0, SAMPLE_BYTES).replaceAll(/"[^"]*"/g, "");
  const lines = unquoted.split(/\r\n|\n|\r/).filter((line) => line !== "").slice(0, SAMPLE_RECORDS);
  // The last one may have been cut off.
  if (lines.length > 2) lines.pop();
  const evenness = (delimiter: string) => {
    const counts = lines.map((line) => line.split(delimiter).length - 1);
    const first = counts.findIndex((count) => count > 0);
    if (first < 0) return 0;
    const [most] = mode(counts.filter((count) => count > 0));
    // Lines without it may be titles, if all the others are a table.
    const isTable = most >= 2 && most >= EVEN * (lines.length - first);
    return first === 0 || isTable ? most / lines.length : 0;
  };
  const best = ([";", "\t", "|"] as const).reduce((a, b) => evenness(b) > evenness(a) ? b : a);
  if (evenness(best) >= EVEN) return best;
  // Where rows are ragged, names tell: there are no decimals among them.
  if (evenness(best) >= 0.5 && lines[0]?.includes(best) && !lines[0].includes(",")) return best;
  return evenness(best) > evenness(",") ? best : ",";
}

/** How often the most frequent number occurs, and which it is. */
function mode(numbers: number[]): [count: number, number: number] {
  const counts = new Map<number, number>();
  for (const number of numbers) counts.set(number, (counts.get(number) ?? 0) + 1);
  return [...counts].reduce<[number, number]>((best, [number, count]) => count > best[0] ? [count, number] : best, [
    0,
    0,
  ]);
}

/** A record of the sample. */
interface Sample {
  line: number;
  values: string[];
  broken: boolean;
  /** Whether it has a quote in a quoted value that is neither escaped nor at its end. */
  stray: boolean;
}

function sampleOf(text: string, syntax: RecordSyntax, whole: boolean): Sample[] {
  const bytes = new TextEncoder().encode(text);
  const source = bytes.slice();
  const reader = new RecordReader(bytes, syntax, 1, whole);
  const records: Sample[] = [];
  const decoder = new TextDecoder();
  const quoteCode = syntax.quote.charCodeAt(0);
  while (records.length < SAMPLE_RECORDS && reader.next()) {
    const { starts, ends, length, line, broken } = reader;
    const values = Array.from({ length }, (_, i) => decoder.decode(bytes.subarray(starts[i], ends[i])));
    // As it was before escapes were replaced.
    const stray = values.some((value, i) => {
      if (source[starts[i] - 1] !== quoteCode) return false;
      const raw = decoder.decode(source.subarray(starts[i], ends[i]));
      const plain = syntax.backslash ? raw.replaceAll(/\\./gs, "") : raw.replaceAll(syntax.quote.repeat(2), "");
      return plain.includes(syntax.quote) && value.includes(syntax.quote);
    });
    records.push({ line, values, broken: broken !== null, stray });
  }
  return records;
}

/** Whether quotes are escaped by backslashes: read so, fewer records make no sense. */
function isBackslash(text: string, syntax: RecordSyntax): boolean {
  const faults = (backslash: boolean) => {
    const records = sampleOf(text, { ...syntax, backslash }, true);
    const [, width] = mode(records.map(({ values }) => values.length));
    return records.filter(({ values, broken, stray }) => broken || stray || values.length !== width).length;
  };
  return faults(true) < faults(false);
}

/** What a header does not hold: numbers. */
const NUMERIC = /^[-+]?[\d.,\s%$€£]*\d[\d.,\s%$€£]*$/;

/**
 * Lines of titles or comments before the header: all are narrower than the table, which begins with a record of names
 * and has nearly all other records of its width.
 */
function titleLines(text: string, syntax: RecordSyntax, whole: boolean): number {
  const records = sampleOf(text, syntax, whole);
  const [, width] = mode(records.slice(1).map(({ values }) => values.length));
  const at = records.findIndex(({ values }) => values.length === width);
  if (at <= 0 || width < 2 || records.length < at + 2 || records[at].line > MAX_TITLE_LINES) return 0;
  const before = records.slice(0, at);
  const isTitle = ({ values: [first, ...others] }: Sample) =>
    first.startsWith("#") || others.length + 1 <= width / 2 && !(width === 2 && first === "");
  const after = records.slice(at);
  const fitting = after.filter(({ values }) => values.length === width).length;
  const isHeader = records[at].values.every((value) => value.trim() !== "" && !NUMERIC.test(value.trim()));
  return before.every(isTitle) && isHeader && fitting >= EVEN * after.length ? records[at].line - 1 : 0;
}
