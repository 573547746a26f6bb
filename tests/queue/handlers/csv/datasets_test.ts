import { parse } from "@std/csv";
import { NULL_VALUES } from "../../../../queue/handlers/csv/columns/nulls.ts";
import { assertEquals, ok } from "../../../support/assert.ts";
import { readCsv } from "../../../support/csv/read.ts";
import { packageFolder } from "../../../support/packages.ts";

const folder = await packageFolder("vega-datasets@3.2.1");

/** The sum as exactly as doubles allow: of integers, in parts that lose nothing (Shewchuk). */
function exactSum(numbers: number[]): number {
  let parts: number[] = [];
  for (let number of numbers) {
    const next: number[] = [];
    for (let part of parts) {
      if (Math.abs(number) < Math.abs(part)) [number, part] = [part, number];
      const high = number + part;
      const low = part - (high - number);
      if (low !== 0) next.push(low);
      number = high;
    }
    parts = [...next, number];
  }
  return parts.reduce((sum, part) => sum + part, 0);
}

function close(actual: number, expected: number, what: string): void {
  ok(Math.abs(actual - expected) <= 1e-9 * Math.max(1, Math.abs(expected)), `${what}: ${actual} is not ${expected}`);
}

for (const [name, rows] of [["airports", 3_376], ["seattle-weather", 1_461], ["zipcodes", 42_049]] as const) {
  Deno.test(`the statistics of ${name} are those of an independent computation`, async () => {
    const text = await Deno.readTextFile(`${folder}data/${name}.csv`);
    const records = parse(text, { skipFirstRow: true }) as Record<string, string>[];
    const read = await readCsv(text, {}, 100_000);
    assertEquals([read.rows, read.bad, records.length], [rows, 0, rows]);
    assertEquals(read.columns.map((column) => column.name), Object.keys(records[0]));
    for (const column of read.columns) {
      const all = records.map((record) => record[column.name].trim());
      const values = all.filter((value) => value !== "" && !NULL_VALUES.includes(value));
      const different = new Set(values).size;
      assertEquals([column.count, column.missing], [values.length, all.length - values.length]);
      assertEquals(column.distinct_estimated, different > 10_000);
      if (different <= 10_000) {
        assertEquals(column.distinct, different);
        const counts = Object.entries(Object.groupBy(values, (value) => value)).map(([, same]) => same!.length);
        assertEquals(column.top_values.map(({ count }) => count), counts.sort((a, b) => b - a).slice(0, 5));
      } else ok(Math.abs(column.distinct / different - 1) < 0.033, `${column.distinct} of ${different}`);
      // A column in which a value begins with a zero holds codes.
      const codes = values.some((value) => /^-?0\d/.test(value));
      const numeric = values.length > 0 && !codes && values.every((value) => Number.isFinite(Number(value)));
      assertEquals(column.type === "integer" || column.type === "decimal", numeric, column.name);
      if (!numeric) continue;
      const numbers = values.map(Number);
      const sorted = numbers.toSorted((a, b) => a - b);
      const sum = exactSum(numbers);
      const mean = sum / numbers.length;
      const variance = exactSum(numbers.map((number) => (number - mean) ** 2)) / (numbers.length - 1);
      close(Number(column.sum), sum, `${column.name}, sum`);
      close(column.mean!, mean, `${column.name}, mean`);
      close(column.standard_deviation!, Math.sqrt(variance), `${column.name}, standard deviation`);
      assertEquals([column.min, column.max], [sorted[0], sorted.at(-1)!]);
      for (const [key, value] of Object.entries(column.quantiles!)) {
        const share = Number(key.slice(1)) / 100;
        const at = (sorted.length - 1) * share;
        const [low, high] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
        if (different <= 10_000) close(value, low + (high - low) * (at % 1), `${column.name}, ${key}`);
        else {
          // Beyond, a quantile is an estimate: within half a percent of the ranks.
          const [from, to] = [share - 0.005, share + 0.005].map((q) => sorted[Math.round(q * (sorted.length - 1))]);
          ok(
            value >= from && value <= (to ?? Infinity),
            `${column.name}, ${key}: ${value} is not from ${from} to ${to}`,
          );
        }
      }
      if (different <= 10_000) {
        for (const [i, bin] of column.histogram!.entries()) {
          const last = i === column.histogram!.length - 1;
          const count = numbers.filter((value) => value >= Number(bin.from) && (last || value < Number(bin.to))).length;
          assertEquals(bin.count, count, `${column.name}, from ${bin.from}`);
        }
      }
    }
  });
}
