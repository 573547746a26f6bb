/**
 * The part of CSV processing that burns the processor: reads one block of the file into the table. All that is known
 * comes with the job and goes back with the answer, so that any worker can do the next block.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { deserialize, serialize } from "node:v8";
import type { JobResult } from "../../pool_worker.ts";
import type { ColumnStatistics } from "./column.ts";
import { assertUtf8, type Dialect, sourceLength, toUtf8 } from "./encoding.ts";
import { RecordReader } from "./records.ts";
import { type BadRow, Table, type TableOptions, type TableState } from "./table.ts";

/** Where the reading of a file stands. */
export interface ReadingState {
  table: TableState;
  /** The line that comes next. */
  line: number;
}

/** A block of a file. */
export interface CsvJob {
  dialect: Dialect;
  options: TableOptions;
  /** As the last answer gave it, or as it was saved; null at the beginning. */
  state: ReadingState | string | null;
  bytes: Uint8Array<ArrayBuffer>;
  /** Where the block stands in the file. */
  offset: number;
  /** Whether the file ends with it. */
  last: boolean;
  /** Whether the state is wanted in a form that can be saved. */
  save: boolean;
}

/** What a block held. */
export interface CsvAnswer {
  state: ReadingState;
  /** The state as a text; null if it was not asked for. */
  saved: string | null;
  /** Bytes at the end of the block that belong to a record which goes on. */
  rest: Uint8Array<ArrayBuffer>;
  rows: number;
  bad: number;
  /** About how many bytes the state takes when it is saved. */
  stateSize: number;
  /** The next bytes of the cleaned file; null if there is none. */
  cleaned: Uint8Array<ArrayBuffer> | null;
  /** At the end of the file: what is known of it. */
  result: { columns: ColumnStatistics[]; badRows: BadRow[] } | null;
}

/** Reads a block. */
export function work({ dialect, options, state, bytes, offset, last, save }: CsvJob): JobResult<CsvAnswer> {
  const { encoding, delimiter, returns } = dialect;
  const { bytes: text, used } = toUtf8(bytes, encoding, last);
  const before: ReadingState | null = typeof state === "string" ? restored(state) : state;
  const table = new Table(options, delimiter, before?.table);
  // Both ends of a line have the same length: nothing moves.
  if (returns) text.forEach((byte, i) => byte === 0x0d && (text[i] = 0x0a));
  if (encoding === "utf-8") assertUtf8(text, last, offset);
  const reader = new RecordReader(text, delimiter, before?.line ?? 1, last);
  while (reader.next()) table.add(text, reader);
  // Counted from the end: what was read has been rewritten.
  const done = used - sourceLength(text.subarray(reader.used), encoding);
  const after: ReadingState = { table: table.state(), line: reader.nextLine };
  const buffers = buffersOf(after);
  const answer: CsvAnswer = {
    state: after,
    saved: save ? Buffer.from(serialize(after)).toString("base64") : null,
    rest: last ? new Uint8Array() : bytes.slice(done),
    rows: table.rows,
    bad: table.bad,
    stateSize: buffers.reduce((sum, { byteLength }) => sum + byteLength, 0) * 4 / 3,
    cleaned: table.cleaned?.take() ?? null,
    result: last ? { columns: table.result(), badRows: table.badRows } : null,
  };
  return { value: answer, transfer: [...buffers, answer.rest.buffer] };
}

/** A state that was saved. What comes out of it shares one buffer: each array gets its own, to be handed over. */
function restored(saved: string): ReadingState {
  const own = (value: unknown): unknown => {
    if (ArrayBuffer.isView(value)) return (value as Uint8Array).slice();
    if (Array.isArray(value)) return value.map(own);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, own(part)]));
  };
  return own(deserialize(Buffer.from(saved, "base64"))) as ReadingState;
}

/** All buffers of a state, to hand them over. */
function buffersOf({ table }: ReadingState): ArrayBuffer[] {
  return (table.columns ?? []).flatMap(({ distinct, digest, texts }) =>
    [
      distinct.hashes,
      distinct.counts,
      distinct.numbers,
      distinct.kinds,
      distinct.ends,
      distinct.texts,
      distinct.registers,
      digest?.numbers,
      digest?.centroids,
      ...new Set(texts ?? []),
    ].flatMap((array) => array ? [array.buffer] : [])
  );
}
