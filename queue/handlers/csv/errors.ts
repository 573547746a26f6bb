/**
 * What is wrong with a file itself: another attempt would find the same.
 *
 * @module
 */

/** Text that cannot be read as what it is said to be. */
export class EncodingError extends Error {
  override name = "EncodingError";
}

/** A file that cannot be taken as a table. */
export class TableError extends Error {
  override name = "TableError";
}
