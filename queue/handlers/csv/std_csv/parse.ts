/**
 * Parses a CSV text.
 *
 * @module
 */

import {
  FieldCount,
  named,
  type NamedReadOptions,
  type ParseResult,
  RecordAssembler,
  withoutReturn,
} from "./_records.ts";

export type { ParseResult, RecordWithColumn } from "./_records.ts";

/** How a text is parsed. */
export type ParseOptions = NamedReadOptions;

const INVALID = ["\r", "\n", '"'];

/** Parses CSV (RFC 4180) into arrays. */
export function parse(input: string): string[][];
/**
 * Parses CSV (RFC 4180) into arrays; with `skipFirstRow` or `columns`, into objects.
 *
 * @throws {SyntaxError} If a quote is misplaced, or a record has the wrong number of values.
 * @throws {Error} If the separator or the comment is a quote or a line end, if they are equal, or if a record has more
 * or fewer values than there are names.
 * @throws {TypeError} With `skipFirstRow`, if there is no record.
 */
export function parse<const T extends ParseOptions>(input: string, options: T): ParseResult<ParseOptions, T>;
export function parse(input: string, options: ParseOptions = {}): string[][] | Record<string, string>[] {
  const { separator = ",", comment } = options;
  if (INVALID.includes(separator) || comment !== undefined && INVALID.includes(comment) || separator === comment) {
    throw new Error("Cannot parse input: invalid delimiter");
  }
  const records = new RecordAssembler(options);
  const count = new FieldCount(options.fieldsPerRecord);
  const rows: string[][] = [];
  let line = 0;
  const take = (record: string[] | null) => {
    if (!record) return;
    if (line++ === 0) count.learn(record);
    if (record.length === 0) return;
    count.check(record, line);
    rows.push(record);
  };
  const lines = (input.startsWith("\ufeff") ? input.slice(1) : input).split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const text of lines) take(records.add(withoutReturn(text)));
  take(records.end(true));
  if (!options.skipFirstRow && !options.columns) return rows;
  const first = options.skipFirstRow ? rows.shift() : undefined;
  if (options.skipFirstRow && !first) throw new TypeError("Cannot parse input: headers must be defined");
  const names = options.columns ?? first!;
  return rows.map((row, i) => named(row, names, i + (first ? 2 : 1)));
}
