/**
 * Writes records as JSON lines, once it is known what the columns are: numbers as numbers, missing values as null.
 *
 * @module
 */

import type { ColumnStatistics } from "../columns/statistics.ts";
import type { Reading } from "../columns/readings.ts";
import { Fit, trimEnd, trimStart, ValueReader } from "../columns/values.ts";
import { NullWords } from "../columns/nulls.ts";
import { type FoundRecord, rowFault } from "../text/records.ts";
import type { RowCheck } from "../row_check.ts";

/** A column of the JSON lines. */
export interface LineColumn {
  /** Its place in the file. */
  at: number;
  /** Its name in the JSON. */
  name: string;
  type: ColumnStatistics["type"];
  reading: Reading["reading"];
}

/** Buffers the lines until `take` is called. */
export class JsonLinesWriter {
  readonly #columns: LineColumn[];
  readonly #width: number;
  readonly #nulls: NullWords;
  readonly #check: RowCheck | null;
  readonly #reader = new ValueReader();
  readonly #decoder = new TextDecoder();
  #lines: string[] = [];

  /** @param width How many columns the file has. */
  constructor(columns: LineColumn[], width: number, nullValues: readonly string[], check: RowCheck | null) {
    this.#check = check;
    this.#columns = columns;
    this.#width = width;
    this.#nulls = new NullWords(nullValues);
  }

  /** Writes a record, unless it does not fit the columns. */
  add(bytes: Uint8Array, record: FoundRecord): void {
    const { starts, ends, from, to } = record;
    if (rowFault(record, this.#width, bytes.subarray(from, to).includes(0)) !== null) return;
    if (this.#check?.faultOf(bytes, record, (start, end) => this.#nulls.indexOf(bytes, start, end) >= 0)) return;
    const members = this.#columns.map((column) => {
      const start = trimStart(bytes, starts[column.at], ends[column.at]);
      const end = trimEnd(bytes, start, ends[column.at]);
      return `${JSON.stringify(column.name)}:${this.#value(bytes, start, end, column)}`;
    });
    this.#lines.push(`{${members.join(",")}}\n`);
  }

  /** Returns what was written since the last call. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = new TextEncoder().encode(this.#lines.join(""));
    this.#lines = [];
    return bytes;
  }

  #value(bytes: Uint8Array, start: number, end: number, { type, reading }: LineColumn): string {
    if (start === end || this.#nulls.indexOf(bytes, start, end) >= 0) return "null";
    const text = this.#decoder.decode(bytes.subarray(start, end));
    if (type === "boolean" && /^(true|false)$/i.test(text)) return text.toLowerCase();
    if (type !== "integer" && type !== "decimal") return JSON.stringify(text);
    const fit = this.#reader.read(bytes, start, end);
    const number = reading === "second" ? this.#reader.second : this.#reader.first;
    // Beyond what a double holds, the text is the value.
    return fit & Fit.LARGE && !Number.isSafeInteger(number) ? JSON.stringify(text) : JSON.stringify(number);
  }
}
