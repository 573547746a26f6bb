/**
 * Reads a small CSV as a whole, by the rules that large ones are read by.
 *
 * @module
 */

import { detectDialect, type Dialect, type StatedDialect } from "./dialect.ts";
import { assertUtf8, toUtf8 } from "./encoding.ts";
import { RecordReader } from "./records.ts";

/** A row of a file. */
export interface Row {
  /** The line that it begins on, from 1. */
  line: number;
  values: string[];
  /** Why it cannot be read; null if it can. */
  fault: string | null;
}

/**
 * Reads a file.
 *
 * @returns Its rows; the first one holds the names, and rows of another length have a fault.
 * @throws {EncodingError} If it is not text.
 */
export async function readWholeFile(
  bytes: Uint8Array,
  stated: StatedDialect = {},
): Promise<{ dialect: Dialect; rows: Row[] }> {
  const dialect = await detectDialect(bytes, true, stated);
  const source = bytes.slice(dialect.mark);
  if (dialect.encoding === "utf-8") assertUtf8(source, true, dialect.mark);
  const { text } = toUtf8(source, dialect.encoding, true);
  const reader = new RecordReader(text, dialect, 1, true);
  reader.skipLines(dialect.skip);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const rows: Row[] = [];
  while (reader.next()) {
    const { starts, ends, length, line, broken, from, to } = reader;
    const values = Array.from({ length }, (_, i) => decoder.decode(text.subarray(starts[i], ends[i])));
    const width = rows[0]?.values.length ?? length;
    const fault = broken ??
      (text.subarray(from, to).includes(0)
        ? "contains a NUL character"
        : length === width
        ? null
        : `has ${length} value${length === 1 ? "" : "s"} instead of ${width}`);
    rows.push({ line, values, fault });
  }
  return { dialect, rows };
}
