/**
 * The reading state of a file between two blocks, and how it is transferred between threads.
 *
 * @module
 */

import type { MomentsState } from "./columns/moments.ts";
import type { TableState } from "./table.ts";

/** How far a file has been read. */
export interface ReadingState {
  /** Null: the file is only rewritten. */
  table: TableState | null;
  /** The line that comes next. */
  line: number;
  /** Lines that are still to be skipped. */
  skip: number;
  /** Whether the header was read. */
  headerRead: boolean;
  /** Bytes of the file that are not decoded yet. */
  tail: Uint8Array<ArrayBuffer>;
  /** Decoded text that belongs to an incomplete record. */
  rest: Uint8Array<ArrayBuffer>;
}

/** All buffers of a state, to hand them over instead of copying them. */
export function buffersOf({ table, tail, rest }: ReadingState): ArrayBuffer[] {
  const arrays = (table?.columns ?? []).flatMap(({ distinct, moments, texts, order }) => [
    distinct.hashes,
    distinct.counts,
    distinct.numbers,
    distinct.lengths,
    distinct.ends,
    distinct.texts,
    distinct.registers,
    ...moments.flatMap((one: MomentsState | null) => one?.digest ? [one.digest.numbers, one.digest.centroids] : []),
    ...new Set(texts ?? []),
    order.text,
  ]);
  const all = [...arrays, table?.correlations.sums, tail, rest];
  return [...new Set(all.flatMap((array) => array ? [array.buffer] : []))];
}
