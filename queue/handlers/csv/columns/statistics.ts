/**
 * What is known of a column, and how its last figures are made.
 *
 * @module
 */

import type { Moments } from "./moments.ts";
import type { Distribution } from "./quantiles.ts";

/** What is known of one column. What it does not have is null. */
export type ColumnStatistics = {
  name: string;
  /** What every value that is not missing can be read as. */
  type: "integer" | "decimal" | "boolean" | "date" | "text" | "empty";
  /** The unit of all its numbers, such as `$` or `%`: 12% counts as 12. */
  unit: string | null;
  /** How the values were read, or what is uncertain about that. */
  note: string | null;
  /** Values that are not missing. */
  count: number;
  /** Empty values, and those that stand for a missing one. */
  missing: number;
  /**
   * Different values as they are written (1.5 and 1.50 are two): exact up to the limit, then an estimate with a standard
   * error of 0.8 %.
   */
  distinct: number;
  distinct_estimated: boolean;
  /** Whether each value is there and occurs once; null if there are too many different ones to tell. */
  unique: boolean | null;
  /** The order that the rows are in by this column: of numbers, of time, or of code points. */
  sorted: "ascending" | "descending" | null;
  /**
   * Of integers exact at any size: as text where a double cannot hold it. Of decimals compensated (Neumaier); null
   * also if it is beyond what a double can hold.
   */
  sum: number | string | null;
  mean: number | null;
  /** Numbers in a number column (as text where a double cannot hold them), else texts: by time, or in code point order. */
  min: number | string | null;
  max: number | string | null;
  /** Of the sample, that is with n - 1. */
  standard_deviation: number | null;
  /** Exact, by linear interpolation, where `distinct` is; else by a t-digest. */
  quantiles: { p25: number; p50: number; p75: number; p95: number; p99: number } | null;
  /** Characters of the values of a text column. */
  lengths: { min: number; max: number; mean: number } | null;
  /** The most frequent of the distinct values that are counted exactly: those that came first. */
  top_values: { value: string; count: number }[];
  /** Ten bins of equal width from min to max, of numbers, or of dates in UTC; exact where `distinct` is. */
  histogram: { from: number | string; to: number | string; count: number }[] | null;
};

/** What a column can be read as, and how. */
export interface ColumnFits {
  name: string;
  count: number;
  all: number;
  any: number;
  /** Null: none, or more than one. */
  unit: string | null;
}

const BINS = 10;

/** A whole number as JSON holds it: as text if a double cannot. */
export function shownWhole(value: bigint): number | string {
  const number = Number(value);
  return Number.isFinite(number) && BigInt(number) === value ? number : String(value);
}

/** The least (0) or greatest (1) of whole numbers. */
export function wholeExtreme({ min, max, large }: Moments, side: 0 | 1): number | string {
  const value = side === 0 ? min : max;
  if (!large || Number.isSafeInteger(value)) return value;
  return shownWhole(large[side]);
}

/** The mean of whole numbers. */
export function meanOf(sum: bigint, count: number): number {
  // The whole part and the rest apart: together they may be beyond what a double holds.
  const whole = sum / BigInt(count);
  return Number(whole) + Number(sum - whole * BigInt(count)) / count;
}

/** Bins of equal width; of dates, their limits are times in UTC. */
export function histogramOf(
  min: number,
  max: number,
  count: number,
  { rank }: Distribution,
  timed: boolean,
): { from: number | string; to: number | string; count: number }[] {
  const shown = (value: number) => timed ? new Date(value).toISOString() : value;
  if (min === max) return [{ from: shown(min), to: shown(max), count }];
  const width = max / BINS - min / BINS;
  let before = 0;
  return Array.from({ length: BINS }, (_, i) => {
    const to = i === BINS - 1 ? max : min + (i + 1) * width;
    const upTo = i === BINS - 1 ? count : Math.round(count * rank(to));
    const bin = { from: shown(min + i * width), to: shown(to), count: Math.max(0, upTo - before) };
    before = Math.max(before, upTo);
    return bin;
  });
}
