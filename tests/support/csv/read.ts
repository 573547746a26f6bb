/** Reads CSV bytes as the workers do, block by block. */

import { detectDialect, type Dialect, type StatedDialect } from "../../../queue/handlers/csv/text/dialect.ts";
import { NULL_VALUES } from "../../../queue/handlers/csv/columns/nulls.ts";
import type { StatedReadings } from "../../../queue/handlers/csv/columns/readings.ts";
import type { RowSchema } from "../../../queue/handlers/csv/row_check.ts";
import { RecordReader } from "../../../queue/handlers/csv/text/records.ts";
import type { Cleaning } from "../../../queue/handlers/csv/output/cleaned.ts";
import type { TableOptions, TableResult } from "../../../queue/handlers/csv/table.ts";
import { type CsvJob, work } from "../../../queue/handlers/csv/worker.ts";

/** Keeps everything and changes nothing. */
export const KEEP_ALL: Cleaning = { columns: [], rename: {}, dropBadRows: false, escapeFormulas: false };

/** What a file holds. */
export interface ReadCsv extends TableResult {
  dialect: Dialect;
  rows: number;
  bad: number;
  cleaned: string;
}

/**
 * Reads a file in blocks of `size` bytes; every answer goes to the next block, each second one as it is saved. `seen`:
 * bytes that the dialect is told from.
 */
export async function readCsv(
  file: string | Uint8Array,
  options: Partial<TableOptions> & Partial<StatedReadings> & StatedDialect & { schema?: RowSchema } = {},
  size = 1_000_000,
  seen = Infinity,
): Promise<ReadCsv> {
  const bytes = typeof file === "string" ? new TextEncoder().encode(file) : file;
  const { encoding, delimiter, quote, escape, comment, skip_rows, schema = null, ...others } = options;
  const { decimal = null, thousands = null, dateOrder = null, ...ofTable } = others;
  const stated = { encoding, delimiter, quote, escape, comment, skip_rows, header: options.header };
  let dialect = await detectDialect(bytes.subarray(0, seen), seen >= bytes.length, stated);
  const table: TableOptions = {
    header: true,
    stated: { decimal, thousands, dateOrder },
    commaFirst: dialect.delimiter === ";",
    nullValues: NULL_VALUES,
    maxBadRows: 1_000,
    cleaning: KEEP_ALL,
    ...ofTable,
  };
  let state: CsvJob["state"] = null;
  const cleaned: Uint8Array[] = [];
  for (let at = dialect.mark, i = 0;; at += size, i++) {
    const block = bytes.slice(at, at + size) as Uint8Array<ArrayBuffer>;
    const last = at + size >= bytes.length;
    const saveUpTo = i % 2 === 1 ? Infinity : 0;
    const job: CsvJob = { dialect, options: table, schema, state, bytes: block, offset: at, last, saveUpTo };
    const { value } = await work(job);
    dialect = value.dialect;
    state = value.saved ?? value.state;
    if (value.cleaned) cleaned.push(value.cleaned);
    if (!value.result) continue;
    const { rows, bad, result } = value;
    return {
      dialect,
      rows,
      bad,
      ...result,
      warnings: [...dialect.warnings, ...result.warnings],
      cleaned: decode(cleaned),
    };
  }
}

function decode(parts: Uint8Array[]): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(parts.flatMap((part) => [...part])));
}

/** The records of a text that comes in blocks of `size` bytes. */
export function recordsInBlocks(text: string, size: number, separator = ","): string[][] {
  const bytes = new TextEncoder().encode(text);
  const rows: string[][] = [];
  let rest = new Uint8Array();
  for (let at = 0;; at += size) {
    const block = new Uint8Array([...rest, ...bytes.subarray(at, at + size)]);
    const last = at + size >= bytes.length;
    const reader = new RecordReader(
      block,
      { delimiter: separator, quote: '"', backslash: false, comment: "" },
      1,
      last,
    );
    while (reader.next()) {
      rows.push(Array.from({ length: reader.length }, (_, i) => {
        return new TextDecoder().decode(block.subarray(reader.starts[i], reader.ends[i]));
      }));
    }
    rest = block.slice(reader.used);
    if (last) return rows;
  }
}
