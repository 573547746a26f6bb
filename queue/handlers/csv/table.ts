/**
 * A CSV as it is read: its columns, and the rows that do not fit.
 *
 * @module
 */

import { CleanedWriter, type Cleaning } from "./cleaned.ts";
import { Column, type ColumnState, type ColumnStatistics } from "./columns/column.ts";
import { distinctLimit } from "./columns/distinct.ts";
import { TableError } from "./errors.ts";
import type { FoundRecord } from "./records.ts";

/** The most columns of a table. */
const MAX_COLUMNS = 2_000;
/** Bad rows that are listed. */
const BAD_ROWS = 100;
/** Most lines that an unclosed quote may span. */
const MAX_UNCLOSED_LINES = 100;
/** Characters of a name. */
const NAME = 200;

/** A row that does not fit, by the line of the file that it begins on, from 1. */
export type BadRow = {
  line: number;
  reason: string;
};

/** How a table is read. */
export interface TableOptions {
  /** Whether the first record holds the names of the columns. */
  header: boolean;
  /** Whether `1,5` is a number. */
  decimalComma: boolean;
  /** More bad rows than this are too many. */
  maxBadRows: number;
  /** How the cleaned file is written; null: no cleaned file. */
  cleaning: Cleaning | null;
}

/** Everything that a table has gathered. */
export interface TableState {
  rows: number;
  bad: number;
  badRows: BadRow[];
  columns: ColumnState[] | null;
}

/** Gathers a table, one record at a time. */
export class Table {
  rows = 0;
  bad = 0;
  readonly badRows: BadRow[] = [];
  readonly cleaned: CleanedWriter | null = null;
  #columns: Column[] | null = null;
  readonly #options: TableOptions;

  /** @param delimiter Of the cleaned file. */
  constructor(options: TableOptions, delimiter: string, state?: TableState) {
    this.#options = options;
    if (options.cleaning) this.cleaned = new CleanedWriter(options.cleaning, delimiter, options.decimalComma);
    if (!state) return;
    this.rows = state.rows;
    this.bad = state.bad;
    this.badRows = state.badRows;
    if (!state.columns) return;
    const limit = distinctLimit(state.columns.length);
    this.#columns = state.columns.map((column) => Column.from(column, options.decimalComma, limit));
    this.cleaned?.choose(this.names());
  }

  /** What has been gathered so far. */
  state(): TableState {
    return {
      rows: this.rows,
      bad: this.bad,
      badRows: this.badRows,
      columns: this.#columns?.map((column) => column.state()) ?? null,
    };
  }

  /** The columns' names, each of them different. */
  names(): string[] {
    return (this.#columns ?? []).map(({ name }) => name);
  }

  /**
   * Takes a record.
   *
   * @throws {TableError} If it has too many columns, too many rows were bad, or a requested column is missing.
   */
  add(bytes: Uint8Array, record: FoundRecord): void {
    if (!this.#columns) {
      this.#columns = this.#begin(bytes, record);
      this.cleaned?.choose(this.names());
      if (this.#options.header) this.cleaned?.header();
      if (this.#options.header) return;
    }
    const columns = this.#columns;
    const { length, starts, ends } = record;
    if (record.unclosed) {
      // A truncated file loses only its last row; a stray quote would silently swallow all rows after it.
      if (record.lines > MAX_UNCLOSED_LINES) {
        throw new TableError(
          `A quote that begins on line ${record.line} is never closed: it spans ${
            record.lines.toLocaleString("en")
          } lines.`,
        );
      }
      return this.#refuse(bytes, record, "has a quote that is never closed");
    }
    if (length !== columns.length) {
      return this.#refuse(bytes, record, `has ${length} value${length === 1 ? "" : "s"} instead of ${columns.length}`);
    }
    this.rows++;
    for (let i = 0; i < length; i++) columns[i].add(bytes, starts[i], ends[i]);
    this.cleaned?.row(bytes, record);
  }

  /** The statistics of each column. */
  result(): ColumnStatistics[] {
    return (this.#columns ?? []).map((column) => column.result());
  }

  #begin(bytes: Uint8Array, { length, starts, ends, unclosed, line }: FoundRecord): Column[] {
    if (unclosed) throw new TableError(`A quote that begins on line ${line} is never closed.`);
    if (length > MAX_COLUMNS) {
      throw new TableError(`The file has ${length.toLocaleString("en")} columns; the limit is 2,000.`);
    }
    const limit = distinctLimit(length);
    const taken = new Set<string>();
    return Array.from({ length }, (_, i) => {
      const text = this.#options.header ? new TextDecoder().decode(bytes.subarray(starts[i], ends[i])).trim() : "";
      const wanted = text.slice(0, NAME) || `column ${i + 1}`;
      let name = wanted;
      for (let n = 2; taken.has(name); n++) name = `${wanted} (${n})`;
      taken.add(name);
      return new Column(name, this.#options.decimalComma, limit);
    });
  }

  #refuse(bytes: Uint8Array, record: FoundRecord, reason: string): void {
    this.bad++;
    if (this.badRows.length < BAD_ROWS) this.badRows.push({ line: record.line, reason });
    if (this.bad > this.#options.maxBadRows) {
      const { line, reason } = this.badRows[0];
      throw new TableError(
        `More than ${
          this.#options.maxBadRows.toLocaleString("en")
        } rows are bad. The first is on line ${line}: it ${reason}.`,
      );
    }
    if (!this.#options.cleaning?.dropBadRows) this.cleaned?.row(bytes, record);
  }
}
