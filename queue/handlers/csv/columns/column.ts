/**
 * Statistics of a CSV column, one value at a time, in memory that grows with the columns and not with the rows.
 *
 * @module
 */

import { type DistinctState, DistinctValues, SHOWN_BYTES, shownText } from "./distinct.ts";
import { Digest, type DigestState, type Distribution, distributionOf } from "./quantiles.ts";
import { Kind, trimEnd, trimStart, ValueReader } from "./values.ts";

/** What is known of one column. The numbers are null where the column has none. */
export type ColumnStatistics = {
  name: string;
  /** What every value that is not missing can be read as. */
  type: "integer" | "decimal" | "boolean" | "date" | "text" | "empty";
  /** Values that are not missing. */
  count: number;
  /** Empty values. */
  missing: number;
  /** Different values: exact up to the limit, then an estimate with a standard error of 0.8 %. */
  distinct: number;
  distinct_estimated: boolean;
  /** Compensated (Neumaier); null also if it is beyond what a double can hold. */
  sum: number | null;
  mean: number | null;
  /** Minimum and maximum: numbers in a number column, otherwise texts in code point order. */
  min: number | string | null;
  max: number | string | null;
  /** Of the sample, that is with n - 1 (Welford). */
  standard_deviation: number | null;
  /** Exact, by linear interpolation, where `distinct` is; else by a t-digest. */
  quantiles: { p25: number; p50: number; p75: number; p95: number; p99: number } | null;
  /** The most frequent of the distinct values that are counted exactly: those that came first. */
  top_values: { value: string; count: number }[];
  /** Ten bins of equal width from min to max; exact where `distinct` is. */
  histogram: { from: number; to: number; count: number }[] | null;
};

const TOP = 5;
const BINS = 10;

/** Everything that a column has collected: flat arrays, which can be transferred and saved as they are. */
export interface ColumnState {
  name: string;
  count: number;
  missing: number;
  /** Values by {@linkcode Kind}. */
  kinds: number[];
  /** Sum with its compensation, running mean and sum of squared differences. */
  moments: [sum: number, compensation: number, mean: number, m2: number];
  /** Of the numbers; null before the first. */
  range: [min: number, max: number] | null;
  /** First bytes of the least and the greatest value. */
  texts: [least: Uint8Array<ArrayBuffer>, greatest: Uint8Array<ArrayBuffer>] | null;
  /** Null while the distinct values are enough for the quantiles. */
  digest: DigestState | null;
  distinct: DistinctState;
}

/** Collects the statistics of one column. */
export class Column {
  readonly name: string;
  readonly #reader: ValueReader;
  #count = 0;
  #missing = 0;
  #kinds: number[] = [0, 0, 0, 0, 0, 0];
  #numbers = 0;
  #sum = 0;
  #compensation = 0;
  #mean = 0;
  #m2 = 0;
  #min = Infinity;
  #max = -Infinity;
  #least: Uint8Array<ArrayBuffer> | null = null;
  #greatest: Uint8Array<ArrayBuffer> | null = null;
  #digest: Digest | null = null;
  #distinct: DistinctValues;

  /**
   * @param decimalComma Whether `1,5` is a number.
   * @param limit Most distinct values that are counted exactly.
   */
  constructor(name: string, decimalComma: boolean, limit: number) {
    this.name = name;
    this.#distinct = new DistinctValues(limit);
    this.#reader = new ValueReader(decimalComma);
  }

  /** A column that continues from the saved state of another. */
  static from(state: ColumnState, decimalComma: boolean, limit: number): Column {
    const column = new Column(state.name, decimalComma, limit);
    column.#count = state.count;
    column.#missing = state.missing;
    column.#kinds = state.kinds;
    column.#numbers = numbersOf(state.kinds);
    [column.#sum, column.#compensation, column.#mean, column.#m2] = state.moments;
    if (state.range) [column.#min, column.#max] = state.range;
    if (state.texts) [column.#least, column.#greatest] = state.texts;
    column.#digest = state.digest && new Digest(state.digest);
    column.#distinct = new DistinctValues(limit, state.distinct);
    return column;
  }

  /** What has been gathered so far. */
  state(): ColumnState {
    return {
      name: this.name,
      count: this.#count,
      missing: this.#missing,
      kinds: this.#kinds,
      moments: [this.#sum, this.#compensation, this.#mean, this.#m2],
      range: this.#numbers > 0 ? [this.#min, this.#max] : null,
      texts: this.#least ? [this.#least, this.#greatest!] : null,
      digest: this.#digest?.state() ?? null,
      distinct: this.#distinct.state,
    };
  }

  /** Adds the value in `bytes` from `from` up to, not including, `to`. Surrounding white space is ignored. */
  add(bytes: Uint8Array, from: number, to: number): void {
    const start = trimStart(bytes, from, to);
    const end = trimEnd(bytes, start, to);
    if (start === end) {
      this.#missing++;
      return;
    }
    this.#count++;
    // FNV-1a over the bytes in two lanes, each mixed at the end as MurmurHash3 does.
    let h1 = 0x811c9dc5;
    let h2 = 0x9747b28c;
    for (let i = start; i < end; i++) {
      const byte = bytes[i];
      h1 = Math.imul(h1 ^ byte, 0x01000193);
      h2 = Math.imul(h2 ^ byte, 0x5bd1e995) + (h2 >>> 15);
    }
    h1 = mixed(h1 ^ (end - start));
    h2 = mixed(h2);
    const known = this.#distinct.countKnown(h1, h2);
    if (known >= 0) {
      const kind = this.#distinct.kindOf(known);
      this.#kinds[kind]++;
      if (isNumber(kind)) this.#addNumber(this.#distinct.numberOf(known));
      return;
    }
    const kind = this.#reader.read(bytes, start, end);
    this.#kinds[kind]++;
    const number = isNumber(kind) ? this.#reader.number : NaN;
    const apart = this.#distinct.add(h1, h2, bytes, start, end, kind, number);
    if (isNumber(kind)) {
      this.#addNumber(number);
      if (!apart) (this.#digest ??= new Digest()).add(number);
    }
    if (this.#least === null || compare(bytes, start, end, this.#least) < 0) {
      this.#least = bytes.slice(start, Math.min(end, start + SHOWN_BYTES)) as Uint8Array<ArrayBuffer>;
    }
    if (this.#greatest === null || compare(bytes, start, end, this.#greatest) > 0) {
      this.#greatest = bytes.slice(start, Math.min(end, start + SHOWN_BYTES)) as Uint8Array<ArrayBuffer>;
    }
  }

  #addNumber(value: number): void {
    this.#numbers++;
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
    const sum = this.#sum + value;
    this.#compensation += Math.abs(this.#sum) >= Math.abs(value) ? this.#sum - sum + value : value - sum + this.#sum;
    this.#sum = sum;
    const delta = value - this.#mean;
    this.#mean += delta / this.#numbers;
    this.#m2 += delta * (value - this.#mean);
  }

  /** The final statistics. */
  result(): ColumnStatistics {
    const type = this.#type();
    const numeric = type === "integer" || type === "decimal";
    const sum = this.#sum + this.#compensation;
    const distribution = numeric
      ? distributionOf(this.#distinct.numbers(), this.#digest?.finish() ?? [], this.#min, this.#max)
      : null;
    const { distinct, estimated } = this.#distinct.count();
    return {
      name: this.name,
      type,
      count: this.#count,
      missing: this.#missing,
      distinct,
      distinct_estimated: estimated,
      // Beyond the largest double there is no sum; the running mean is still there.
      sum: numeric && Number.isFinite(sum) ? sum : null,
      mean: numeric ? (Number.isFinite(sum) ? sum / this.#count : this.#mean) : null,
      min: numeric ? this.#min : this.#least && shownText(this.#least),
      max: numeric ? this.#max : this.#greatest && shownText(this.#greatest),
      standard_deviation: numeric && this.#count > 1 ? Math.sqrt(this.#m2 / (this.#count - 1)) : null,
      quantiles: distribution && {
        p25: distribution.quantile(0.25),
        p50: distribution.quantile(0.5),
        p75: distribution.quantile(0.75),
        p95: distribution.quantile(0.95),
        p99: distribution.quantile(0.99),
      },
      top_values: this.#distinct.top(TOP),
      histogram: distribution && histogram(this.#min, this.#max, this.#count, distribution),
    };
  }

  #type(): ColumnStatistics["type"] {
    const count = this.#count;
    const kinds = this.#kinds;
    if (count === 0) return "empty";
    if (kinds[Kind.INTEGER] === count) return "integer";
    // 1.5 and 1,5 in one column: one of them is not a decimal, and it is impossible to tell which.
    const ambiguous = kinds[Kind.DECIMAL] > 0 && kinds[Kind.DECIMAL_COMMA] > 0;
    if (this.#numbers === count && !ambiguous) return "decimal";
    if (kinds[Kind.BOOLEAN] === count) return "boolean";
    if (kinds[Kind.DATE] === count) return "date";
    return "text";
  }
}

function numbersOf(kinds: number[]): number {
  return kinds[Kind.INTEGER] + kinds[Kind.DECIMAL] + kinds[Kind.DECIMAL_COMMA];
}

function isNumber(kind: number): boolean {
  return kind >= Kind.INTEGER && kind <= Kind.DECIMAL_COMMA;
}

/** The last steps of MurmurHash3 (Austin Appleby, public domain). */
function mixed(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** Negative, zero or positive if the bytes sort before, equal to or after the others. */
function compare(bytes: Uint8Array, start: number, end: number, other: Uint8Array): number {
  const length = Math.min(end - start, other.length);
  for (let i = 0; i < length; i++) {
    const difference = bytes[start + i] - other[i];
    if (difference !== 0) return difference;
  }
  return end - start - other.length;
}

function histogram(
  min: number,
  max: number,
  count: number,
  { rank }: Distribution,
): { from: number; to: number; count: number }[] {
  if (min === max) return [{ from: min, to: max, count }];
  const width = max / BINS - min / BINS;
  let before = 0;
  return Array.from({ length: BINS }, (_, i) => {
    const to = i === BINS - 1 ? max : min + (i + 1) * width;
    const upTo = i === BINS - 1 ? count : Math.round(count * rank(to));
    const bin = { from: min + i * width, to, count: Math.max(0, upTo - before) };
    before = Math.max(before, upTo);
    return bin;
  });
}
