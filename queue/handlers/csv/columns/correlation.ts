/**
 * Pearson's correlation of each two columns of numbers, over the rows in which both have one.
 *
 * @module
 */

/** The correlation of two columns. */
export type Correlation = {
  a: string;
  b: string;
  /** From -1 to 1. */
  r: number;
  /** Rows in which both have a number. */
  rows: number;
};

/** A column that keeps up its last number while it is tracked. */
interface Tracked {
  readonly number: number;
  isTracked: boolean;
}

/** Columns that are correlated: the first ones with numbers. */
const MAX_CORRELATED = 16;
/** Rows from which these are chosen. */
const CHOOSING_ROWS = 100;
/** Sums of a pair: rows, x, y, x², y², xy. */
const SUMS = 6;

/** Everything that {@linkcode Correlations} has gathered. */
export interface CorrelationState {
  /** The first rows, until the columns are chosen. */
  rows: number[][] | null;
  chosen: number[];
  /** What is subtracted from each column, so that sums of squares stay small. */
  shifts: number[];
  sums: Float64Array<ArrayBuffer>;
}

/** Gathers the numbers of each row. */
export class Correlations {
  #state: CorrelationState;
  readonly #numbers = new Float64Array(MAX_CORRELATED);

  constructor(state: CorrelationState = { rows: [], chosen: [], shifts: [], sums: new Float64Array() }) {
    this.#state = state;
  }

  /** What has been gathered. This object and the state share their memory. */
  get state(): CorrelationState {
    return this.#state;
  }

  /** Adds a row: the number of each column, NaN where there is none. */
  add(columns: readonly Tracked[]): void {
    const { rows, chosen, shifts } = this.#state;
    if (rows) {
      rows.push(columns.map(({ number }) => number));
      if (rows.length < CHOOSING_ROWS) return;
      this.#choose();
      return this.track(columns);
    }
    if (chosen.length < 2) return;
    const numbers = this.#numbers;
    for (let i = 0; i < chosen.length; i++) numbers[i] = columns[chosen[i]].number - shifts[i];
    this.#addRow();
  }

  /** Tells the columns whose numbers are needed. */
  track(columns: readonly Tracked[]): void {
    const { rows, chosen } = this.#state;
    if (!rows) columns.forEach((column, i) => column.isTracked = chosen.includes(i));
  }

  #choose(): void {
    const rows = this.#state.rows ?? [];
    const width = rows[0]?.length ?? 0;
    const chosen = Array.from({ length: width }, (_, i) => i)
      .filter((i) => rows.some((row) => !Number.isNaN(row[i]))).slice(0, MAX_CORRELATED);
    const shifts = chosen.map((i) => rows.find((row) => !Number.isNaN(row[i]))![i]);
    const sums = new Float64Array(chosen.length * (chosen.length - 1) / 2 * SUMS);
    this.#state = { rows: null, chosen, shifts, sums };
    for (const row of rows) {
      for (let i = 0; i < chosen.length; i++) this.#numbers[i] = row[chosen[i]] - shifts[i];
      this.#addRow();
    }
  }

  #addRow(): void {
    const { sums, chosen } = this.#state;
    const numbers = this.#numbers;
    let at = 0;
    for (let i = 1; i < chosen.length; i++) {
      const x = numbers[i];
      // NaN is not itself.
      if (x !== x) {
        at += i * SUMS;
        continue;
      }
      for (let k = 0; k < i; k++, at += SUMS) {
        const y = numbers[k];
        if (y !== y) continue;
        sums[at]++;
        sums[at + 1] += x;
        sums[at + 2] += y;
        sums[at + 3] += x * x;
        sums[at + 4] += y * y;
        sums[at + 5] += x * y;
      }
    }
  }

  /** The correlations of the columns that are numbers, the strongest first. */
  result(columns: readonly { name: string; isNumber: boolean }[]): Correlation[] {
    if (this.#state.rows) this.#choose();
    const { sums, chosen } = this.#state;
    const found: Correlation[] = [];
    let at = 0;
    for (let i = 1; i < chosen.length; i++) {
      for (let k = 0; k < i; k++, at += SUMS) {
        const [a, b] = [columns[chosen[k]], columns[chosen[i]]];
        const [n, x, y, xx, yy, xy] = sums.subarray(at, at + SUMS);
        const spread = Math.sqrt(n * xx - x * x) * Math.sqrt(n * yy - y * y);
        if (!a.isNumber || !b.isNumber || n < 2 || !(spread > 0)) continue;
        const r = Math.max(-1, Math.min(1, (n * xy - x * y) / spread));
        if (Number.isFinite(r)) found.push({ a: a.name, b: b.name, r, rows: n });
      }
    }
    return found.sort((one, other) => Math.abs(other.r) - Math.abs(one.r));
  }
}
