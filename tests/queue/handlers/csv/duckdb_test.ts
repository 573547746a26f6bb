import type { ColumnStatistics } from "../../../../queue/handlers/csv/columns/statistics.ts";
import { randomFrom } from "../../../../queue/handlers/random.ts";
import { assertEquals, ok } from "../../../support/assert.ts";
import { readCsv } from "../../../support/csv/read.ts";
import { withDirectory } from "../../../support/directory.ts";
import { type DuckColumn, summarize } from "../../../support/csv/duckdb.ts";
import { packageFolder } from "../../../support/packages.ts";

function close(actual: number | string | null, expected: string | null, what: string): void {
  const [a, b] = [Number(actual), Number(expected)];
  ok(Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(b)), `${what}: ${actual} is not ${expected}`);
}

/** Compares a column with DuckDB's, as far as both say the same of it. */
function compare(column: ColumnStatistics, duck: DuckColumn): void {
  const { name, type } = column;
  assertEquals([name, String(column.count)], [duck.name, duck.count]);
  if (!column.distinct_estimated) assertEquals([name, String(column.distinct)], [name, duck.distinct]);
  const isNumber = type === "integer" || type === "decimal";
  assertEquals([name, isNumber], [name, /INT|DOUBLE|DECIMAL/.test(duck.type)]);
  if (!isNumber) {
    if (type === "text") assertEquals([name, column.min, column.max], [name, duck.min, duck.max]);
    if (type === "date") assertEquals([name, column.min, column.max], [name, duck.min, duck.max]);
    return;
  }
  if (type === "integer") {
    assertEquals(
      [name, column.min, column.max, column.sum].map(String),
      [name, duck.min, duck.max, duck.sum].map(String),
    );
  }
  close(column.min, duck.min, `${name}, min`);
  close(column.max, duck.max, `${name}, max`);
  close(column.sum, duck.sum, `${name}, sum`);
  close(column.mean, duck.mean, `${name}, mean`);
  close(column.standard_deviation, duck.deviation, `${name}, standard deviation`);
  if (column.distinct_estimated) return;
  Object.values(column.quantiles!).forEach((value, i) => close(value, duck.quantiles![i], `${name}, quantile ${i}`));
}

/** Public data sets, and the types of the columns that DuckDB reads otherwise. */
const PUBLIC: { file: string; types?: Record<string, string>; nulls?: string }[] = [
  // Airports have a state NA: missing for both, if both are told the same words.
  { file: "airports" },
  { file: "us-employment" },
  { file: "co2-concentration" },
  { file: "disasters" },
  // A zip code that begins with 0 makes a column of codes.
  { file: "zipcodes", types: { zip_code: "VARCHAR" } },
  { file: "seattle-weather" },
];

Deno.test("the statistics of six public data sets are DuckDB's", async () => {
  const folder = await packageFolder("vega-datasets@3.2.1");
  const options = ", nullstr = ['', 'NA', 'N/A', 'null', 'NULL', 'NaN', '-']";
  const files = PUBLIC.map(({ file, types }) => ({ path: `${folder}data/${file}.csv`, options, types }));
  const found = await summarize(files);
  for (const [i, { path }] of files.entries()) {
    const { columns } = await readCsv(await Deno.readTextFile(path), {}, 100_000);
    assertEquals(columns.map(({ name }) => name), found[i].map(({ name }) => name));
    columns.forEach((column, n) => compare(column, found[i][n]));
  }
});

/** A whole number from 0 to below `n`. */
type Below = (n: number) => number;

/** One column of each kind: its type for DuckDB, and a value. */
const KINDS: Record<string, [type: string, value: (below: Below) => string]> = {
  small: ["BIGINT", (below) => String(below(20) - 10)],
  large: ["HUGEINT", (below) => `9007199254740${100 + below(900)}`],
  huge: ["HUGEINT", (below) => `${below(2) ? "-" : ""}1234567890123456789${100 + below(900)}`],
  decimal: ["DOUBLE", (below) => `${below(2_000) - 1_000}.${100 + below(900)}`],
  tiny: ["DOUBLE", (below) => `${1 + below(9)}.${10 + below(90)}e-${1 + below(9)}`],
  code: ["VARCHAR", (below) => String(below(1_000)).padStart(4, "0")],
  flag: ["VARCHAR", (below) => ["yes, sir", 'no "way"', "maybe;\nlater", "tab\there"][below(4)]],
  day: ["DATE", (below) => `20${10 + below(20)}-0${1 + below(9)}-${10 + below(18)}`],
};

/** Writers of one table: their options for DuckDB, and how a value is quoted. */
const DIALECTS: [name: string, options: string, separator: string, quote: (value: string) => string][] = [
  ["commas", ", delim = ','", ",", (value) => `"${value.replaceAll('"', '""')}"`],
  ["semicolons", ", delim = ';'", ";", (value) => `"${value.replaceAll('"', '""')}"`],
  ["tabs", ", delim = '\\t'", "\t", (value) => `"${value.replaceAll('"', '""')}"`],
  ["pipes", ", delim = '|'", "|", (value) => `"${value.replaceAll('"', '""')}"`],
  ["backslashes", ", delim = ',', escape = '\\'", ",", (value) => `"${value.replaceAll(/["\\]/g, "\\$&")}"`],
];

Deno.test("the statistics of generated files of every type and dialect are DuckDB's", async () => {
  await withDirectory(async (directory) => {
    const random = randomFrom(7);
    const below: Below = (n) => Math.floor(random() * n);
    const rows = Array.from(
      { length: 3_000 },
      () => Object.values(KINDS).map(([, value]) => below(12) === 0 ? "" : value(below)),
    );
    const types = Object.fromEntries(Object.entries(KINDS).map(([name, [type]]) => [name, type]));
    const files = [];
    for (const [name, options, separator, quote] of DIALECTS) {
      const needsQuote = (value: string) => /[",;\t|\n\\]/.test(value);
      const line = (values: string[]) =>
        values.map((value) => needsQuote(value) ? quote(value) : value).join(separator);
      const path = `${directory}/${name}.csv`;
      await Deno.writeTextFile(path, [Object.keys(KINDS), ...rows].map((values) => `${line(values)}\n`).join(""));
      // DuckDB only reads as text what it is told to.
      files.push({ path, options: `${options}, quote = '"', header = true, all_varchar = true`, types });
    }
    const found = await summarize(files);
    for (const [i, { path }] of files.entries()) {
      const { columns, rows: read, bad, dialect } = await readCsv(await Deno.readTextFile(path), {}, 50_000);
      assertEquals([DIALECTS[i][0], read, bad, dialect.delimiter], [DIALECTS[i][0], rows.length, 0, DIALECTS[i][2]]);
      columns.forEach((column, n) => compare(column, found[i][n]));
    }
  });
});
