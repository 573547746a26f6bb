/**
 * Task type `csv_processing`: statistics of every column of a CSV file of any size, and a cleaned copy on request.
 * Without an upload it first generates a CSV of sample orders and processes it slowly, so that progress is visible.
 *
 * @module
 */

import * as z from "zod";
import type { Clock } from "../task/clock.ts";
import { defineTask, type OpenedFile, type TaskContext, type TaskDefinition } from "../define.ts";
import { NonRetryableError } from "../task/errors.ts";
import type { Pool } from "../workers/pool.ts";
import type { Json } from "../task/record.ts";
import { type Block, blocksOf, joined } from "./csv/blocks.ts";
import type { ColumnStatistics } from "./csv/columns/column.ts";
import { DELIMITERS, detectDialect, type Dialect, ENCODINGS } from "./csv/encoding.ts";
import { sampleOrders } from "./csv/sample_orders.ts";
import { buffersOf } from "./csv/state.ts";
import type { TableOptions } from "./csv/table.ts";
import type { CsvAnswer } from "./csv/worker.ts";
import { seedOf } from "./random.ts";
import type { CsvJobs } from "./jobs.ts";
import { format, lasting, summaryCsv } from "./csv/result.ts";
import { type Params, params } from "./csv/params.ts";

/** Steps in which sample data is processed. */
const STEPS = 50;

/** Bytes of the column statistics in the result; all columns are in the artifacts. */
const RESULT_BYTES = 20 * 1024;

/** Bytes of a block: what a worker reads at once. */
const BLOCK_BYTES = 4 * 1024 * 1024;

/** The largest statistics that are saved in a checkpoint: writing them as JSON blocks everything else. */
const MAX_STATE_BYTES = 16 * 1024 * 1024;

/** Time limit for one block in milliseconds: thousands of times what it takes, dozens of times for 2,000 columns. */
const JOB_TIMEOUT_MS = 120_000;

// Not beside Dialect: what workers import does without zod, which would take 10 MB in each of them.
const dialectSchema: z.ZodType<Dialect> = z.strictObject({
  encoding: z.enum(ENCODINGS),
  undecided: z.boolean(),
  mark: z.int(),
  delimiter: z.enum(DELIMITERS),
  crOnly: z.boolean(),
});

/** The checkpoint of a file that was read up to a block. */
const checkpoint = z.strictObject({
  bytes: z.int(),
  rows: z.int(),
  dialect: dialectSchema,
  /** The state of all columns, in Base64. */
  state: z.string(),
});

type Saved = z.output<typeof checkpoint>;

/** Makes the definition; its files are read in `pool`. */
export function csvProcessing(pool: Pool<CsvJobs>, clock: Clock): TaskDefinition<typeof params, typeof checkpoint> {
  return defineTask({
    type: "csv_processing",
    title: "Process a CSV",
    description: "Column statistics of an uploaded CSV file of any size, or of sample orders.",
    params,
    checkpoint,
    concurrency: 4,
    timeoutMs: 6 * 60 * 60_000,
    checkpointVersion: 2,
    example: { num_rows: 2_000, processing_time: 8 },
    titleOf: ({ upload_id, num_rows }, [file]) =>
      upload_id ? file ?? "Uploaded CSV" : `${num_rows.toLocaleString("en")} sample orders`,
    run: (ctx) => run(ctx, pool, clock),
  });
}

async function run(ctx: TaskContext<Params, Saved>, pool: Pool<CsvJobs>, clock: Clock): Promise<Json> {
  const { upload_id, num_rows, processing_time } = ctx.params;
  const saved = ctx.resume;
  const source = upload_id ? await ctx.openUpload(upload_id, saved?.bytes) : await sampleFile(ctx, num_rows, saved);
  const left = source.size - (saved?.bytes ?? 0);
  const blocks = blocksOf(source.stream, left, upload_id ? BLOCK_BYTES : Math.ceil(source.size / STEPS));
  const cleaned = ctx.params.cleaned ? artifactStream(ctx, "cleaned.csv", "text/csv") : null;
  try {
    const reading = new Reading(ctx, pool, clock, source, saved);
    for await (const block of blocks) {
      await reading.read(block);
      if (reading.cleaned) await cleaned?.write(reading.cleaned);
      // Sample data takes the requested time.
      if (!upload_id) await ctx.sleep(processing_time * 1000 / STEPS);
    }
    assertRows(reading);
    await cleaned?.close();
    return await finish(ctx, reading);
  } catch (error) {
    await cleaned?.abort(error);
    await source.stream.cancel().catch(() => {});
    // The file does not change: a retry would fail in the same way.
    if (error instanceof Error && ["TableError", "EncodingError", "TooLargeError"].includes(error.name)) {
      throw new NonRetryableError(error.message, { cause: error });
    }
    throw error;
  }
}

/** Reads a file block by block, and tracks its progress. */
class Reading {
  rows = 0;
  bad = 0;
  result: CsvAnswer["result"] = null;
  /** The newest bytes of the cleaned file. */
  cleaned: CsvAnswer["cleaned"] = null;
  readonly #ctx: TaskContext<Params, Saved>;
  readonly #pool: Pool<CsvJobs>;
  readonly #clock: Clock;
  readonly #size: number;
  readonly #started: { at: number; bytes: number; rows: number };
  #dialect: Dialect | null;
  #options: TableOptions | null = null;
  #state: CsvAnswer["state"] | string | null;
  /** Bytes of the file that are processed. */
  #done: number;
  #savedAt: number;
  #interval: number;
  #rest = new Uint8Array();

  constructor(ctx: TaskContext<Params, Saved>, pool: Pool<CsvJobs>, clock: Clock, source: OpenedFile, saved?: Saved) {
    this.#ctx = ctx;
    this.#pool = pool;
    this.#clock = clock;
    this.#size = source.size;
    this.#dialect = saved?.dialect ?? null;
    this.#state = saved?.state ?? null;
    this.#done = this.#savedAt = saved?.bytes ?? 0;
    this.#started = { at: clock.monotonic(), bytes: this.#done, rows: saved?.rows ?? 0 };
    // A partly written file cannot be continued: with a cleaned file, a new attempt starts from the beginning.
    this.#interval = ctx.params.cleaned ? Infinity : ctx.params.upload_id ? BLOCK_BYTES : Math.ceil(source.size / 10);
    const from = this.#done > 0 ? ` from byte ${format(this.#done)} on` : "";
    ctx.log.info(`reading ${source.name}, ${format(this.#size)} bytes${from}`);
  }

  /** Reads the next block. */
  async read({ bytes: fresh, last }: Block): Promise<void> {
    const ctx = this.#ctx;
    ctx.signal.throwIfAborted();
    this.#dialect ??= this.#detect(fresh, last);
    const mark = this.#done === 0 ? this.#dialect.mark : 0;
    const bytes = joined(this.#rest, mark > 0 ? fresh.subarray(mark) : fresh);
    this.#done += mark;
    const options = this.#options ??= optionsOf(ctx.params, this.#dialect);
    const size = bytes.length;
    const save = !last && this.#done + size - this.#savedAt >= this.#interval;
    const state = this.#state;
    const known = { dialect: this.#dialect, options, state, offset: this.#done };
    const answer = await this.#pool.run("csv", { ...known, bytes, last, saveUpTo: save ? MAX_STATE_BYTES : 0 }, {
      transfer: [bytes.buffer, ...state && typeof state !== "string" ? buffersOf(state) : []],
      signal: ctx.signal,
      timeoutMs: JOB_TIMEOUT_MS,
    });
    this.#state = answer.state;
    this.#dialect = answer.dialect;
    this.#rest = answer.rest;
    this.#done += size - answer.rest.length;
    Object.assign(this, { rows: answer.rows, bad: answer.bad, result: answer.result, cleaned: answer.cleaned });
    ctx.progress(this.#size > 0 ? this.#done / this.#size * 99 : 99, this.#message());
    if (save) await this.#save(answer.saved, answer.stateSize);
  }

  async #save(state: string | null, size: number): Promise<void> {
    if (state === null) {
      this.#interval = Infinity;
      const text = "The statistics are now too large for a checkpoint; a new attempt resumes from the last one.";
      return this.#ctx.log.warn(text);
    }
    const saved: Saved = { bytes: this.#done, rows: this.rows, dialect: this.#dialect!, state };
    await this.#ctx.checkpoint(saved);
    this.#savedAt = this.#done;
    // Saving takes time too: at most an eighth as many bytes are saved as are read.
    if (this.#ctx.params.upload_id) this.#interval = Math.max(BLOCK_BYTES, 8 * size);
  }

  #detect(first: Uint8Array, last: boolean): Dialect {
    const { upload_id, delimiter, encoding } = this.#ctx.params;
    const dialect = detectDialect(first, last, upload_id ? { delimiter, encoding } : { delimiter: "," });
    const name = { ",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes" }[dialect.delimiter];
    this.#ctx.log.info(`${dialect.encoding}, separated by ${name}`);
    return dialect;
  }

  #message(): string {
    const seconds = (this.#clock.monotonic() - this.#started.at) / 1000;
    const bytes = this.#done - this.#started.bytes;
    const rows = `${format(this.rows)} rows`;
    if (seconds < 1 || bytes <= 0 || !this.#ctx.params.upload_id) return rows;
    const left = Math.ceil((this.#size - this.#done) * seconds / bytes);
    return `${rows}, ${format(Math.round((this.rows - this.#started.rows) / seconds))} rows/s, ${lasting(left)} left`;
  }
}

function optionsOf(params: Params, { delimiter }: Dialect): TableOptions {
  const given = params.upload_id !== undefined;
  return {
    header: given ? params.header : true,
    // With semicolons as delimiters, commas are decimal separators; otherwise they may separate thousands.
    decimalComma: params.decimal ? params.decimal === "," : delimiter === ";",
    maxBadRows: params.max_bad_rows,
    cleaning: params.cleaned
      ? {
        columns: params.columns ?? [],
        rename: params.rename ?? {},
        dropBadRows: params.drop_bad_rows,
        escapeFormulas: params.escape_formulas,
      }
      : null,
  };
}

/** An artifact that is written piece by piece; a slow store applies back pressure. */
function artifactStream(ctx: TaskContext<Params, Saved>, name: string, mediaType: string) {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const stored = ctx.artifact(name, readable, mediaType);
  stored.catch(() => {});
  const writer = writable.getWriter();
  writer.closed.catch(() => {});
  return {
    // If storing fails, the writer only reports a cancellation: `stored` has the reason.
    write: (bytes: Uint8Array) => Promise.race([writer.write(bytes), stored]),
    close: async () => {
      await writer.close();
      await stored;
    },
    abort: async (reason: unknown) => {
      await writer.abort(reason).catch(() => {});
      await stored.catch(() => {});
    },
  };
}

async function sampleFile(
  ctx: TaskContext<Params, Saved>,
  rows: number,
  saved: Saved | undefined,
): Promise<OpenedFile> {
  if (!saved) {
    ctx.progress(0, "writing the CSV");
    await ctx.artifact("input.csv", sampleOrders(rows, seedOf(ctx.id)), "text/csv");
  }
  return (await ctx.openArtifact("input.csv", saved?.bytes))!;
}

/** @throws {NonRetryableError} If there are no rows for statistics. */
function assertRows({ rows, result }: Reading): void {
  if (rows > 0) return;
  const [first] = result!.badRows;
  throw new NonRetryableError(
    first
      ? `No row fits its columns. The first is on line ${first.line}: it ${first.reason}.`
      : "The file has no rows.",
  );
}

async function finish(ctx: TaskContext<Params, Saved>, { rows, bad, result }: Reading): Promise<Json> {
  const { columns, badRows } = result!;
  const summary = { rows, bad_rows: bad, first_bad_rows: badRows, columns };
  await ctx.artifact("summary.json", JSON.stringify(summary, null, 2), "application/json");
  await ctx.artifact("summary.csv", summaryCsv(columns), "text/csv");
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
    column_count: columns.length,
    columns: shown,
  };
}
