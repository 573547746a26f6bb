/**
 * Statistics of CSV columns, one row at a time, in memory that grows with the columns and not with the rows.
 *
 * @module
 */

import { Random } from "../random.ts";

/** What is known of one column. The numbers are null where the column has none. */
export interface ColumnStatistics {
  name: string;
  /** What every value that is not missing can be read as. */
  type: "integer" | "decimal" | "boolean" | "date" | "text" | "empty";
  /** Values that are not missing. */
  count: number;
  /** Empty values. */
  missing: number;
  sum: number | null;
  avg: number | null;
  /** Least and greatest: numbers of a number column, else texts in code-unit order. */
  min: number | string | null;
  max: number | string | null;
  /** Sample standard deviation (n - 1). */
  standard_deviation: number | null;
  /** Quantiles by linear interpolation; of a sample once there are more values than it holds. */
  quantiles: { p25: number; p50: number; p75: number; p95: number } | null;
  /** Whether quantiles and histogram are of a sample. */
  sampled: boolean;
  /** Different values, exact up to the limit. */
  distinct: number;
  distinct_capped: boolean;
  top_values: { value: string; count: number }[];
  /** Ten bins of equal width from min to max. */
  histogram: { from: number; to: number; count: number }[] | null;
}

const SAMPLE = 10_000;
const DISTINCT = 10_000;
const TOP = 5;
const BINS = 10;
/** The longest text that is kept as a value. */
const TEXT = 100;

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const BOOLEAN = /^(true|false|yes|no)$/i;
const DATE = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

/** Everything that a column has gathered, as JSON. */
export interface ColumnState {
  name: string;
  count: number;
  missing: number;
  numbers: number;
  integers: number;
  booleans: number;
  dates: number;
  /** Sum with its compensation, running mean and sum of squared differences. */
  moments: [sum: number, compensation: number, mean: number, m2: number];
  /** Of the numbers; null before the first. */
  range: [min: number, max: number] | null;
  texts: [least: string, greatest: string] | null;
  sample: number[];
  random: number;
  values: [value: string, count: number][];
  capped: boolean;
}

/** Gathers one column. */
export class ColumnAccumulator {
  readonly name: string;
  #count = 0;
  #missing = 0;
  #numbers = 0;
  #integers = 0;
  #booleans = 0;
  #dates = 0;
  #sum = 0;
  #compensation = 0;
  #mean = 0;
  #m2 = 0;
  #min = Infinity;
  #max = -Infinity;
  #least: string | null = null;
  #greatest: string | null = null;
  #sample: number[] = [];
  #random = new Random(1);
  #values = new Map<string, number>();
  /** Characters of the different values. */
  #valueChars = 0;
  #capped = false;

  constructor(name: string) {
    this.name = name;
  }

  /** A column that goes on from what another one had gathered. */
  static from(state: ColumnState): ColumnAccumulator {
    const column = new ColumnAccumulator(state.name);
    column.#count = state.count;
    column.#missing = state.missing;
    column.#numbers = state.numbers;
    column.#integers = state.integers;
    column.#booleans = state.booleans;
    column.#dates = state.dates;
    [column.#sum, column.#compensation, column.#mean, column.#m2] = state.moments;
    if (state.range) [column.#min, column.#max] = state.range;
    if (state.texts) [column.#least, column.#greatest] = state.texts;
    column.#sample = state.sample;
    column.#random = new Random(state.random);
    column.#values = new Map(state.values);
    column.#valueChars = state.values.reduce((sum, [text]) => sum + text.length, 0);
    column.#capped = state.capped;
    return column;
  }

  /** What has been gathered so far. */
  state(): ColumnState {
    return {
      name: this.name,
      count: this.#count,
      missing: this.#missing,
      numbers: this.#numbers,
      integers: this.#integers,
      booleans: this.#booleans,
      dates: this.#dates,
      moments: [this.#sum, this.#compensation, this.#mean, this.#m2],
      range: this.#numbers > 0 ? [this.#min, this.#max] : null,
      texts: this.#least === null ? null : [this.#least, this.#greatest!],
      sample: this.#sample,
      random: this.#random.state,
      values: [...this.#values],
      capped: this.#capped,
    };
  }

  /** About how many bytes {@linkcode state} takes as JSON. */
  stateSize(): number {
    return 500 + 18 * this.#sample.length + 12 * this.#values.size + this.#valueChars;
  }

  /** Takes a value. */
  add(raw: string): void {
    const value = raw.trim();
    if (value === "") {
      this.#missing++;
      return;
    }
    this.#count++;
    const text = value.length > TEXT ? value.slice(0, TEXT) : value;
    const seen = this.#values.get(text);
    if (seen !== undefined) this.#values.set(text, seen + 1);
    else if (this.#values.size < DISTINCT) {
      this.#values.set(text, 1);
      this.#valueChars += text.length;
    } else this.#capped = true;
    if (this.#least === null || text < this.#least) this.#least = text;
    if (this.#greatest === null || text > this.#greatest) this.#greatest = text;
    if (NUMBER.test(value)) this.#addNumber(Number(value));
    else if (BOOLEAN.test(value)) this.#booleans++;
    else if (DATE.test(value)) this.#dates++;
  }

  #addNumber(value: number): void {
    this.#numbers++;
    if (Number.isInteger(value)) this.#integers++;
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
    // Neumaier's compensated sum.
    const sum = this.#sum + value;
    this.#compensation += Math.abs(this.#sum) >= Math.abs(value) ? this.#sum - sum + value : value - sum + this.#sum;
    this.#sum = sum;
    // Welford's running variance.
    const delta = value - this.#mean;
    this.#mean += delta / this.#numbers;
    this.#m2 += delta * (value - this.#mean);
    // Algorithm R: every value has the same chance to be in the sample.
    if (this.#sample.length < SAMPLE) this.#sample.push(value);
    else {
      const at = Math.floor(this.#random.next() * this.#numbers);
      if (at < SAMPLE) this.#sample[at] = value;
    }
  }

  /** What is known so far. */
  result(): ColumnStatistics {
    const numeric = this.#count > 0 && this.#numbers === this.#count;
    const all = (n: number) => this.#count > 0 && n === this.#count;
    const sum = this.#sum + this.#compensation;
    const sorted = numeric ? this.#sample.toSorted((a, b) => a - b) : [];
    return {
      name: this.name,
      type: this.#count === 0
        ? "empty"
        : all(this.#integers)
        ? "integer"
        : numeric
        ? "decimal"
        : all(this.#booleans)
        ? "boolean"
        : all(this.#dates)
        ? "date"
        : "text",
      count: this.#count,
      missing: this.#missing,
      sum: numeric ? sum : null,
      avg: numeric ? sum / this.#count : null,
      min: numeric ? this.#min : this.#least,
      max: numeric ? this.#max : this.#greatest,
      standard_deviation: numeric && this.#count > 1 ? Math.sqrt(this.#m2 / (this.#count - 1)) : null,
      quantiles: numeric
        ? {
          p25: quantile(sorted, 0.25),
          p50: quantile(sorted, 0.5),
          p75: quantile(sorted, 0.75),
          p95: quantile(sorted, 0.95),
        }
        : null,
      sampled: numeric && this.#numbers > SAMPLE,
      distinct: this.#values.size,
      distinct_capped: this.#capped,
      top_values: [...this.#values].map(([value, count]) => ({ value, count }))
        .sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1)).slice(0, TOP),
      histogram: numeric ? histogram(sorted, this.#min, this.#max) : null,
    };
  }
}

/** The quantile of sorted values, by linear interpolation between the two nearest. */
export function quantile(sorted: number[], q: number): number {
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  const high = Math.ceil(at);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

function histogram(values: number[], min: number, max: number): { from: number; to: number; count: number }[] {
  if (min === max) return [{ from: min, to: max, count: values.length }];
  const width = (max - min) / BINS;
  const counts = new Array<number>(BINS).fill(0);
  for (const value of values) counts[Math.min(BINS - 1, Math.floor((value - min) / width))]++;
  return counts.map((count, i) => ({ from: min + i * width, to: min + (i + 1) * width, count }));
}
