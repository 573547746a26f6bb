/**
 * Finds the records of a CSV and their values in its bytes, like `@std/csv` with `lazyQuotes`: RFC 4180, but a quote
 * that neither starts nor ends its value is an ordinary character.
 *
 * @module
 */

import { TableError } from "./errors.ts";

const QUOTE = 0x22;
const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** A record: value `i` is from `starts[i]` up to, not including, `ends[i]`. The next call overwrites all of this. */
export interface FoundRecord {
  starts: Int32Array;
  ends: Int32Array;
  /** How many values it has. */
  length: number;
  /** The line that it begins on, from 1. */
  line: number;
  /** How many lines it spans. */
  lines: number;
  /** Whether the last value begins with a quote that is never closed. */
  unclosed: boolean;
}

/** The longest record in bytes: a file with a longer one is not a CSV, and would fill the memory. */
export const MAX_RECORD_BYTES = 4 * 1024 * 1024;

/** The message for a longer record. */
export function tooLong(line: number): string {
  const size = `${MAX_RECORD_BYTES / 1024 ** 2} MB`;
  return `The record that begins on line ${
    line.toLocaleString("en")
  } has more than ${size}. A quote may never be closed.`;
}

/** Reads the records of one block of UTF-8. Quoted values are rewritten in it, without their quotes. */
export class RecordReader implements FoundRecord {
  starts: Int32Array = new Int32Array(64);
  ends: Int32Array = new Int32Array(64);
  length = 0;
  line: number;
  lines = 1;
  unclosed = false;
  readonly #bytes: Uint8Array;
  readonly #separator: number;
  readonly #last: boolean;
  #at = 0;
  #nextLine: number;
  /** Which values hold doubled quotes. */
  #doubled: number[] = [];

  /**
   * @param separator One ASCII character.
   * @param line The line that the block begins on.
   * @param last Whether the block ends where the file does.
   */
  constructor(bytes: Uint8Array, separator: string, line: number, last: boolean) {
    this.#bytes = bytes;
    this.#separator = separator.charCodeAt(0);
    this.line = line;
    this.#nextLine = line;
    this.#last = last;
  }

  /** Bytes that are processed: up to the end of a record. */
  get used(): number {
    return this.#at;
  }

  /** The line that comes next. */
  get nextLine(): number {
    return this.#nextLine;
  }

  /** Finds the next record; false if there is none that ends in the block. */
  next(): boolean {
    const bytes = this.#bytes;
    const total = bytes.length;
    // Empty lines are not records.
    while (this.#at < total) {
      if (bytes[this.#at] === NEWLINE) this.#at++;
      else if (bytes[this.#at] === RETURN && bytes[this.#at + 1] === NEWLINE) this.#at += 2;
      else break;
      this.#nextLine++;
    }
    if (this.#at === total) return false;
    const separator = this.#separator;
    let at = this.#at;
    let lines = 1;
    this.length = 0;
    this.unclosed = false;
    this.#doubled.length = 0;
    while (true) {
      if (this.length === this.starts.length) this.#grow();
      if (bytes[at] === QUOTE) {
        const start = ++at;
        let doubled = false;
        let end = -1;
        while (true) {
          at = bytes.indexOf(QUOTE, at);
          if (at < 0) {
            if (!this.#last) return false;
            at = end = total;
            this.unclosed = true;
            break;
          }
          const after = bytes[at + 1];
          // The next byte decides what the quote means: it is known in the next block.
          if (at + 1 >= total - (after === RETURN ? 1 : 0) && !this.#last) return false;
          if (after === QUOTE) {
            doubled = true;
            at += 2;
          } else if (
            at + 1 === total || after === separator || after === NEWLINE ||
            after === RETURN && (at + 2 === total || bytes[at + 2] === NEWLINE)
          ) {
            end = at++;
            if (at < total && bytes[at] === RETURN) at++;
            break;
          } else at++;
        }
        for (let i = start; i < end; i++) if (bytes[i] === NEWLINE) lines++;
        if (doubled) this.#doubled.push(this.length);
        this.starts[this.length] = start;
        this.ends[this.length++] = end;
      } else {
        const start = at;
        for (let byte; at < total && (byte = bytes[at]) !== separator && byte !== NEWLINE;) at++;
        this.starts[this.length] = start;
        this.ends[this.length++] = at;
        // A return before the end of the line belongs to it.
        if (at > start && bytes[at - 1] === RETURN && (at === total || bytes[at] === NEWLINE)) {
          this.ends[this.length - 1]--;
        }
      }
      if (at < total && bytes[at] === separator) {
        at++;
        continue;
      }
      if (at >= total) {
        if (!this.#last) return false;
      } else at++;
      break;
    }
    for (const value of this.#doubled) this.ends[value] = undouble(bytes, this.starts[value], this.ends[value]);
    this.line = this.#nextLine;
    this.lines = lines;
    this.#nextLine += lines;
    if (at - this.#at > MAX_RECORD_BYTES) throw new TableError(tooLong(this.line));
    this.#at = at;
    return true;
  }

  #grow(): void {
    for (const name of ["starts", "ends"] as const) {
      const larger = new Int32Array(this.length * 2);
      larger.set(this[name]);
      this[name] = larger;
    }
  }
}

/** Replaces doubled quotes with single ones; returns the new end. */
function undouble(bytes: Uint8Array, start: number, end: number): number {
  let to = start;
  for (let from = start; from < end; from++) {
    bytes[to++] = bytes[from];
    if (bytes[from] === QUOTE && bytes[from + 1] === QUOTE && from + 1 < end) from++;
  }
  return to;
}
