/**
 * A local replacement for `@std/csv`, for environments that cannot reach JSR: the same names, options, results and
 * errors. Remove `links` from deno.json to use the original.
 *
 * @module
 */

/** How records are read. */
export interface ReadOptions {
  /** Text between two values. Default: a comma. */
  separator?: string;
  /** A line that begins with this is skipped. Default: none is. */
  comment?: string;
  /** Drop white space before a value. Default false. */
  trimLeadingSpace?: boolean;
  /** Treat a misplaced quote as an ordinary character. Default false: it is an error. */
  lazyQuotes?: boolean;
  /** Values in a record: a number above 0, or 0 for as many as the first has. Default: any number. */
  fieldsPerRecord?: number;
}

/** How a whole text is parsed. */
export interface ParseOptions extends ReadOptions {
  /** Leave out the first record, or use it as names if `columns` is not given. Default false. */
  skipFirstRow?: boolean;
  /** Names of the columns; records become objects. */
  columns?: readonly string[];
}

/** How {@linkcode CsvParseStream} parses. */
export type CsvParseStreamOptions = ParseOptions;

type Row<T> = T extends { columns: readonly (infer C extends string)[] } ? Record<C, string>
  : T extends { skipFirstRow: true } ? Record<string, string | undefined>
  : string[];

const QUOTE = '"';

/** Puts records together from lines; a quoted value may span several. */
class RecordAssembler {
  readonly #options: ReadOptions;
  readonly #separator: string;
  #line = 0;
  #startLine = 0;
  #expected: number | undefined;
  // A record whose quoted value has not been closed yet.
  #fields: string[] | null = null;
  #value = "";

  constructor(options: ReadOptions) {
    this.#options = options;
    this.#separator = options.separator ?? ",";
    if (options.fieldsPerRecord !== undefined && options.fieldsPerRecord > 0) this.#expected = options.fieldsPerRecord;
  }

  /** Takes a line without its end; returns a record, or null if there is none (yet). */
  add(line: string): string[] | null {
    this.#line++;
    if (this.#fields) {
      this.#value += "\n";
      return this.#quoted(line, line);
    }
    if (line === "") return null;
    const { comment, trimLeadingSpace } = this.#options;
    if (comment !== undefined && line.startsWith(comment)) return null;
    this.#startLine = this.#line;
    if (!line.includes(QUOTE)) {
      const fields = line.split(this.#separator);
      return this.#done(trimLeadingSpace ? fields.map((field) => field.trimStart()) : fields);
    }
    this.#fields = [];
    return this.#unquoted(line, line);
  }

  /** Call when there are no more lines. */
  end(): string[] | null {
    if (!this.#fields) return null;
    this.#line++;
    if (!this.#options.lazyQuotes) this.#fail(0, `extraneous or missing ${QUOTE} in quoted-field`);
    this.#fields.push(this.#value);
    return this.#done(this.#fields);
  }

  #unquoted(whole: string, text: string): string[] | null {
    const separator = this.#separator;
    while (true) {
      if (this.#options.trimLeadingSpace) text = text.trimStart();
      if (text.startsWith(QUOTE)) {
        this.#value = "";
        return this.#quoted(whole, text.slice(1));
      }
      const end = text.indexOf(separator);
      const field = end < 0 ? text : text.slice(0, end);
      const quote = field.indexOf(QUOTE);
      if (quote >= 0 && !this.#options.lazyQuotes) {
        this.#fail(column(whole, whole.length - text.length + quote), `bare ${QUOTE} in non-quoted-field`);
      }
      this.#fields!.push(field);
      if (end < 0) return this.#done(this.#fields!);
      text = text.slice(end + separator.length);
    }
  }

  #quoted(whole: string, text: string): string[] | null {
    while (true) {
      const quote = text.indexOf(QUOTE);
      if (quote < 0) {
        this.#value += text;
        return null;
      }
      this.#value += text.slice(0, quote);
      text = text.slice(quote + 1);
      if (text.startsWith(QUOTE)) {
        this.#value += QUOTE;
        text = text.slice(1);
      } else if (text.startsWith(this.#separator)) {
        this.#fields!.push(this.#value);
        return this.#unquoted(whole, text.slice(this.#separator.length));
      } else if (text === "") {
        this.#fields!.push(this.#value);
        return this.#done(this.#fields!);
      } else if (this.#options.lazyQuotes) {
        this.#value += QUOTE;
      } else {
        this.#fail(column(whole, whole.length - text.length - 1), `extraneous or missing ${QUOTE} in quoted-field`);
      }
    }
  }

  #done(fields: string[]): string[] {
    this.#fields = null;
    this.#value = "";
    if (this.#options.fieldsPerRecord === 0) this.#expected ??= fields.length;
    if (this.#expected !== undefined && fields.length !== this.#expected) {
      throw new SyntaxError(
        `record on line ${this.#startLine}: expected ${this.#expected} fields but got ${fields.length}`,
      );
    }
    return fields;
  }

  #fail(at: number, what: string): never {
    throw new SyntaxError(
      `record on line ${this.#startLine}; parse error on line ${this.#line}, column ${at + 1}: ${what}`,
    );
  }
}

/** Columns are counted in characters, not in UTF-16 units. */
function column(line: string, units: number): number {
  return [...line.slice(0, units)].length;
}

function withoutReturn(line: string): string {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}

/** Turns records into what the options ask for: arrays, or objects by name. */
class RowShaper {
  #names: readonly string[] | undefined;
  #first = true;
  #index = 0;

  constructor(private readonly options: ParseOptions) {
    this.#names = options.columns;
  }

  shape(record: string[]): string[] | Record<string, string> | null {
    this.#index++;
    if (this.#first) {
      this.#first = false;
      if (this.options.skipFirstRow) {
        this.#names ??= record;
        return null;
      }
    }
    const names = this.#names;
    if (!names) return record;
    if (record.length !== names.length) {
      throw new Error(
        `Syntax error on line ${this.#index}: The record has ${record.length} fields, but the header has ${names.length} fields`,
      );
    }
    return Object.fromEntries(names.map((name, i) => [name, record[i]]));
  }
}

/**
 * Parses CSV (RFC 4180).
 *
 * @throws {SyntaxError} If a quote is misplaced, or a record has the wrong number of values.
 */
export function parse<const T extends ParseOptions>(input: string, options: T = {} as T): Row<T>[] {
  const text = input.startsWith("\ufeff") ? input.slice(1) : input;
  const records = new RecordAssembler(options);
  const shaper = new RowShaper(options);
  const rows: unknown[] = [];
  const take = (record: string[] | null) => {
    const row = record && shaper.shape(record);
    if (row) rows.push(row);
  };
  for (const line of text.split("\n")) take(records.add(withoutReturn(line)));
  take(records.end());
  return rows as Row<T>[];
}

/** Parses a stream of text into a stream of rows. */
export class CsvParseStream<const T extends CsvParseStreamOptions | undefined = undefined>
  extends TransformStream<string, Row<T>> {
  constructor(options?: T) {
    const records = new RecordAssembler(options ?? {});
    const shaper = new RowShaper(options ?? {});
    let rest = "";
    const take = (record: string[] | null, controller: TransformStreamDefaultController<Row<T>>) => {
      const row = record && shaper.shape(record);
      if (row) controller.enqueue(row as Row<T>);
    };
    super({
      transform(chunk, controller) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop()!;
        for (const line of lines) take(records.add(withoutReturn(line)), controller);
      },
      flush(controller) {
        if (rest !== "") take(records.add(withoutReturn(rest)), controller);
        take(records.end(), controller);
      },
    });
  }
}

/** Where a column's value is found in an item. */
export type Column = string | number | (string | number)[] | {
  header?: string;
  prop: string | number | (string | number)[];
};

/** An item that becomes a record. */
export type DataItem = Readonly<Record<string, unknown> | unknown[]>;

/** How records are written. */
export interface StringifyOptions {
  /** Write a record of names first. Default true. */
  headers?: boolean;
  /** Text between two values. Default: a comma. */
  separator?: string;
  /** The columns, in order. */
  columns?: readonly Column[];
  /** Begin with a byte order mark. Default false. */
  bom?: boolean;
}

/** Data or options that cannot be written as CSV. */
export class StringifyError extends TypeError {
  constructor(message?: string) {
    super(message);
    this.name = "StringifyError";
  }
}

function field(value: unknown, separator: string): string {
  if (value === undefined || value === null) return "";
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  const plain = !text.includes(separator) && !text.includes("\n") && !text.includes(QUOTE);
  return plain ? text : QUOTE + text.replaceAll(QUOTE, QUOTE + QUOTE) + QUOTE;
}

function valueAt(item: unknown, path: (string | number)[]): unknown {
  let value = item;
  for (const step of path) {
    if (typeof value !== "object" || value === null) continue;
    if (Array.isArray(value) && typeof step !== "number") {
      throw new StringifyError('Property accessor is not of type "number"');
    }
    value = (value as Record<string | number, unknown>)[step];
  }
  return value;
}

/**
 * Writes items as CSV, each record ended by CRLF.
 *
 * @throws {StringifyError} If the separator holds a quote or CRLF, or an object comes without columns.
 */
export function stringify(data: readonly DataItem[], options: StringifyOptions = {}): string {
  const { headers = true, separator = ",", columns = [], bom = false } = options;
  if (separator.includes(QUOTE) || separator.includes("\r\n")) {
    throw new StringifyError(
      [
        "Separator cannot include the following strings:",
        '  - U+0022: Quotation mark (")',
        "  - U+000D U+000A: Carriage Return + Line Feed (\\r\\n)",
      ]
        .join("\n"),
    );
  }
  const normal = columns.map((column) => {
    const prop = typeof column === "object" && !Array.isArray(column) ? column.prop : column;
    const path = Array.isArray(prop) ? prop : [prop];
    const header = typeof column === "object" && !Array.isArray(column) ? column.header : undefined;
    return { path, header: header ?? String(path[path.length - 1]) };
  });
  const line = (values: readonly unknown[]) => `${values.map((value) => field(value, separator)).join(separator)}\r\n`;
  let output = bom ? "\ufeff" : "";
  if (headers && normal.length > 0) output += line(normal.map(({ header }) => header));
  for (const item of data) {
    if (normal.length > 0) output += line(normal.map(({ path }) => valueAt(item, path)));
    else if (Array.isArray(item)) output += line(item);
    else throw new StringifyError("No property accessor function was provided for object");
  }
  return output;
}
