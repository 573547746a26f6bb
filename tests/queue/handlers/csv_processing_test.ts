import { parse } from "@std/csv";
import type { ColumnStatistics } from "../../../queue/handlers/csv/columns/statistics.ts";
import { assertEquals, assertMatch, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { reaches } from "../../support/queue.ts";

interface Result {
  rows: number;
  bad_rows: number;
  first_bad_rows: { line: number; reason: string }[];
  columns: ColumnStatistics[];
}

function close(actual: number, expected: number): void {
  ok(Math.abs(actual - expected) <= 1e-9 * Math.max(1, Math.abs(expected)), `${actual} is not ${expected}`);
}

Deno.test("the statistics of a generated CSV are those of its artifact, recomputed", async () => {
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
      close(Number(column.sum), sum);
      close(column.mean!, avg);
      assertEquals([column.min, column.max], [Math.min(...numbers), Math.max(...numbers)]);
      close(column.standard_deviation!, Math.sqrt(variance));
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
    { line: 3, reason: "has 1 value instead of 2" },
    { line: 4, reason: "has 3 values instead of 2" },
  ]);
});

Deno.test("a header is optional, and the delimiter may be given", async () => {
  const { result } = await process("1;2,5\n3;4,5\n", { header: false, delimiter: ";" });
  assertEquals([result.rows, result.columns[0].sum, result.columns[1].sum], [2, 4, 7]);
  assertEquals(result.columns.map(({ name }) => name), ["column 1", "column 2"]);
});

for (
  const [what, csv, params, complaint] of [
    [
      "rows that are all bad",
      "a,b\n1\n2\n",
      {},
      "No row fits its columns. The first is on line 2: it has 1 value instead of 2.",
    ],
    ["nothing at all", "", {}, "The file is empty."],
    ["zero bytes", "a\0,b\n1,2\n", {}, /^The first row contains NUL characters/],
    [
      "too many bad rows",
      "a,b\n1\n2\n",
      { max_bad_rows: 1 },
      /^Too many bad rows \(limit 1\)\. The first is on line 2/,
    ],
  ] as [string, string, Record<string, unknown>, string | RegExp][]
) {
  Deno.test(`a file with ${what} fails at once with a clear message`, async () => {
    const { status, error } = await process(csv, params);
    assertEquals(status, "FAILED");
    if (typeof complaint === "string") assertEquals(error, complaint);
    else assertMatch(error!, complaint);
  });
}

Deno.test("a cleaned copy is written as an artifact, block by block", async () => {
  await withApp({}, async ({ submit, queue, call }) => {
    const line = (i: number) => `${i};"Town; ${i}";=${i}\n`;
    const csv = `id;town;note\n${Array.from({ length: 300_000 }, (_, i) => line(i)).join("")}bad\n`;
    const upload = await (await call("/api/uploads?name=a.csv", { method: "POST", body: csv })).json();
    const task = await submit("csv_processing", {
      upload_id: upload.upload_id,
      cleaned: true,
      columns: ["note", "id"],
      rename: { id: "number" },
      escape_formulas: true,
    });
    const { task: { result } } = await reaches(queue, task.id, "SUCCESS", "FAILED");
    assertEquals([(result as unknown as Result).rows, (result as unknown as Result).bad_rows], [300_000, 1]);
    const cleaned = await (await call(`/api/tasks/${task.id}/artifacts/cleaned.csv`)).text();
    const expected = Array.from({ length: 300_000 }, (_, i) => `"'=${i}";${i}\r\n`).join("");
    assertEquals(cleaned === `note;number\r\n${expected}`, true);
  });
});
