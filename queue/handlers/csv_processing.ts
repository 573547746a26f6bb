/**
 * Task type `csv_processing`: statistics of every column of a CSV file. Without an upload it makes a CSV of made-up
 * orders first and takes its time over it, so that one can watch.
 *
 * @module
 */

import { parse, stringify } from "@std/csv";
import * as z from "zod";
import { defineTask, type OpenedFile, type TaskContext } from "../define.ts";
import { NonRetryableError } from "../errors.ts";
import type { Json } from "../task.ts";
import { cutRecords } from "./csv/records.ts";
import type { ColumnStatistics } from "./csv/statistics.ts";
import { Table, type TableState } from "./csv/table.ts";
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
/** Bytes that are parsed at once. */
const UNIT_BYTES = 256 * 1024;
/** Bytes of a block: after each, the next attempt need not read it again. */
const BLOCK_BYTES = 4 * 1024 * 1024;
/** The largest statistics that are saved on the way: writing them as JSON holds up everything else. */
const MAX_STATE_BYTES = 8 * 1024 * 1024;
/** The longest record in bytes: what has none that ends is no CSV, and would fill the memory. */
const MAX_RECORD_BYTES = 4 * 1024 * 1024;

/** Processes a CSV. */
export const csvProcessing = defineTask({
  type: "csv_processing",
  title: "Process a CSV",
  description: "Column statistics of an uploaded CSV file, or of made-up orders.",
  params,
  concurrency: 4,
  timeoutMs: 60 * 60_000,
  titleOf: ({ upload_id, num_rows }) => upload_id ? "Uploaded CSV" : `${num_rows.toLocaleString("en")} made-up orders`,
  run,
});

/** What the next attempt goes on from: the bytes that are done with and what they held. */
interface Progress {
  bytes: number;
  separator: string;
  table: TableState;
}

async function run(ctx: TaskContext<Params>): Promise<Json> {
  const { upload_id, num_rows, processing_time, delimiter, header } = ctx.params;
  const resume = ctx.resume as unknown as Progress | undefined;
  const from = resume?.bytes ?? 0;
  let source: OpenedFile;
  if (upload_id) source = await ctx.openUpload(upload_id, from);
  else {
    if (!resume) {
      ctx.progress(0, "writing the CSV");
      await ctx.artifact("input.csv", madeUpOrders(num_rows, seedOf(ctx.id)), "text/csv");
    }
    source = (await ctx.openArtifact("input.csv", from))!;
  }
  const { name, size, stream } = source;
  ctx.log.info(
    `reading ${name}, ${size.toLocaleString("en")} bytes${
      from > 0 ? ` from byte ${from.toLocaleString("en")} on` : ""
    }`,
  );

  const unit = upload_id ? UNIT_BYTES : Math.ceil(size / STEPS);
  const table = resume ? Table.from(resume.table) : new Table(upload_id ? header : true);
  let separator = resume?.separator ?? (upload_id ? delimiter : ",") ?? null;
  let saved = from;
  let interval = upload_id ? BLOCK_BYTES : 5 * unit;
  const pieces = cutRecords(
    stream,
    unit,
    MAX_RECORD_BYTES,
    (first) => separator ??= detectDelimiter(decodeText(first)),
  );
  for await (const { bytes, end } of pieces) {
    ctx.signal.throwIfAborted();
    for (const row of parse(decodeText(bytes), { separator: separator!, lazyQuotes: true })) table.add(row);
    const done = from + end;
    ctx.progress(done / size * 99, `${table.rows.toLocaleString("en")} rows`);
    if (done - saved >= interval && table.stateSize() > MAX_STATE_BYTES) {
      interval = Infinity;
      ctx.log.warn(
        "The statistics have become too large to be saved on the way; a new attempt begins where they were last.",
      );
    }
    if (done - saved >= interval) {
      const progress = { bytes: done, separator: separator!, table: table.state() } satisfies Progress;
      await ctx.checkpoint(progress as unknown as Json);
      saved = done;
      // What is saved takes its time too: it is at most an eighth of what is read.
      if (upload_id) interval = Math.max(BLOCK_BYTES, 8 * table.stateSize());
    }
    // Let others have their turn; made-up work takes the time that was asked for.
    await ctx.sleep(upload_id ? 0 : processing_time * 1000 / STEPS);
  }
  if (table.rows === 0 && table.bad === 0) throw new NonRetryableError("The file has no rows.");
  return await finish(ctx, table);
}

/** A file in another encoding is refused rather than counted wrongly. */
function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new NonRetryableError("The file is not UTF-8 text.", { cause: error });
  }
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

function summaryCsv(columns: ColumnStatistics[]): string {
  const plain = columns.map(({ quantiles, top_values, histogram: _, ...column }) => ({
    ...column,
    ...quantiles,
    top_value: top_values[0]?.value,
  }));
  const names = ["name", "type", "count", "missing", "distinct", "sum", "avg", "min", "max", "standard_deviation"];
  return stringify(plain, { columns: [...names, "p25", "p50", "p75", "p95", "top_value"] });
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
