/**
 * The reading state of a file between two blocks, and how it is transferred between threads.
 *
 * @module
 */

import type { TableState } from "./table.ts";

/** How far a file has been read. */
export interface ReadingState {
  table: TableState;
  /** The line that comes next. */
  line: number;
}

/** All buffers of a state, to hand them over instead of copying them. */
export function buffersOf({ table }: ReadingState): ArrayBuffer[] {
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
