/**
 * The statistics of a CSV: a table of its columns, each with a small chart of its values.
 *
 * @module
 */

import type { JSX } from "preact";
import type { Json } from "../../queue/task/record.ts";
import { count, number } from "../app/format.ts";
import { type CsvDialect, Dialect } from "./csv_dialect.tsx";

interface Column {
  name: string;
  type: string;
  unit: string | null;
  note: string | null;
  count: number;
  missing: number;
  distinct: number;
  distinct_estimated: boolean;
  mean: number | null;
  min: number | string | null;
  max: number | string | null;
  top_values: { value: string; count: number }[];
  histogram: { from: number | string; to: number | string; count: number }[] | null;
}

/** The result of a CSV task. */
export interface CsvResult {
  rows: number;
  bad_rows: number;
  first_bad_rows: { line: number; reason: string }[];
  dialect?: CsvDialect;
  warnings?: string[];
  /** All columns: the result holds only the first of very many. */
  column_count?: number;
  columns: Column[];
}

/** Whether a result is that of a CSV. */
export function isCsv(result: Json): boolean {
  return typeof result === "object" && result !== null && "columns" in result && Array.isArray(result.columns) &&
    "rows" in result;
}

interface Bar {
  label: string;
  count: number;
}

function barsOf({ histogram, top_values }: Column): Bar[] {
  if (histogram) {
    return histogram.map(({ from, to, count }) => ({ label: `${limit(from)} to ${limit(to)}`, count }));
  }
  return top_values.map(({ value, count }) => ({ label: value, count }));
}

/** A limit of a bin: a number, or a time in UTC. */
function limit(value: number | string): string {
  return typeof value === "number" ? number(value) : value.replace("T", " ").replace(/(:00)?\.000Z$|Z$/, "")
    .replace(/ 00:00$/, "");
}

/** A small chart of a column's values, with the numbers as a table. */
function Bars({ column }: { column: Column }): JSX.Element | null {
  const bars = barsOf(column);
  if (bars.length === 0) return null;
  const most = Math.max(1, ...bars.map(({ count }) => count));
  const width = 100 / bars.length;
  const kind = column.histogram ? "Histogram" : "Most frequent values";
  return (
    <details class="bars">
      <summary>
        <svg
          viewBox="0 0 100 24"
          width="100"
          height="24"
          preserveAspectRatio="none"
          role="img"
          aria-label={`${kind} of ${column.name}`}
        >
          {bars.map(({ count }, i) => {
            const height = count === 0 ? 0 : Math.max(1, count / most * 24);
            return <rect key={i} x={i * width + 0.5} y={24 - height} width={Math.max(1, width - 1)} height={height} />;
          })}
        </svg>
      </summary>
      <table class="rows">
        <caption>{kind}</caption>
        <thead>
          <tr>
            <th scope="col">{column.histogram ? "From – to" : "Value"}</th>
            <th scope="col" class="number">Count</th>
          </tr>
        </thead>
        <tbody>
          {bars.map(({ label, count }) => (
            <tr key={label}>
              <td>{label}</td>
              <td class="number">{number(count)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}

function shown(value: number | string | null): string {
  return value === null ? "–" : typeof value === "number" ? number(value) : value;
}

/** The statistics. */
export function CsvOutput({ result }: { result: CsvResult }): JSX.Element {
  return (
    <section aria-label="Statistics">
      <p>
        {count(result.rows, "row")}, {count(result.column_count ?? result.columns.length, "column")}
        {result.bad_rows > 0 && (
          <>
            , <strong class="bad">{count(result.bad_rows, "bad row")}</strong>
          </>
        )}
      </p>
      {result.dialect && <Dialect dialect={result.dialect} warnings={result.warnings ?? []} />}
      <div class="scroll" tabIndex={0} role="region" aria-label="Columns">
        <table class="rows columns">
          <thead>
            <tr>
              <th scope="col">Column</th>
              <th scope="col">Values</th>
              <th scope="col">Type</th>
              <th scope="col" class="number">Empty</th>
              <th scope="col" class="number">Distinct</th>
              <th scope="col" class="number">Min</th>
              <th scope="col" class="number">Mean</th>
              <th scope="col" class="number">Max</th>
            </tr>
          </thead>
          <tbody>
            {result.columns.map((column, i) => (
              <tr key={i}>
                <th scope="row">{column.name}</th>
                <td>
                  <Bars column={column} />
                </td>
                <td>
                  {column.type}
                  {column.unit && ` in ${column.unit}`}
                  {column.note && <p class="meta">{column.note}</p>}
                </td>
                <td class="number">{number(column.missing)}</td>
                <td class="number">{column.distinct_estimated ? "≈ " : ""}{number(column.distinct)}</td>
                <td class="number">{shown(column.min)}</td>
                <td class="number">{shown(column.mean)}</td>
                <td class="number">{shown(column.max)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {result.first_bad_rows.length > 0 && (
        <table class="rows">
          <caption>Rejected rows</caption>
          <thead>
            <tr>
              <th scope="col" class="number">Line</th>
              <th scope="col">Reason</th>
            </tr>
          </thead>
          <tbody>
            {result.first_bad_rows.map(({ line, reason }) => (
              <tr key={line}>
                <td class="number">{number(line)}</td>
                <td>{reason}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
