/**
 * Reads a small CSV as a whole, by the rules that large ones are read by.
 *
 * @module
 */

import { detectDialect, type Dialect, type StatedDialect } from "./dialect.ts";
import { assertUtf8, toUtf8 } from "./encoding.ts";
import { RecordReader, rowFault } from "./records.ts";
import { maySwallow } from "./swallowed.ts";

/** A row of a file. */
export interface Row {
  /** The line that it begins on, from 1. */
  line: number;
  values: string[];
  /** Why it cannot be read; null if it can. */
  fault: string | null;
  /** Its first line as it stands in the file. */
  text: string;
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
  const unmarked = bytes.slice(dialect.mark);
  if (dialect.encoding === "utf-8") assertUtf8(unmarked, true, dialect.mark);
  const { text } = toUtf8(unmarked, dialect.encoding, true);
  // The reader replaces escapes in place.
  const source = text.slice();
  const reader = new RecordReader(text, dialect, 1, true);
  const delimiter = dialect.delimiter.charCodeAt(0);
  reader.skipLines(dialect.skip);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const rows: Row[] = [];
  while (reader.next()) {
    const { starts, ends, length, line, from, to } = reader;
    const values = Array.from({ length }, (_, i) => decoder.decode(text.subarray(starts[i], ends[i])));
    const width = rows[0]?.values.length ?? length;
    const fault = rowFault(reader, width, text.subarray(from, to).includes(0));
    const raw = source.subarray(from, to);
    const lines = decoder.decode(raw).replace(/\r?\n$|\r$/, "").split(/\r\n|\n|\r/);
    if (reader.lines > 1 && maySwallow(text, reader, delimiter)) {
      // Each of its lines may be somebody of their own.
      const swallowed = "is part of a quoted value over several lines that may hold other rows: a quote may be missing";
      rows.push(...lines.map((text, i) => ({ line: line + i, values: [], fault: swallowed, text })));
    } else rows.push({ line, values, fault, text: lines[0] });
  }
  return { dialect, rows };
}
