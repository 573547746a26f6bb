/**
 * Errors in a file itself: a retry would fail in the same way.
 *
 * @module
 */

/** Text that cannot be read in its encoding. */
export class EncodingError extends Error {
  override name = "EncodingError";
}

/** A file that cannot be read as a table. */
export class TableError extends Error {
  override name = "TableError";
}
