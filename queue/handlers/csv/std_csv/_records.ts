/**
 * Records out of lines, for both ways of reading.
 *
 * @module
 */

/** How records are read. */
export interface ReadOptions {
  /** What stands between two values. Default: a comma. */
  separator?: string;
  /** A line that begins with this character is skipped. Default: none is. */
  comment?: string;
  /** Drop white space before each value, even if the separator is white space. Default false. */
  trimLeadingSpace?: boolean;
  /** Take a misplaced quote as an ordinary character. Default false: it is an error. */
  lazyQuotes?: boolean;
  /**
   * Values that each record must have: a number above 0, or 0 for as many as the first has. Default, and if negative:
   * any number.
   */
  fieldsPerRecord?: number;
}

/** How a text or a stream is parsed. */
export interface NamedReadOptions extends ReadOptions {
  /** Leave out the first record; without `columns`, it is used as the names of the columns. Default false. */
  skipFirstRow?: boolean;
  /** Names of the columns: records become objects. */
  columns?: readonly string[];
}

/** An object with the columns `C`. */
export type RecordWithColumn<C extends string> = string extends C ? Record<string, string> : Record<C, string>;

/** What parsing with options of type `T` gives. */
export type ParseResult<Options, T> = T extends Options & { columns: readonly (infer C extends string)[] }
  ? RecordWithColumn<C>[]
  : T extends Options & { skipFirstRow: true } ? Record<string, string>[]
  : T extends Options & { columns?: undefined; skipFirstRow?: false | undefined } ? string[][]
  : Record<string, string>[] | string[][];

const QUOTE = '"';
const BARE = `bare ${QUOTE} in non-quoted-field`;
const EXTRANEOUS = `extraneous or missing ${QUOTE} in quoted-field`;

/** Puts records together from lines; a quoted value may span several. */
export class RecordAssembler {
  readonly #options: ReadOptions;
  readonly #separator: string;
  /** Records, comments and blank lines so far. */
  #read = 0;
  /** Lines of the current record before the newest. */
  #lines = 0;
  /** The newest line, and what of it has not been read. */
  #line = "";
  #rest = "";
  #fields: string[] = [];
  /** A quoted value that is not closed; null if there is none. */
  #open: string | null = null;

  constructor(options: ReadOptions) {
    this.#options = options;
    this.#separator = options.separator ?? ",";
    if (this.#separator === "") throw new Error("Cannot parse input: invalid delimiter");
  }

  /** Takes a line without its end. Returns a record, an empty one for a blank line or a comment; null: there is more. */
  add(line: string): string[] | null {
    this.#line = this.#rest = line;
    if (this.#open !== null) {
      this.#lines++;
      this.#open += "\n";
      return this.#quoted();
    }
    const { comment, trimLeadingSpace } = this.#options;
    if (line === "" || comment && line[0] === comment) return this.#done([]);
    if (!trimLeadingSpace && !line.includes(QUOTE)) return this.#done(line.split(this.#separator));
    return this.#unquoted();
  }

  /**
   * Takes the end of the text. Returns a record if a quoted value is still open.
   *
   * @param foreseen Whether it was known with the last line that it is the last. The column of an error depends on it.
   * @throws {SyntaxError} If a quoted value is open, unless quotes are lazy.
   */
  end(foreseen: boolean): string[] | null {
    if (this.#open === null) return null;
    if (!this.#options.lazyQuotes) this.#fail(foreseen && this.#rest === "" ? this.#line.length : 0, EXTRANEOUS);
    return this.#done([...this.#fields, this.#open]);
  }

  #unquoted(): string[] | null {
    while (true) {
      if (this.#options.trimLeadingSpace) this.#rest = this.#rest.trimStart();
      if (this.#rest.startsWith(QUOTE)) {
        this.#rest = this.#rest.slice(1);
        this.#open = "";
        return this.#quoted();
      }
      const end = this.#rest.indexOf(this.#separator);
      const field = end < 0 ? this.#rest : this.#rest.slice(0, end);
      const quote = field.indexOf(QUOTE);
      if (quote >= 0 && !this.#options.lazyQuotes) this.#fail(this.#position() + quote, BARE);
      this.#fields.push(field);
      if (end < 0) return this.#done(this.#fields);
      this.#rest = this.#rest.slice(end + this.#separator.length);
    }
  }

  #quoted(): string[] | null {
    while (true) {
      const quote = this.#rest.indexOf(QUOTE);
      if (quote < 0) {
        this.#open += this.#rest;
        return null;
      }
      this.#open += this.#rest.slice(0, quote);
      this.#rest = this.#rest.slice(quote + 1);
      if (this.#rest.startsWith(QUOTE)) {
        this.#open += QUOTE;
        this.#rest = this.#rest.slice(1);
      } else if (this.#rest === "") {
        return this.#done([...this.#fields, this.#open!]);
      } else if (this.#rest.startsWith(this.#separator)) {
        this.#fields.push(this.#open!);
        this.#open = null;
        this.#rest = this.#rest.slice(this.#separator.length);
        return this.#unquoted();
      } else if (this.#options.lazyQuotes) {
        this.#open += QUOTE;
      } else {
        this.#fail(this.#position() - 1, EXTRANEOUS);
      }
    }
  }

  #position(): number {
    return this.#line.length - this.#rest.length;
  }

  #done(fields: string[]): string[] {
    this.#read++;
    this.#lines = 0;
    this.#fields = [];
    this.#open = null;
    return fields;
  }

  /** Columns are counted in characters, not in UTF-16 units; lines before the record are those of `add` that ended one. */
  #fail(at: number, what: string): never {
    const column = [...this.#line.slice(0, at)].length + 1;
    const line = this.#read + 1;
    throw new SyntaxError(
      `Syntax error on line ${line}; parse error on line ${line + this.#lines}, column ${column}: ${what}`,
    );
  }
}

/** Checks how many values records have. */
export class FieldCount {
  /** Null: any number; "first": as many as the first. */
  #expected: number | "first" | null;

  constructor(fieldsPerRecord: number | undefined) {
    this.#expected = fieldsPerRecord === undefined || fieldsPerRecord < 0 ? null : fieldsPerRecord || "first";
  }

  /** Takes the first record as an example. */
  learn(record: string[]): void {
    if (this.#expected === "first") this.#expected = record.length;
  }

  /** @throws {SyntaxError} If a record has another number of values. */
  check(record: string[], line: number): void {
    if (typeof this.#expected !== "number" || record.length === this.#expected) return;
    throw new SyntaxError(
      `Syntax error on line ${line}: expected ${this.#expected} fields but got ${record.length}`,
    );
  }
}

/**
 * Makes an object of a record.
 *
 * @throws {Error} If the number of values is not that of the names.
 */
export function named(record: string[], names: readonly string[], line: number): Record<string, string> {
  if (record.length !== names.length) {
    throw new Error(
      `Syntax error on line ${line}: The record has ${record.length} fields, but the header has ${names.length} fields`,
    );
  }
  return Object.fromEntries(names.map((name, i) => [name, record[i]]));
}

/** A line without the carriage return at its end. */
export function withoutReturn(line: string): string {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}
