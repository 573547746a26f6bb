import { parse } from "@std/csv";
import { detectDelimiter } from "../../../queue/handlers/csv_processing.ts";
import { ColumnAccumulator, type ColumnStatistics, quantile } from "../../../queue/handlers/csv/statistics.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/app.ts";
import { reaches } from "../../support/queue.ts";

interface Result {
  rows: number;
  bad_rows: number;
  first_bad_rows: { row: number; reason: string }[];
  columns: ColumnStatistics[];
}

function close(actual: number, expected: number): void {
  ok(Math.abs(actual - expected) <= 1e-9 * Math.max(1, Math.abs(expected)), `${actual} is not ${expected}`);
}

Deno.test("the statistics of a made-up CSV are those of its artifact, recomputed", async () => {
  await withApp({}, async ({ submit, queue, call }) => {
    const task = await submit("csv_processing", { num_rows: 300, processing_time: 5 });
    const { task: { result } } = await reaches(queue, task.id, "SUCCESS");
    const { rows, bad_rows, columns } = result as unknown as Result;
    const text = await (await call(`/api/tasks/${task.id}/artifacts/input.csv`)).text();
    const records = parse(text, { skipFirstRow: true }) as Record<string, string>[];
    assertEquals([rows, bad_rows, records.length], [300, 0, 300]);
    assertEquals(columns.map(({ name }) => name), Object.keys(records[0]));
    for (const column of columns) {
      const values = records.map((record) => record[column.name]).filter((value) => value !== "");
      assertEquals([column.count, column.missing], [values.length, 300 - values.length]);
      assertEquals(column.distinct, new Set(values).size);
      if (column.type !== "integer" && column.type !== "decimal") continue;
      const numbers = values.map(Number);
      const sum = numbers.reduce((a, b) => a + b, 0);
      const avg = sum / numbers.length;
      const variance = numbers.reduce((a, b) => a + (b - avg) ** 2, 0) / (numbers.length - 1);
      close(column.sum!, sum);
      close(column.avg!, avg);
      assertEquals([column.min, column.max], [Math.min(...numbers), Math.max(...numbers)]);
      close(column.standard_deviation!, Math.sqrt(variance));
      close(column.quantiles!.p50, quantile(numbers.toSorted((a, b) => a - b), 0.5));
      assertEquals(column.histogram!.reduce((total, { count }) => total + count, 0), numbers.length);
    }
    assertEquals(columns.map(({ type }) => type), [
      "integer",
      "date",
      "text",
      "text",
      "integer",
      "decimal",
      "boolean",
    ]);
    const summary = await (await call(`/api/tasks/${task.id}/artifacts/summary.json`)).json();
    assertEquals(summary.columns, columns);
  });
});

async function process(csv: string | Uint8Array<ArrayBuffer>, params: Record<string, unknown> = {}) {
  let outcome: { status: string; result: Result; error: string | undefined } | undefined;
  await withApp({}, async ({ submit, queue, call }) => {
    const upload = await call("/api/uploads?name=a.csv", { method: "POST", body: csv });
    const { upload_id } = await upload.json();
    const task = await submit("csv_processing", { upload_id, ...params });
    const { task: ended } = await reaches(queue, task.id, "SUCCESS", "FAILED");
    outcome = { status: ended.status, result: ended.result as unknown as Result, error: ended.error?.message };
  });
  return outcome!;
}

Deno.test("quotes, embedded newlines, CRLF, a byte order mark and blank lines are read as they are meant", async () => {
  const { result } = await process('\ufeffname,n\r\n"a ""b"", c",1\r\n\r\n"two\nlines",2\r\n');
  assertEquals([result.rows, result.bad_rows], [2, 0]);
  assertEquals(result.columns[0].top_values.map(({ value }) => value), ['a "b", c', "two\nlines"]);
  assertEquals([result.columns[0].name, result.columns[1].sum], ["name", 3]);
});

Deno.test("rows of another length are counted, named and left out", async () => {
  const { result } = await process("a,b\n1,2\n3\n4,5,6\n7,8\n");
  assertEquals([result.rows, result.bad_rows, result.columns[0].sum], [2, 2, 8]);
  assertEquals(result.first_bad_rows, [
    { row: 2, reason: "has 1 values instead of 2" },
    { row: 3, reason: "has 3 values instead of 2" },
  ]);
});

Deno.test("the delimiter is detected or given, and a header is optional", async () => {
  assertEquals(["a;b;c", "a\tb,c\td", "a|b", '"x,y,z";b', "a"].map(detectDelimiter), [";", "\t", "|", ";", ","]);
  const { result } = await process("1;2,5\n3;4,5\n", { header: false, delimiter: ";" });
  assertEquals([result.rows, result.columns[0].sum, result.columns[1].type], [2, 4, "text"]);
  assertEquals(result.columns.map(({ name }) => name), ["column 1", "column 2"]);
});

Deno.test("a file that is not UTF-8, or has no rows, fails at once with a clear message", async () => {
  const latin = await process(new Uint8Array([0x61, 0x2c, 0xe9, 0x0a, 0x62, 0x2c, 0x63]));
  assertEquals([latin.status, latin.error], ["FAILED", "The file is not UTF-8 text."]);
  const empty = await process("a,b\n");
  assertEquals([empty.status, empty.error], ["FAILED", "The file has no rows."]);
});

Deno.test("sums are compensated", () => {
  const column = new ColumnAccumulator("x");
  for (const value of ["1e100", "1", "-1e100"]) column.add(value);
  assertEquals(column.result().sum, 1);
});
