/**
 * The result of a CSV task: the statistics of its columns, as JSON and as CSV.
 *
 * @module
 */

import { stringify } from "@std/csv";
import { withoutFormula } from "./cleaned.ts";
import type { ColumnStatistics } from "../columns/statistics.ts";

/** A number as the log and messages show it. */
export function format(value: number): string {
  return value.toLocaleString("en");
}

/** A number of seconds in words. */
export function lasting(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.ceil(seconds / 60)} min`;
  return `${(seconds / 3_600).toFixed(1)} h`;
}

/** The statistics of all columns as a CSV, without anything that a spreadsheet would treat as a formula. */
export function summaryCsv(columns: ColumnStatistics[]): string {
  const shown = (value: unknown) => typeof value === "string" ? withoutFormula(value) : value;
  const plain = columns.map(({ quantiles, top_values, histogram: _, ...column }) => {
    const row = { ...column, ...quantiles, top_value: top_values[0]?.value };
    return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, shown(value)]));
  });
  const names = ["name", "type", "count", "missing", "distinct", "sum", "mean", "min", "max", "standard_deviation"];
  const more = ["p25", "p50", "p75", "p95", "p99", "top_value", "unique", "sorted", "unit", "note"];
  return stringify(plain, { columns: [...names, ...more] });
}
