/**
 * A CSV as it is read: its columns, and the rows that do not fit.
 *
 * @module
 */

import { NonRetryableError } from "../../errors.ts";
import { ColumnAccumulator, type ColumnState, type ColumnStatistics } from "./statistics.ts";

/** The most columns that are taken for a table. */
const MAX_COLUMNS = 2_000;
/** Bad rows that are named. */
const BAD_ROWS = 100;

/** A row that does not fit; `row` counts the rows of data from 1. */
export interface BadRow {
  row: number;
  reason: string;
}

/** Everything that a table has gathered, as JSON. */
export interface TableState {
  header: boolean;
  rows: number;
  bad: number;
  bad_rows: BadRow[];
  columns: ColumnState[] | null;
}

/** Gathers a table, one row at a time. */
export class Table {
  rows = 0;
  bad = 0;
  readonly badRows: BadRow[] = [];
  #columns: ColumnAccumulator[] | null = null;
  readonly #header: boolean;

  /** @param header Whether the first row holds the names of the columns. */
  constructor(header: boolean) {
    this.#header = header;
  }

  /** A table that goes on from what another one had gathered. */
  static from(state: TableState): Table {
    const table = new Table(state.header);
    table.rows = state.rows;
    table.bad = state.bad;
    table.badRows.push(...state.bad_rows);
    table.#columns = state.columns?.map((column) => ColumnAccumulator.from(column)) ?? null;
    return table;
  }

  /** What has been gathered so far. */
  state(): TableState {
    return {
      header: this.#header,
      rows: this.rows,
      bad: this.bad,
      bad_rows: this.badRows,
      columns: this.#columns?.map((column) => column.state()) ?? null,
    };
  }

  /** About how many bytes {@linkcode state} takes as JSON. */
  stateSize(): number {
    return (this.#columns ?? []).reduce((sum, column) => sum + column.stateSize(), 0);
  }

  /**
   * Takes a row.
   *
   * @throws {NonRetryableError} If the first one has too many columns for a table.
   */
  add(row: string[]): void {
    if (!this.#columns) {
      if (row[0]?.startsWith("\ufeff")) row[0] = row[0].slice(1);
      if (row.length > MAX_COLUMNS) {
        throw new NonRetryableError(`The file has ${row.length.toLocaleString("en")} columns; the limit is 2,000.`);
      }
      this.#columns = row.map((name, i) => new ColumnAccumulator((this.#header && name.trim()) || `column ${i + 1}`));
      if (this.#header) return;
    }
    const columns = this.#columns;
    if (row.length !== columns.length) {
      this.bad++;
      if (this.badRows.length < BAD_ROWS) {
        const reason = `has ${row.length} values instead of ${columns.length}`;
        this.badRows.push({ row: this.rows + this.bad, reason });
      }
      return;
    }
    this.rows++;
    for (let i = 0; i < row.length; i++) columns[i].add(row[i]);
  }

  /** The statistics of each column. */
  result(): ColumnStatistics[] {
    return (this.#columns ?? []).map((column) => column.result());
  }
}
