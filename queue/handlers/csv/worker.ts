/**
 * The CPU-bound part of CSV processing: reads one block of the file into the table. The whole state comes with the job
 * and is returned with the answer, so that any worker can process the next block.
 *
 * @module
 */

import { Buffer, isAscii } from "node:buffer";
import { deserialize, serialize } from "node:v8";
import type { JobResult } from "../../workers/pool_worker.ts";
import type { ColumnStatistics } from "./columns/column.ts";
import { assertUtf8, type Dialect, guessEncoding, sourceLength, toUtf8 } from "./encoding.ts";
import { TableError } from "./errors.ts";
import { MAX_RECORD_BYTES, RecordReader, tooLong } from "./records.ts";
import { buffersOf, type ReadingState } from "./state.ts";
import { type BadRow, Table, type TableOptions } from "./table.ts";

/** A block of a file. */
export interface CsvJob {
  dialect: Dialect;
  options: TableOptions;
  /** From the last answer, or as it was saved; null at the beginning. */
  state: ReadingState | string | null;
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
  /** Bytes at the end of the block that belong to an incomplete record. */
  rest: Uint8Array<ArrayBuffer>;
  rows: number;
  bad: number;
  /** About how many bytes the state takes as a text. */
  stateSize: number;
  /** The next bytes of the cleaned file; null if there is none. */
  cleaned: Uint8Array<ArrayBuffer> | null;
  /** The result, at the end of the file; otherwise null. */
  result: { columns: ColumnStatistics[]; badRows: BadRow[] } | null;
}

/** Reads a block. */
export function work(job: CsvJob): JobResult<CsvAnswer> {
  const { options, state, bytes, offset, last, saveUpTo } = job;
  const dialect = decided(job.dialect, bytes, last);
  const { encoding, delimiter, crOnly } = dialect;
  if (encoding === "utf-8") assertUtf8(bytes, last, offset);
  const { bytes: text, used } = toUtf8(bytes, encoding, last);
  const before: ReadingState | null = typeof state === "string" ? restored(state) : state;
  const table = new Table(options, delimiter, before?.table);
  // Both line endings have the same length: no offsets change.
  if (crOnly) text.forEach((byte, i) => byte === 0x0d && (text[i] = 0x0a));
  const reader = new RecordReader(text, delimiter, before?.line ?? 1, last);
  while (reader.next()) table.add(text, reader);
  // Counted from the end: the bytes already read have been rewritten.
  const done = used - sourceLength(text.subarray(reader.used), encoding);
  if (!last && bytes.length - done > MAX_RECORD_BYTES) throw new TableError(tooLong(reader.nextLine));
  const after: ReadingState = { table: table.state(), line: reader.nextLine };
  const buffers = buffersOf(after);
  const stateSize = buffers.reduce((sum, { byteLength }) => sum + byteLength, 0) * 4 / 3;
  const rest = last ? new Uint8Array() : bytes.slice(done);
  const cleaned = table.cleaned?.take() ?? null;
  const value: CsvAnswer = {
    dialect,
    state: after,
    saved: stateSize <= saveUpTo ? Buffer.from(serialize(after)).toString("base64") : null,
    rest,
    rows: table.rows,
    bad: table.bad,
    stateSize,
    cleaned,
    result: last ? { columns: table.result(), badRows: table.badRows } : null,
  };
  return { value, transfer: [...buffers, rest.buffer, ...cleaned ? [cleaned.buffer] : []] };
}

/** The dialect after a block is known: if there was only ASCII before, it may turn out to be Latin-1. */
function decided(dialect: Dialect, bytes: Uint8Array, last: boolean): Dialect {
  if (!dialect.undecided || isAscii(bytes)) return dialect;
  return { ...dialect, undecided: false, encoding: guessEncoding(bytes, last) };
}

/** Restores a saved state. The deserialized arrays share one buffer: each gets its own, to be transferred. */
function restored(saved: string): ReadingState {
  const own = (value: unknown): unknown => {
    if (ArrayBuffer.isView(value)) return (value as Uint8Array).slice();
    if (Array.isArray(value)) return value.map(own);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, own(part)]));
  };
  return own(deserialize(Buffer.from(saved, "base64"))) as ReadingState;
}
