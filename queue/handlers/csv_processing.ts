/**
 * Task type `csv_processing`: statistics of every column of a CSV file. Without an upload it makes a CSV of made-up
 * orders first and takes its time over it, so that one can watch.
 *
 * @module
 */

import { CsvParseStream, stringify } from "@std/csv";
import * as z from "zod";
import { defineTask, type TaskContext } from "../define.ts";
import { NonRetryableError } from "../errors.ts";
import type { Json } from "../task.ts";
import { ColumnAccumulator, type ColumnStatistics } from "./csv/statistics.ts";
import { randomFrom, seedOf } from "./random.ts";

const params = z.strictObject({
  num_rows: z.int().min(100).max(10_000).default(1_000)
    .meta({ title: "Rows", description: "Rows of made-up orders to process." }),
  processing_time: z.number().min(5).max(60).default(10)
    .meta({ title: "Processing time", description: "Seconds to spread the work over.", "x-unit": "s" }),
  upload_id: z.string().length(26).optional()
    .meta({
      title: "CSV file",
      description: "Process this file at full speed instead.",
      "x-file": { accept: ".csv,text/csv" },
    }),
  delimiter: z.enum([",", ";", "\t", "|"]).optional()
    .meta({
      title: "Delimiter",
      description: "Of the file; detected if not given.",
      "x-enumLabels": ["comma", "semicolon", "tab", "pipe"],
    }),
  header: z.boolean().default(true).meta({ title: "The first row holds the names", description: "Of the file." }),
});

type Params = z.output<typeof params>;

/** Steps that the work on made-up data is spread over. */
const STEPS = 50;
/** Columns whose statistics stand in the result; all of them are in the artifacts. */
const RESULT_COLUMNS = 12;
/** The most columns that are taken for a table. */
const MAX_COLUMNS = 2_000;
/** The longest line in bytes: what has none that ends is no CSV, and would fill the memory. */
const MAX_LINE_BYTES = 4 * 1024 * 1024;
/** Bad rows that are named. */
const BAD_ROWS = 100;

/** Processes a CSV. */
export const csvProcessing = defineTask({
  type: "csv_processing",
  title: "Process a CSV",
  description: "Column statistics of an uploaded CSV file, or of made-up orders.",
  params,
  concurrency: 4,
  timeoutMs: 60 * 60_000,
  titleOf: ({ upload_id, num_rows }) => upload_id ? "Uploaded CSV" : `${num_rows.toLocaleString("en")} made-up orders`,
  run: (ctx) => ctx.params.upload_id ? processUpload(ctx, ctx.params.upload_id) : processMadeUp(ctx),
});

async function processMadeUp(ctx: TaskContext<Params>): Promise<Json> {
  const { num_rows, processing_time } = ctx.params;
  ctx.progress(0, "writing the CSV");
  await ctx.artifact("input.csv", madeUpOrders(num_rows, seedOf(ctx.id)), "text/csv");
  const { stream } = (await ctx.openArtifact("input.csv"))!;
  const table = new Table(true);
  const step = num_rows / STEPS;
  const pause = processing_time * 1000 / STEPS;
  let next = step;
  for await (const row of stream.pipeThrough(new TextDecoderStream()).pipeThrough(new CsvParseStream())) {
    table.add(row);
    if (table.rows < next) continue;
    next += step;
    ctx.progress(
      table.rows / num_rows * 100,
      `row ${table.rows.toLocaleString("en")} of ${num_rows.toLocaleString("en")}`,
    );
    await ctx.sleep(pause);
  }
  return await finish(ctx, table);
}

async function processUpload(ctx: TaskContext<Params>, upload: string): Promise<Json> {
  const file = await ctx.openUpload(upload);
  ctx.log.info(`reading ${file.name}, ${file.size.toLocaleString("en")} bytes`);
  let bytes = 0;
  let line = 0;
  const counted = file.stream.pipeThrough(
    new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(chunk, controller) {
        ctx.signal.throwIfAborted();
        bytes += chunk.length;
        const lineEnd = chunk.lastIndexOf(0x0a);
        line = lineEnd < 0 ? line + chunk.length : chunk.length - lineEnd;
        if (line > MAX_LINE_BYTES) throw new NonRetryableError("The file has a line of more than 4 MB: it is no CSV.");
        controller.enqueue(chunk);
      },
    }),
  );
  // "fatal": a file in another encoding is refused rather than counted wrongly.
  const decoded = counted.pipeThrough(new TextDecoderStream("utf-8", { fatal: true }));
  const table = new Table(ctx.params.header);
  try {
    const [first, text] = await peek(decoded);
    const separator = ctx.params.delimiter ?? detectDelimiter(first);
    for await (const row of text.pipeThrough(new CsvParseStream({ separator, lazyQuotes: true }))) {
      table.add(row);
      if (table.rows % 5_000 !== 0) continue;
      ctx.progress(bytes / file.size * 99, `${table.rows.toLocaleString("en")} rows`);
      ctx.signal.throwIfAborted();
    }
  } catch (error) {
    if (ctx.signal.aborted) throw ctx.signal.reason;
    if (error instanceof TypeError) throw new NonRetryableError("The file is not UTF-8 text.", { cause: error });
    throw error;
  }
  if (table.rows === 0 && table.bad === 0) throw new NonRetryableError("The file has no rows.");
  return await finish(ctx, table);
}

async function finish(ctx: TaskContext<Params>, table: Table): Promise<Json> {
  const columns = table.result();
  const summary = { rows: table.rows, bad_rows: table.bad, first_bad_rows: table.badRows, columns };
  await ctx.artifact("summary.json", JSON.stringify(summary, null, 2), "application/json");
  await ctx.artifact("summary.csv", summaryCsv(columns), "text/csv");
  ctx.log.info(`${table.rows.toLocaleString("en")} rows, ${columns.length} columns, ${table.bad} bad rows`);
  ctx.progress(100, `${table.rows.toLocaleString("en")} rows, ${columns.length} columns`);
  return {
    rows: table.rows,
    bad_rows: table.bad,
    first_bad_rows: table.badRows.slice(0, 10),
    column_count: columns.length,
    columns: columns.slice(0, RESULT_COLUMNS),
  } as unknown as Json;
}

/** A CSV as it is read: the columns and the rows that do not fit. */
class Table {
  rows = 0;
  bad = 0;
  /** `row` counts the rows of data from 1. */
  readonly badRows: { row: number; reason: string }[] = [];
  #columns: ColumnAccumulator[] | null = null;
  readonly #header: boolean;

  constructor(header: boolean) {
    this.#header = header;
  }

  add(row: string[]): void {
    if (!this.#columns) {
      if (row[0]?.startsWith("\ufeff")) row[0] = row[0].slice(1);
      if (row.length > MAX_COLUMNS) {
        throw new NonRetryableError(`The file has ${row.length.toLocaleString("en")} columns; the limit is 2,000.`);
      }
      this.#columns = row.map((name, i) => new ColumnAccumulator((this.#header && name.trim()) || `column ${i + 1}`));
      if (this.#header) return;
    }
    const columns = this.#columns;
    if (row.length !== columns.length) {
      this.bad++;
      if (this.badRows.length < BAD_ROWS) {
        const reason = `has ${row.length} values instead of ${columns.length}`;
        this.badRows.push({ row: this.rows + this.bad, reason });
      }
      return;
    }
    this.rows++;
    for (let i = 0; i < row.length; i++) columns[i].add(row[i]);
  }

  result(): ColumnStatistics[] {
    return (this.#columns ?? []).map((column) => column.result());
  }
}

function summaryCsv(columns: ColumnStatistics[]): string {
  const plain = columns.map(({ quantiles, top_values, histogram: _, ...column }) => ({
    ...column,
    ...quantiles,
    top_value: top_values[0]?.value,
  }));
  const names = ["name", "type", "count", "missing", "distinct", "sum", "avg", "min", "max", "standard_deviation"];
  return stringify(plain, { columns: [...names, "p25", "p50", "p75", "p95", "top_value"] });
}

/** Takes the first piece off a stream and gives it back with the whole stream. */
async function peek(stream: ReadableStream<string>): Promise<[string, ReadableStream<string>]> {
  const reader = stream.getReader();
  const first = await reader.read();
  const whole = new ReadableStream<string>({
    async pull(controller) {
      const { value, done } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    start(controller) {
      if (first.done) controller.close();
      else controller.enqueue(first.value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
  return [first.value ?? "", whole];
}

/** The delimiter that the first line has most of, outside quotes. */
export function detectDelimiter(text: string): string {
  const line = text.split("\n", 1)[0].replaceAll(/"[^"]*"/g, "");
  const count = (delimiter: string) => line.split(delimiter).length;
  return [",", ";", "\t", "|"].reduce((best, next) => count(next) > count(best) ? next : best);
}

/** Made-up orders as CSV, the same for the same seed. Some values are missing. */
function madeUpOrders(rows: number, seed: number): string {
  const random = randomFrom(seed);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)];
  const start = Date.UTC(2025, 0, 1);
  const orders = Array.from({ length: rows }, (_, i) => ({
    order_id: i + 1,
    date: new Date(start + Math.floor(random() * 365) * 86_400_000).toISOString().slice(0, 10),
    product: pick(["Kettle", "Lamp, small", "Desk", "Chair", 'Monitor 27"', "Notebook"]),
    region: random() < 0.03 ? "" : pick(["North", "South", "East", "West"]),
    quantity: 1 + Math.floor(random() * 20),
    unit_price: Math.round((5 + random() * 495) * 100) / 100,
    express: random() < 0.2,
  }));
  return stringify(orders, {
    columns: ["order_id", "date", "product", "region", "quantity", "unit_price", "express"],
  });
}
