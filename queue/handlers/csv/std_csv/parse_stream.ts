/**
 * Parses a stream of CSV.
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

/** How {@linkcode CsvParseStream} parses. */
export type CsvParseStreamOptions = NamedReadOptions;

/** A row as {@linkcode CsvParseStream} gives it with options of type `T`. */
export type RowType<T> = T extends undefined ? string[] : ParseResult<CsvParseStreamOptions, T>[number];

/** Parses a stream of text into a stream of rows. Errors are those of `parse`. */
export class CsvParseStream<const T extends CsvParseStreamOptions | undefined = undefined>
  extends TransformStream<string, RowType<T>> {
  constructor(options?: T) {
    const rows = new RowReader(options ?? {});
    let rest = "";
    super({
      transform(chunk, controller) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop()!;
        for (const line of lines) {
          const row = rows.add(line);
          if (row) controller.enqueue(row as RowType<T>);
        }
      },
      flush(controller) {
        for (const row of [rows.add(rest), rows.end()]) if (row) controller.enqueue(row as RowType<T>);
      },
    });
  }
}

/** Turns lines into rows. */
class RowReader {
  readonly #options: CsvParseStreamOptions;
  readonly #records: RecordAssembler;
  readonly #count: FieldCount;
  #names: readonly string[] | undefined;
  #isFirst = true;
  #line = 0;

  constructor(options: CsvParseStreamOptions) {
    this.#options = options;
    this.#records = new RecordAssembler(options);
    this.#count = new FieldCount(options.fieldsPerRecord);
    this.#names = options.columns;
  }

  add(line: string): string[] | Record<string, string> | null {
    const text = withoutReturn(line);
    const record = this.#records.add(text);
    if (record && text === "" && record.length === 0) {
      this.#line++;
      return null;
    }
    return record && this.#row(record);
  }

  end(): string[] | Record<string, string> | null {
    const record = this.#records.end(false);
    return record && this.#row(record);
  }

  #row(record: string[]): string[] | Record<string, string> | null {
    if (this.#isFirst) {
      this.#isFirst = false;
      if (this.#options.skipFirstRow) {
        this.#names ??= record;
        return null;
      }
      this.#count.learn(record);
    }
    this.#count.check(record, this.#line + 1);
    this.#line++;
    if (record.length === 0) return null;
    return this.#names ? named(record, this.#names, this.#line + 1) : record;
  }
}
