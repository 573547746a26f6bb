/**
 * Task type `csv_processing`: statistics of every column of a CSV file of any size, and a cleaned copy on request.
 * Without an upload it first generates a CSV of sample orders and processes it slowly, so that progress is visible.
 *
 * @module
 */

import type { Clock } from "../task/clock.ts";
import { defineTask, type TaskContext, type TaskDefinition } from "../define.ts";
import { NonRetryableError } from "../task/errors.ts";
import type { Pool } from "../workers/pool.ts";
import type { Json } from "../task/record.ts";
import type { ColumnStatistics } from "./csv/columns/statistics.ts";
import { artifactStream, writeJsonLines } from "./csv/output/artifacts.ts";
import { format, summaryCsv } from "./csv/output/result.ts";
import { rowSchemaOf } from "./csv/output/row_schema.ts";
import { type Params, params } from "./csv/params.ts";
import { BLOCK_BYTES, checkpoint, Reading, type Saved, writesCleanedCsv } from "./csv/reading.ts";
import { sampleOrders } from "./csv/sample_orders.ts";
import { blocksOf } from "./csv/text/blocks.ts";
import { counting, openSource, type TextSource } from "./csv/text/source.ts";
import type { CsvJobs } from "./jobs.ts";
import { seedOf } from "./random.ts";

/** Steps in which sample data is processed. */
const STEPS = 50;

/** Bytes of the column statistics in the result; all columns are in the artifacts. */
const RESULT_BYTES = 20 * 1024;

/** Makes the definition; its files are read in `pool`. */
export function csvProcessing(pool: Pool<CsvJobs>, clock: Clock): TaskDefinition<typeof params, typeof checkpoint> {
  return defineTask({
    type: "csv_processing",
    title: "Process a CSV",
    description: "Column statistics for a CSV of any size.",
    params,
    checkpoint,
    concurrency: 4,
    timeoutMs: 6 * 60 * 60_000,
    checkpointVersion: 3,
    example: { num_rows: 2_000, processing_time: 8 },
    titleOf: ({ upload_id, num_rows }, [file]) =>
      upload_id ? file ?? "Uploaded CSV" : `Sample: ${num_rows.toLocaleString("en")} orders`,
    run: (ctx) => run(ctx, pool, clock),
  });
}

async function run(ctx: TaskContext<Params, Saved>, pool: Pool<CsvJobs>, clock: Clock): Promise<Json> {
  const { upload_id, num_rows, processing_time, cleaned_as } = ctx.params;
  const saved = ctx.resume;
  let source: TextSource | null = null;
  const cleaned = writesCleanedCsv(ctx.params) ? artifactStream(ctx, "cleaned.csv", "text/csv") : null;
  try {
    source = upload_id ? await openSource(ctx, upload_id, saved?.bytes) : await sampleFile(ctx, num_rows, saved);
    const blocks = blocksOf(source.stream, upload_id ? BLOCK_BYTES : Math.ceil(source.size / STEPS));
    const reading = new Reading(ctx, pool, clock, source, saved);
    for await (const block of blocks) {
      await reading.read(block);
      if (reading.cleaned) await cleaned?.write(reading.cleaned);
      // Sample data takes the requested time.
      if (!upload_id) await ctx.sleep(processing_time * 1000 / STEPS);
    }
    assertReadable(reading);
    await cleaned?.close();
    if (ctx.params.cleaned && cleaned_as === "json_lines") {
      const open = async () => upload_id ? await openSource(ctx, upload_id) : (await ctx.openArtifact("input.csv"))!;
      await writeJsonLines(ctx, pool, reading, (await open()).stream);
    }
    return await finish(ctx, reading);
  } catch (error) {
    await cleaned?.abort(error);
    await source?.stream.cancel().catch(() => {});
    // The file does not change: a retry would fail in the same way.
    if (error instanceof Error && ["TableError", "EncodingError", "TooLargeError"].includes(error.name)) {
      throw new NonRetryableError(error.message, { cause: error });
    }
    throw error;
  }
}

async function sampleFile(
  ctx: TaskContext<Params, Saved>,
  rows: number,
  saved: Saved | undefined,
): Promise<TextSource> {
  if (!saved) {
    ctx.progress(0, "writing the CSV");
    await ctx.artifact("input.csv", sampleOrders(rows, seedOf(ctx.id)), "text/csv");
  }
  const file = (await ctx.openArtifact("input.csv", saved?.bytes))!;
  return { name: file.name, size: file.size, ...counting(file.stream, saved?.bytes) };
}

/** @throws {NonRetryableError} If there is not even a header, or there are rows and all of them are bad. */
function assertReadable({ rows, bad, result }: Reading): void {
  if (result!.columns.length === 0) throw new NonRetryableError("The file is empty.");
  if (rows > 0 || bad === 0) return;
  const [{ line, reason }] = result!.badRows;
  throw new NonRetryableError(`No row fits its columns. The first is on line ${line}: it ${reason}.`);
}

async function finish(ctx: TaskContext<Params, Saved>, { rows, bad, result, dialect }: Reading): Promise<Json> {
  const { columns, badRows, correlations, readings, nullValues } = result!;
  const { encoding, confidence, delimiter, quote, backslash, skip, skipped } = dialect!;
  const found = {
    encoding: encoding === "latin1" ? "windows-1252" : encoding,
    encoding_confidence: confidence,
    delimiter,
    quote,
    escape: backslash ? "backslash" : "doubled",
    ...readings,
    skipped_lines: skip,
    skipped,
    null_values: nullValues,
  };
  const warnings = [...dialect!.warnings, ...result!.warnings];
  for (const warning of warnings) ctx.log.warn(warning);
  const summary = {
    rows,
    bad_rows: bad,
    first_bad_rows: badRows,
    dialect: found,
    warnings,
    columns,
    correlations,
  };
  await ctx.artifact("summary.json", JSON.stringify(summary, null, 2), "application/json");
  await ctx.artifact("summary.csv", summaryCsv(columns), "text/csv");
  const schema = JSON.stringify(rowSchemaOf("A row", columns), null, 2);
  await ctx.artifact("schema.json", schema, "application/schema+json");
  ctx.log.info(`${format(rows)} rows, ${columns.length} columns, ${format(bad)} bad rows`);
  ctx.progress(100, `${format(rows)} rows, ${columns.length} columns`);
  const shown: ColumnStatistics[] = [];
  for (let size = 0; shown.length < columns.length; shown.push(columns[shown.length])) {
    size += new TextEncoder().encode(JSON.stringify(columns[shown.length])).length;
    if (size > RESULT_BYTES) break;
  }
  return {
    rows,
    bad_rows: bad,
    first_bad_rows: badRows.slice(0, 10),
    dialect: found,
    warnings,
    column_count: columns.length,
    columns: shown,
    correlations: correlations.slice(0, 10),
  };
}
