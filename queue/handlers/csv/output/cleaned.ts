/**
 * Writes the cleaned CSV: chosen columns under chosen names, each record of the same length, quoted where it must be.
 *
 * @module
 */

import { TableError } from "../text/errors.ts";
import type { FoundRecord } from "../text/records.ts";
import { NUMBER, trimEnd, trimStart, ValueReader } from "../columns/values.ts";

/** How the cleaned file is written. */
export interface Cleaning {
  /** Columns to keep, in this order; empty: all of them. */
  columns: string[];
  /** New names by the old ones. */
  rename: Record<string, string>;
  /** Leave bad rows out; otherwise they are padded or cut to the number of columns. */
  dropBadRows: boolean;
  /** Put an apostrophe before values that a spreadsheet would treat as formulas. */
  escapeFormulas: boolean;
}

const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });
const QUOTE = 0x22;
const APOSTROPHE = 0x27;
/** What a spreadsheet treats as the start of a formula, after characters that it ignores (OWASP, "CSV Injection"). */
const FORMULA = /^[\s\u00a0\u200b\ufeff]*[=+\-@\t\r\n＝＋－＠]/;
/** What another reader may treat as a delimiter: with formulas escaped, the text after it must not become a cell. */
const DELIMITERS = new Set([...",;\t|"].map((character) => character.charCodeAt(0)));

/** The text, escaped so that no spreadsheet treats it as a formula. */
export function withoutFormula(text: string): string {
  return FORMULA.test(text) ? `'${text}` : text;
}

/**
 * The columns of a cleaned file: where each is in the file, and what it is called.
 *
 * @throws {TableError} If a requested column is missing, or two would have the same name.
 */
export function chosenColumns(
  names: string[],
  { columns, rename }: Pick<Cleaning, "columns" | "rename">,
): { at: number; name: string }[] {
  const indexOf = (name: string) => {
    const at = names.indexOf(name);
    if (at >= 0) return at;
    throw new TableError(`The file has no column "${name}". It has: ${names.slice(0, 20).join(", ")}.`);
  };
  Object.keys(rename).forEach(indexOf);
  const chosen = (columns.length > 0 ? columns.map(indexOf) : names.map((_, i) => i))
    .map((at) => ({ at, name: Object.hasOwn(rename, names[at]) ? rename[names[at]] : names[at] }));
  const twice = chosen.find(({ name }, i) => chosen.findIndex((other) => other.name === name) < i);
  if (twice) throw new TableError(`Two columns of the cleaned file would be named "${twice.name}".`);
  return chosen;
}

/** Buffers the bytes of the cleaned file until `take` is called. */
export class CleanedWriter {
  readonly #cleaning: Cleaning;
  readonly #separator: number;
  readonly #reader = new ValueReader();
  #chosen: number[] = [];
  #names: string[] = [];
  #bytes = new Uint8Array(64 * 1024);
  #length = 0;

  constructor(cleaning: Cleaning, delimiter: string) {
    this.#cleaning = cleaning;
    this.#separator = delimiter.charCodeAt(0);
  }

  /**
   * Sets the columns of the file.
   *
   * @throws {TableError} If a requested column is missing, or two would have the same name.
   */
  choose(names: string[]): void {
    const chosen = chosenColumns(names, this.#cleaning);
    this.#chosen = chosen.map(({ at }) => at);
    this.#names = chosen.map(({ name }) => name);
  }

  /** Writes the names. */
  header(): void {
    const encoder = new TextEncoder();
    this.#names.forEach((name, i) => {
      const bytes = encoder.encode(name);
      this.#value(bytes, 0, bytes.length, i);
    });
    this.#end();
  }

  /** Writes a record. */
  row(bytes: Uint8Array, { starts, ends, length }: FoundRecord): void {
    this.#chosen.forEach((column, i) => {
      const there = column < length;
      this.#value(bytes, there ? starts[column] : 0, there ? ends[column] : 0, i);
    });
    this.#end();
  }

  /** Returns what was written since the last call. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return bytes;
  }

  #value(bytes: Uint8Array, start: number, end: number, i: number): void {
    this.#ensure(2 * (end - start) + 6);
    const out = this.#bytes;
    if (i > 0) out[this.#length++] = this.#separator;
    const { escapeFormulas } = this.#cleaning;
    const formula = escapeFormulas && this.#isFormula(bytes, start, end);
    let plain = !formula;
    for (let at = start; plain && at < end; at++) {
      const byte = bytes[at];
      plain = byte !== QUOTE && byte !== this.#separator && byte !== 0x0a && byte !== 0x0d &&
        !(escapeFormulas && DELIMITERS.has(byte));
    }
    // A record of one empty value would be an empty line.
    if (plain && (end > start || this.#chosen.length > 1)) {
      out.set(bytes.subarray(start, end), this.#length);
      this.#length += end - start;
      return;
    }
    out[this.#length++] = QUOTE;
    if (formula) out[this.#length++] = APOSTROPHE;
    for (let at = start; at < end; at++) {
      if (bytes[at] === QUOTE) out[this.#length++] = QUOTE;
      out[this.#length++] = bytes[at];
    }
    out[this.#length++] = QUOTE;
  }

  #isFormula(bytes: Uint8Array, start: number, end: number): boolean {
    if (start === end || !FORMULA.test(DECODER.decode(bytes.subarray(start, Math.min(end, start + 64))))) return false;
    const first = trimStart(bytes, start, end);
    const last = trimEnd(bytes, first, end);
    if (first === last) return true;
    // -5 is a number.
    return (this.#reader.read(bytes, first, last) & NUMBER) === 0;
  }

  #end(): void {
    this.#ensure(2);
    this.#bytes[this.#length++] = 0x0d;
    this.#bytes[this.#length++] = 0x0a;
  }

  #ensure(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
