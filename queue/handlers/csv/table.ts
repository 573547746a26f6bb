/**
 * A CSV as it is read: its columns, and the rows that do not fit.
 *
 * @module
 */

import { CleanedWriter, type Cleaning } from "./output/cleaned.ts";
import { Column, type ColumnState } from "./columns/column.ts";
import type { ColumnStatistics } from "./columns/statistics.ts";
import { distinctLimit } from "./columns/distinct.ts";
import { type FileReadings, type Reading, readingsOf, type StatedReadings } from "./columns/readings.ts";
import { trimEnd, trimStart } from "./columns/values.ts";
import { type Correlation, Correlations, type CorrelationState } from "./columns/correlation.ts";
import { TableError } from "./text/errors.ts";
import { NullWords } from "./columns/nulls.ts";
import { type FoundRecord, rowFault } from "./text/records.ts";
import { maySwallow } from "./text/swallowed.ts";
import type { RowCheck } from "./row_check.ts";

/** The most columns of a table. */
const MAX_COLUMNS = 2_000;
/** Bad rows, and suspect ones, that are listed. */
const [BAD_ROWS, SUSPECT_ROWS] = [100, 10];
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
  /** What is stated about numbers and dates. */
  stated: StatedReadings;
  /** Whether a number that can be read both ways probably has a decimal comma: correlations assume it. */
  commaFirst: boolean;
  /** Words that stand for a missing value, besides nothing at all. */
  nullValues: readonly string[];
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
  /** Rows with a quoted value that may have swallowed others. */
  suspect: { count: number; lines: number[] };
  /** How often each word stood for a missing value. */
  nulls: number[];
  columns: ColumnState[] | null;
  correlations: CorrelationState;
}

/** What is known at the end of a file. */
export interface TableResult {
  columns: ColumnStatistics[];
  /** How each column is read. */
  types: Reading["reading"][];
  readings: FileReadings;
  /** The words that stood for a missing value. */
  nullValues: string[];
  correlations: Correlation[];
  badRows: BadRow[];
  warnings: string[];
}

/** Gathers a table, one record at a time. */
export class Table {
  rows = 0;
  bad = 0;
  readonly badRows: BadRow[] = [];
  readonly cleaned: CleanedWriter | null = null;
  #suspect: TableState["suspect"] = { count: 0, lines: [] };
  #columns: Column[] | null = null;
  readonly #options: TableOptions;
  readonly #delimiter: number;
  readonly #nulls: NullWords;
  readonly #nullCounts: number[];
  readonly #correlations: Correlations;
  readonly #check: RowCheck | null;

  /**
   * @param delimiter Of the file, and of the cleaned one.
   * @param check Refuses rows that do not match a schema; null: all are accepted.
   */
  constructor(options: TableOptions, delimiter: string, check: RowCheck | null, state?: TableState) {
    this.#options = options;
    this.#delimiter = delimiter.charCodeAt(0);
    this.#nulls = new NullWords(options.nullValues);
    this.#nullCounts = state?.nulls ?? options.nullValues.map(() => 0);
    this.#correlations = new Correlations(state?.correlations);
    this.#check = check;
    if (options.cleaning) this.cleaned = new CleanedWriter(options.cleaning, delimiter);
    if (!state) return;
    this.rows = state.rows;
    this.bad = state.bad;
    this.badRows = state.badRows;
    this.#suspect = state.suspect;
    if (!state.columns) return;
    const limit = distinctLimit(state.columns.length);
    this.#columns = state.columns.map((column) => Column.from(column, limit, this.#nulls, options.commaFirst));
    this.#correlations.track(this.#columns);
    this.#useNames();
  }

  /** What has been gathered so far. */
  state(): TableState {
    return {
      rows: this.rows,
      bad: this.bad,
      badRows: this.badRows,
      suspect: this.#suspect,
      nulls: this.#nullCounts,
      columns: this.#columns?.map((column) => column.state()) ?? null,
      correlations: this.#correlations.state,
    };
  }

  /** The columns' names, each of them different. */
  names(): string[] {
    return (this.#columns ?? []).map(({ name }) => name);
  }

  /**
   * Takes a record.
   *
   * @param hasNul Whether its block contains NUL characters.
   * @throws {TableError} If it has too many columns, too many rows were bad, or a requested column is missing.
   */
  add(bytes: Uint8Array, record: FoundRecord, hasNul: boolean): void {
    const nul = hasNul && bytes.subarray(record.from, record.to).includes(0);
    if (!this.#columns) {
      this.#columns = this.#begin(bytes, record, nul);
      this.#useNames();
      if (this.#options.header) this.cleaned?.header();
      if (this.#options.header) return this.#suspectLines(bytes, record);
    }
    const columns = this.#columns;
    const { length, starts, ends } = record;
    const fault = rowFault(record, columns.length, nul) ??
      this.#check?.faultOf(bytes, record, (start, end) => this.#nulls.indexOf(bytes, start, end) >= 0);
    if (fault) return this.#refuse(bytes, record, fault);
    this.#suspectLines(bytes, record);
    this.rows++;
    for (let i = 0; i < length; i++) {
      const start = trimStart(bytes, starts[i], ends[i]);
      const end = trimEnd(bytes, start, ends[i]);
      if (start === end) {
        columns[i].addMissing();
        continue;
      }
      const word = columns[i].add(bytes, start, end);
      if (word >= 0) this.#nullCounts[word]++;
    }
    this.#correlations.add(columns);
    this.cleaned?.row(bytes, record);
  }

  /** All statistics. */
  result(): TableResult {
    const all = this.#columns ?? [];
    const { columns: readings, file } = readingsOf(all, this.#options.stated);
    const assumed = this.#options.commaFirst ? "second" : "first";
    const { count, lines } = this.#suspect;
    const warnings = count === 0 ? [] : [
      `${
        count === 1 ? "A row has" : `${count.toLocaleString("en")} rows have`
      } a quoted value with whole records in it ` +
      `(line ${lines.join(", ")}${count > lines.length ? ", …" : ""}). A quote may be missing there.`,
    ];
    return {
      columns: all.map((column, i) => column.result(readings[i])),
      types: readings.map(({ reading }) => reading),
      readings: file,
      nullValues: this.#options.nullValues.filter((_, i) => this.#nullCounts[i] > 0),
      correlations: this.#correlations.result(all.map((column, i) => ({
        name: column.name,
        isNumber: (readings[i].type === "integer" || readings[i].type === "decimal") &&
          (readings[i].reading === assumed || column.readsAlike),
      }))),
      badRows: this.badRows,
      warnings,
    };
  }

  #useNames(): void {
    this.cleaned?.choose(this.names());
    this.#check?.choose(this.names());
  }

  #begin(bytes: Uint8Array, { length, starts, ends, broken, line }: FoundRecord, nul: boolean): Column[] {
    if (broken !== null) throw new TableError(`The first row, on line ${line}, ${broken}.`);
    if (nul) {
      throw new TableError(
        "The first row contains NUL characters: this is not text, or UTF-16 without a byte order mark (see encoding).",
      );
    }
    if (length > MAX_COLUMNS) {
      const most = MAX_COLUMNS.toLocaleString("en");
      throw new TableError(`The file has ${length.toLocaleString("en")} columns; the limit is ${most}.`);
    }
    const limit = distinctLimit(length);
    const taken = new Set<string>();
    return Array.from({ length }, (_, i) => {
      const text = this.#options.header ? new TextDecoder().decode(bytes.subarray(starts[i], ends[i])).trim() : "";
      const wanted = text.slice(0, NAME) || `column ${i + 1}`;
      let name = wanted;
      for (let n = 2; taken.has(name); n++) name = `${wanted} (${n})`;
      taken.add(name);
      return new Column(name, limit, this.#nulls, this.#options.commaFirst);
    });
  }

  /** Notes a record that may have swallowed others. */
  #suspectLines(bytes: Uint8Array, record: FoundRecord): void {
    if (record.lines === 1 || !maySwallow(bytes, record, this.#delimiter)) return;
    this.#suspect.count++;
    if (this.#suspect.lines.length < SUSPECT_ROWS) this.#suspect.lines.push(record.line);
  }

  #refuse(bytes: Uint8Array, record: FoundRecord, reason: string): void {
    this.bad++;
    if (this.badRows.length < BAD_ROWS) this.badRows.push({ line: record.line, reason });
    if (this.bad > this.#options.maxBadRows) {
      const { line, reason } = this.badRows[0];
      throw new TableError(
        `Too many bad rows (limit ${
          this.#options.maxBadRows.toLocaleString("en")
        }). The first is on line ${line}: it ${reason}.`,
      );
    }
    if (!this.#options.cleaning?.dropBadRows) this.cleaned?.row(bytes, record);
  }
}
