/**
 * Reads a CSV in the workers, block by block.
 *
 * @module
 */

import * as z from "zod";
import type { TaskContext } from "../../define.ts";
import { NonRetryableError } from "../../task/errors.ts";
import type { Clock } from "../../task/clock.ts";
import type { Pool } from "../../workers/pool.ts";
import type { CsvJobs } from "../jobs.ts";
import { NULL_VALUES } from "./columns/nulls.ts";
import type { Cleaning } from "./output/cleaned.ts";
import { format, lasting } from "./output/result.ts";
import type { Params } from "./params.ts";
import type { RowSchema } from "./row_check.ts";
import { buffersOf } from "./state.ts";
import type { TableOptions, TableResult } from "./table.ts";
import type { Block } from "./text/blocks.ts";
import { DELIMITERS, type Dialect, QUOTES, type StatedDialect } from "./text/dialect.ts";
import { ENCODINGS } from "./text/encoding.ts";
import type { TextSource } from "./text/source.ts";
import type { CsvAnswer, CsvJob } from "./worker.ts";

/** Bytes of a block: what a worker reads at once. */
export const BLOCK_BYTES = 4 * 1024 * 1024;

/** The largest statistics that are saved in a checkpoint: writing them as JSON blocks everything else. */
const MAX_STATE_BYTES = 16 * 1024 * 1024;

/** Time limit for one block in milliseconds: thousands of times what it takes, dozens of times for 2,000 columns. */
export const JOB_TIMEOUT_MS = 120_000;

// Not beside Dialect: what workers import does without zod, which would take 10 MB in each of them.
const dialectSchema: z.ZodType<Dialect> = z.strictObject({
  encoding: z.enum(ENCODINGS),
  confidence: z.number().nullable(),
  undecided: z.boolean(),
  mark: z.int(),
  delimiter: z.enum(DELIMITERS),
  quote: z.enum(QUOTES),
  backslash: z.boolean(),
  comment: z.string(),
  skip: z.int(),
  skipped: z.array(z.string()),
  warnings: z.array(z.string()),
});

/** The checkpoint of a file that was read up to a block. */
export const checkpoint = z.strictObject({
  bytes: z.int(),
  rows: z.int(),
  dialect: dialectSchema,
  /** The state of all columns, deflated, in Base64. */
  state: z.string(),
});

/** What is saved of a file that was read up to a block. */
export type Saved = z.output<typeof checkpoint>;

/** Reads a file block by block, and tracks its progress. */
export class Reading {
  rows = 0;
  bad = 0;
  result: TableResult | null = null;
  /** The newest bytes of the cleaned file. */
  cleaned: CsvAnswer["cleaned"] = null;
  dialect: Dialect | null;
  options: TableOptions | null = null;
  /** What rows are checked by. */
  readonly schema: RowSchema | null;
  readonly #ctx: TaskContext<Params, Saved>;
  readonly #pool: Pool<CsvJobs>;
  readonly #clock: Clock;
  readonly #source: TextSource;
  readonly #started: { at: number; bytes: number; rows: number };
  #state: CsvAnswer["state"] | string | null;
  /** Bytes of the text that are processed. */
  #done: number;
  #savedAt: number;
  #interval: number;

  constructor(ctx: TaskContext<Params, Saved>, pool: Pool<CsvJobs>, clock: Clock, source: TextSource, saved?: Saved) {
    this.#ctx = ctx;
    this.#pool = pool;
    this.#clock = clock;
    this.#source = source;
    this.dialect = saved?.dialect ?? null;
    this.#state = saved?.state ?? null;
    this.#done = this.#savedAt = saved?.bytes ?? 0;
    this.#started = { at: clock.monotonic(), bytes: source.readBytes(), rows: saved?.rows ?? 0 };
    const { upload_id, schema } = ctx.params;
    this.schema = schema === undefined ? null : JSON.parse(schema);
    // A partly written file cannot be continued: with a cleaned file, a new attempt starts from the beginning.
    this.#interval = writesCleanedCsv(ctx.params) ? Infinity : upload_id ? BLOCK_BYTES : Math.ceil(source.size / 10);
    const from = this.#done > 0 ? ` from byte ${format(this.#done)} on` : "";
    ctx.log.info(`reading ${source.name}, ${format(source.size)} bytes${from}`);
  }

  /** Reads the next block. */
  async read({ bytes: fresh, last }: Block): Promise<void> {
    const ctx = this.#ctx;
    ctx.signal.throwIfAborted();
    const isFirst = this.#done === 0;
    if (isFirst && last && fresh.length === 0) throw new NonRetryableError("The file is empty.");
    const dialect = this.dialect ??= await this.#detect(fresh, last);
    const options = this.options ??= optionsOf(ctx.params, dialect);
    const bytes = isFirst && dialect.mark > 0 ? fresh.slice(dialect.mark) : fresh;
    const position = this.#done + fresh.length;
    const save = !last && position - this.#savedAt >= this.#interval;
    const state = this.#state;
    const job: CsvJob = {
      ...{ dialect, options, state, bytes, last },
      schema: this.schema,
      offset: position - bytes.length,
      saveUpTo: save ? MAX_STATE_BYTES : 0,
    };
    const answer = await this.#pool.run("csv", job, {
      transfer: [bytes.buffer, ...state && typeof state !== "string" ? buffersOf(state) : []],
      signal: ctx.signal,
      timeoutMs: JOB_TIMEOUT_MS,
    });
    this.#state = answer.state;
    this.dialect = answer.dialect;
    this.#done = position;
    Object.assign(this, { rows: answer.rows, bad: answer.bad, result: answer.result, cleaned: answer.cleaned });
    const { size } = this.#source;
    // Sample orders come in one piece.
    const read = ctx.params.upload_id ? this.#source.readBytes() : position;
    ctx.progress(size > 0 ? Math.min(1, read / size) * 99 : 99, this.#message());
    if (save) await this.#save(answer.saved, answer.stateSize);
  }

  async #save(state: string | null, size: number): Promise<void> {
    if (state === null) {
      this.#interval = Infinity;
      const text = "The statistics are now too large for a checkpoint; a new attempt resumes from the last one.";
      return this.#ctx.log.warn(text);
    }
    const saved: Saved = { bytes: this.#done, rows: this.rows, dialect: this.dialect!, state };
    await this.#ctx.checkpoint(saved);
    this.#savedAt = this.#done;
    // Saving takes time and memory too. What is read in between takes about a second.
    if (this.#ctx.params.upload_id) this.#interval = Math.max(BLOCK_BYTES, 24 * size);
  }

  async #detect(first: Uint8Array<ArrayBuffer>, whole: boolean): Promise<Dialect> {
    const { upload_id, delimiter, encoding, quote, escape, comment, skip_rows, header } = this.#ctx.params;
    const stated: StatedDialect = upload_id
      ? { delimiter, encoding, quote, escape, comment, skip_rows, header }
      : { delimiter: ",", encoding: "utf-8" };
    const dialect = await this.#pool.run("csv_dialect", { bytes: first, whole, stated }, {
      signal: this.#ctx.signal,
      timeoutMs: JOB_TIMEOUT_MS,
    });
    const name = { ",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes" }[dialect.delimiter];
    this.#ctx.log.info(`${dialect.encoding}, separated by ${name}`);
    return dialect;
  }

  #message(): string {
    const seconds = (this.#clock.monotonic() - this.#started.at) / 1000;
    const read = this.#source.readBytes();
    const bytes = read - this.#started.bytes;
    const rows = `${format(this.rows)} rows`;
    if (seconds < 1 || bytes <= 0 || !this.#ctx.params.upload_id) return rows;
    const left = Math.ceil((this.#source.size - read) * seconds / bytes);
    return `${rows}, ${format(Math.round((this.rows - this.#started.rows) / seconds))} rows/s, ${lasting(left)} left`;
  }
}

function optionsOf(params: Params, { delimiter }: Dialect): TableOptions {
  const { upload_id, header, decimal = null, thousands = null, date_order = null, null_values } = params;
  return {
    header: upload_id === undefined || header,
    stated: { decimal, thousands, dateOrder: date_order },
    commaFirst:
      (decimal ?? (thousands === null ? null : thousands === "." ? "," : ".") ?? (delimiter === ";" ? "," : ".")) ===
        ",",
    nullValues: null_values ?? NULL_VALUES,
    maxBadRows: params.max_bad_rows,
    cleaning: writesCleanedCsv(params) ? cleaningOf(params) : null,
  };
}

/** Whether a cleaned CSV is written while the file is read. */
export function writesCleanedCsv({ cleaned, cleaned_as }: Params): boolean {
  return cleaned && cleaned_as === "csv";
}

/** How a cleaned file is written. */
export function cleaningOf({ columns = [], rename = {}, drop_bad_rows, escape_formulas }: Params): Cleaning {
  return { columns, rename, dropBadRows: drop_bad_rows, escapeFormulas: escape_formulas };
}
