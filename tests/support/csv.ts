/** Reads CSV bytes as the workers do, block by block. */

import { detectDialect, type Dialect } from "../../queue/handlers/csv/encoding.ts";
import { RecordReader } from "../../queue/handlers/csv/records.ts";
import type { Cleaning } from "../../queue/handlers/csv/cleaned.ts";
import type { TableOptions } from "../../queue/handlers/csv/table.ts";
import { type CsvAnswer, type CsvJob, work } from "../../queue/handlers/csv/worker.ts";

/** Keeps everything and changes nothing. */
export const KEEP_ALL: Cleaning = { columns: [], rename: {}, dropBadRows: false, escapeFormulas: false };

/** What a file holds. */
export interface ReadCsv {
  dialect: Dialect;
  rows: number;
  bad: number;
  columns: NonNullable<CsvAnswer["result"]>["columns"];
  badRows: NonNullable<CsvAnswer["result"]>["badRows"];
  cleaned: string;
}

/** Reads a file in blocks of `size` bytes; every answer goes to the next block, each second one as it is saved. `seen`: bytes that the dialect is told from. */
export function readCsv(
  file: string | Uint8Array,
  options: Partial<TableOptions> & Parameters<typeof detectDialect>[2] = {},
  size = 1_000_000,
  seen = Infinity,
): ReadCsv {
  const bytes = typeof file === "string" ? new TextEncoder().encode(file) : file;
  const { encoding, delimiter, ...others } = options;
  let dialect = detectDialect(bytes.subarray(0, seen), seen >= bytes.length, { encoding, delimiter });
  const table: TableOptions = {
    header: true,
    decimalComma: dialect.delimiter === ";",
    maxBadRows: 1_000,
    cleaning: KEEP_ALL,
    ...others,
  };
  let state: CsvJob["state"] = null;
  let rest = new Uint8Array();
  let offset = dialect.mark;
  const cleaned: Uint8Array[] = [];
  for (let at = dialect.mark, i = 0;; at += size, i++) {
    const block = new Uint8Array([...rest, ...bytes.subarray(at, at + size)]);
    const last = at + size >= bytes.length;
    const saveUpTo = i % 2 === 1 ? Infinity : 0;
    const { value } = work({ dialect, options: table, state, bytes: block, offset, last, saveUpTo }) as {
      value: CsvAnswer;
    };
    dialect = value.dialect;
    state = value.saved ?? value.state;
    offset += block.length - value.rest.length;
    rest = value.rest;
    if (value.cleaned) cleaned.push(value.cleaned);
    if (!value.result) continue;
    const { columns, badRows } = value.result;
    return { dialect, rows: value.rows, bad: value.bad, columns, badRows, cleaned: decode(cleaned) };
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
    const reader = new RecordReader(block, separator, 1, last);
    while (reader.next()) {
      rows.push(Array.from({ length: reader.length }, (_, i) => {
        return new TextDecoder().decode(block.subarray(reader.starts[i], reader.ends[i]));
      }));
    }
    rest = block.slice(reader.used);
    if (last) return rows;
  }
}
