/**
 * The CPU-bound part of CSV processing: detects how a file is written, and reads one block of it into the table. The
 * whole state comes with the job and is returned with the answer, so that any worker can process the next block.
 *
 * @module
 */

import { Buffer, isAscii } from "node:buffer";
import { deserialize, serialize } from "node:v8";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { JobResult } from "../../workers/pool_worker.ts";
import { joined } from "./text/blocks.ts";
import { detectDialect, type Dialect, lateWarnings, type StatedDialect } from "./text/dialect.ts";
import { assertUtf8, detectEncoding, toUtf8 } from "./text/encoding.ts";
import { TableError } from "./text/errors.ts";
import { JsonLinesWriter, type LineColumn } from "./output/json_lines.ts";
import { MAX_RECORD_BYTES, RecordReader } from "./text/records.ts";
import type { RowCheck, RowSchema } from "./row_check.ts";
import { buffersOf, type ReadingState } from "./state.ts";
import { Table, type TableOptions, type TableResult } from "./table.ts";

/** The beginning of a file. */
export interface DetectJob {
  bytes: Uint8Array<ArrayBuffer>;
  /** Whether that is the whole file. */
  whole: boolean;
  stated: StatedDialect;
}

/** Detects how a file is written. */
export async function detect({ bytes, whole, stated }: DetectJob): Promise<JobResult<Dialect>> {
  const dialect = await detectDialect(bytes, whole, stated);
  // What tells legacy encodings apart stays in the worker's memory.
  return { value: dialect, retire: !stated.encoding && !["utf-8", "utf-16le", "utf-16be"].includes(dialect.encoding) };
}

/** A block of a file. */
export interface CsvJob {
  dialect: Dialect;
  options: TableOptions;
  /** A JSON Schema that rows are checked by. */
  schema: RowSchema | null;
  /** From the last answer, or as it was saved; null at the beginning. */
  state: ReadingState | string | null;
  /** What follows the last block, without a byte order mark. */
  bytes: Uint8Array<ArrayBuffer>;
  /** The position of the block in the file. */
  offset: number;
  /** Whether the file ends with it. */
  last: boolean;
  /** Also return the state as text if that takes at most this many bytes; 0: do not. */
  saveUpTo: number;
}

/** The result of reading a block. */
export interface CsvAnswer {
  /** The dialect of the job, unless the block decided the encoding. */
  dialect: Dialect;
  state: ReadingState;
  /** The state as a text; null if it was not wanted or is too large. */
  saved: string | null;
  rows: number;
  bad: number;
  /** About how many bytes the state takes as a text. */
  stateSize: number;
  /** The next bytes of the cleaned file; null if there is none. */
  cleaned: Uint8Array<ArrayBuffer> | null;
  /** The result, at the end of the file; otherwise null. */
  result: TableResult | null;
}

/** Reads a block. */
export async function work(job: CsvJob): Promise<JobResult<CsvAnswer>> {
  const { options, last, saveUpTo } = job;
  const before = typeof job.state === "string" ? restored(job.state) : job.state;
  const dialect = await decided(job.dialect, job.bytes, last);
  const check = await rowCheckOf(job.schema, options.commaFirst);
  const table = new Table(options, dialect.delimiter, check, before?.table ?? undefined);
  const { reader, text, state } = readerOf(dialect, before, job);
  const hasNul = text.includes(0);
  while (reader.next()) table.add(text, reader, hasNul);
  const after: ReadingState = { ...state, table: table.state() };
  finishBlock(after, reader, text);
  const buffers = buffersOf(after);
  const stateSize = buffers.reduce((sum, { byteLength }) => sum + byteLength, 0) * 4 / 3;
  const cleaned = table.cleaned?.take() ?? null;
  const value: CsvAnswer = {
    dialect,
    state: after,
    saved: stateSize <= saveUpTo ? deflateRawSync(serialize(after), { level: 1 }).toString("base64") : null,
    rows: table.rows,
    bad: table.bad,
    stateSize,
    cleaned,
    result: last ? table.result() : null,
  };
  const retire = dialect.encoding !== job.dialect.encoding;
  return { value, transfer: [...buffers, ...cleaned ? [cleaned.buffer] : []], retire };
}

/** A block of a file that is written as JSON lines. */
export interface JsonLinesJob {
  dialect: Dialect;
  columns: LineColumn[];
  /** All columns of the file. */
  names: string[];
  header: boolean;
  nullValues: readonly string[];
  /** As in {@linkcode CsvJob}: the same rows are bad. */
  schema: RowSchema | null;
  commaFirst: boolean;
  state: ReadingState | null;
  bytes: Uint8Array<ArrayBuffer>;
  offset: number;
  last: boolean;
}

/** Writes the good rows of a block as JSON lines. */
export async function writeJsonLines(
  job: JsonLinesJob,
): Promise<JobResult<{ state: ReadingState; lines: Uint8Array<ArrayBuffer> }>> {
  const { reader, text, state } = readerOf(job.dialect, job.state, job);
  const check = await rowCheckOf(job.schema, job.commaFirst);
  check?.choose(job.names);
  const writer = new JsonLinesWriter(job.columns, job.names.length, job.nullValues, check);
  const after: ReadingState = { ...state };
  if (job.header && !after.headerRead && reader.next()) after.headerRead = true;
  while (reader.next()) writer.add(text, reader);
  finishBlock(after, reader, text);
  const lines = writer.take();
  return { value: { state: after, lines }, transfer: [lines.buffer, ...buffersOf(after)] };
}

/** Checks rows by a schema, if there is one: without one, a worker does without the library for it. */
async function rowCheckOf(schema: RowSchema | null, commaFirst: boolean): Promise<RowCheck | null> {
  return schema && new (await import("./row_check.ts")).RowCheck(schema, commaFirst);
}

/** A reader of the records of a block, behind the lines to skip. */
function readerOf(
  dialect: Dialect,
  before: ReadingState | null,
  { bytes, offset, last }: { bytes: Uint8Array<ArrayBuffer>; offset: number; last: boolean },
): { reader: RecordReader; text: Uint8Array; state: ReadingState } {
  const state: ReadingState = before ?? {
    table: null,
    line: 1,
    skip: dialect.skip,
    headerRead: false,
    tail: new Uint8Array(),
    rest: new Uint8Array(),
  };
  const source = joined(state.tail, bytes);
  const { text: fresh, used } = toUtf8(source, dialect.encoding, last);
  const tail = source.slice(used);
  const text = joined(state.rest, fresh as Uint8Array<ArrayBuffer>);
  if (dialect.encoding === "utf-8") assertUtf8(text, last, offset - state.rest.length);
  const reader = new RecordReader(text, dialect, state.line, last);
  const skip = state.skip > 0 ? state.skip - reader.skipLines(state.skip) : 0;
  return { reader, text, state: { ...state, skip, tail } };
}

/** Keeps what belongs to an incomplete record for the next block. */
function finishBlock(state: ReadingState, reader: RecordReader, text: Uint8Array): void {
  state.line = reader.nextLine;
  state.rest = text.slice(reader.used) as Uint8Array<ArrayBuffer>;
  if (Math.max(state.rest.length, state.tail.length) > MAX_RECORD_BYTES) {
    const line = reader.nextLine.toLocaleString("en");
    throw new TableError(`The record that begins on line ${line} has more than ${MAX_RECORD_BYTES / 1024 ** 2} MB.`);
  }
}

/** The dialect after a block is known: if there was only ASCII before, it may turn out to be in another encoding. */
async function decided(dialect: Dialect, bytes: Uint8Array, last: boolean): Promise<Dialect> {
  if (!dialect.undecided || isAscii(bytes)) return dialect;
  const { encoding, confidence } = await detectEncoding(bytes, last);
  const warnings = [...dialect.warnings, ...lateWarnings(encoding, confidence, bytes)];
  return { ...dialect, undecided: false, encoding, confidence, warnings };
}

/** Restores a saved state. The deserialized arrays share one buffer: each gets its own, to be transferred. */
function restored(saved: string): ReadingState {
  const own = (value: unknown): unknown => {
    if (ArrayBuffer.isView(value)) return (value as Uint8Array).slice();
    if (Array.isArray(value)) return value.map(own);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, own(part)]));
  };
  return own(deserialize(inflateRawSync(Buffer.from(saved, "base64")))) as ReadingState;
}
