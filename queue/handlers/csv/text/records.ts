/**
 * Finds the records of a CSV and their values in its bytes: RFC 4180, but a quote that neither starts nor ends its
 * value is an ordinary character, lines may end with LF, CR, CRLF or CR CR LF, and quotes may be escaped by backslashes.
 *
 * A record whose quotes make no sense ends with its line: what comes after is read again, so that a stray quote costs
 * the line that it stands in and no other.
 *
 * @module
 */

const [NEWLINE, RETURN, BACKSLASH] = [0x0a, 0x0d, 0x5c];

/** How records are written. */
export interface RecordSyntax {
  /** One ASCII character. */
  delimiter: string;
  /** One ASCII character; empty: no value is quoted. */
  quote: string;
  /** Whether a backslash escapes the next character; otherwise a quote within a value is doubled. */
  backslash: boolean;
  /** A line that begins with this ASCII character is skipped; empty: none is. */
  comment: string;
}

/** A record: value `i` is from `starts[i]` up to, not including, `ends[i]`. The next call overwrites all of this. */
export interface FoundRecord {
  starts: Int32Array;
  ends: Int32Array;
  /** How many values it has. */
  length: number;
  /** The line that it begins on, from 1. */
  line: number;
  /** How many lines it spans. */
  lines: number;
  /** Where it begins and ends in the block. */
  from: number;
  to: number;
  /** Why it cannot be read; null if it can. */
  broken: string | null;
}

/** The longest record in bytes: a longer one is not meant as one, and would fill the memory. */
export const MAX_RECORD_BYTES = 4 * 1024 * 1024;

const UNCLOSED = "has a quote that is never closed";
const STRAY = "has a quote in a quoted value that spans lines, neither escaped nor at its end";
const TOO_LONG = `has more than ${MAX_RECORD_BYTES / 1024 ** 2} MB`;

/** Why the end of a quoted value was not found: the block ends first, there is none, or quotes make no sense. */
const [MORE, NEVER, ASTRAY] = [-1, -2, -3];

/** Escapes of MySQL, and of most who write backslashes: all other characters stand for themselves. */
const ESCAPES: Record<number, number> = { 0x6e: NEWLINE, 0x72: RETURN, 0x74: 0x09 };

/** Reads the records of one block of UTF-8. Values with escapes are rewritten in it. */
export class RecordReader implements FoundRecord {
  starts: Int32Array = new Int32Array(64);
  ends: Int32Array = new Int32Array(64);
  length = 0;
  line: number;
  lines = 1;
  from = 0;
  to = 0;
  broken: string | null = null;
  readonly #bytes: Uint8Array;
  readonly #separator: number;
  readonly #quote: number;
  readonly #backslash: boolean;
  readonly #comment: number;
  readonly #last: boolean;
  #at = 0;
  #nextLine: number;
  /** Bytes that end a value without quotes, or escape. */
  readonly #special = new Uint8Array(256);
  /** Which values hold escapes. */
  #escaped: number[] = [];

  /**
   * @param line The line that the block begins on.
   * @param last Whether the block ends where the file does.
   */
  constructor(bytes: Uint8Array, syntax: RecordSyntax, line: number, last: boolean) {
    this.#bytes = bytes;
    this.#separator = syntax.delimiter.charCodeAt(0);
    this.#quote = syntax.quote === "" ? -1 : syntax.quote.charCodeAt(0);
    this.#backslash = syntax.backslash;
    this.#comment = syntax.comment === "" ? -1 : syntax.comment.charCodeAt(0);
    this.line = line;
    this.#nextLine = line;
    this.#last = last;
    for (const byte of [this.#separator, NEWLINE, RETURN, ...this.#backslash ? [BACKSLASH] : []]) {
      this.#special[byte] = 1;
    }
  }

  /** Bytes that are processed: up to the end of a record. */
  get used(): number {
    return this.#at;
  }

  /** The line that comes next. */
  get nextLine(): number {
    return this.#nextLine;
  }

  /** Skips lines, whatever they hold; returns how many there were. */
  skipLines(count: number): number {
    let skipped = 0;
    while (skipped < count) {
      const end = this.#lineEnd(this.#at);
      const next = end < 0 ? -1 : this.#afterLineEnd(end);
      if (next < 0) {
        if (this.#last && this.#at < this.#bytes.length) {
          this.#at = this.#bytes.length;
          skipped++;
        }
        break;
      }
      this.#at = next;
      skipped++;
    }
    this.#nextLine += skipped;
    return skipped;
  }

  /** Finds the next record; false if there is none that ends in the block. */
  next(): boolean {
    const bytes = this.#bytes;
    const total = bytes.length;
    // Empty lines are not records.
    while (this.#at < total) {
      const byte = bytes[this.#at];
      let end = this.#at;
      if (byte === this.#comment) {
        end = this.#lineEnd(this.#at);
        if (end < 0) {
          if (this.#last) this.#at = total;
          return false;
        }
      } else if (byte !== NEWLINE && byte !== RETURN) break;
      const next = this.#afterLineEnd(end);
      if (next < 0) return false;
      this.#at = next;
      this.#nextLine++;
    }
    if (this.#at === total) return false;
    const separator = this.#separator;
    const quote = this.#quote;
    const backslash = this.#backslash;
    let at = this.#at;
    let lines = 1;
    this.length = 0;
    this.broken = null;
    this.#escaped.length = 0;
    while (true) {
      if (this.length === this.starts.length) this.#grow();
      if (bytes[at] === quote) {
        const start = at + 1;
        const end = this.#quotedEnd(start);
        if (end === MORE) {
          if (total - this.#at > MAX_RECORD_BYTES) return this.#refuse(UNCLOSED, start, lines);
          return false;
        }
        if (end < 0) return this.#refuse(end === NEVER ? UNCLOSED : STRAY, start, lines);
        lines += this.#newlines;
        this.starts[this.length] = start;
        this.ends[this.length++] = end;
        at = end + 1;
      } else {
        const start = at;
        const special = this.#special;
        for (; at < total; at++) {
          if (special[bytes[at]] === 0) continue;
          if (bytes[at] !== BACKSLASH || !backslash) break;
          at++;
          if (bytes[at] === NEWLINE || bytes[at] === RETURN && bytes[at + 1] !== NEWLINE) lines++;
          if (this.#escaped.at(-1) !== this.length) this.#escaped.push(this.length);
        }
        this.starts[this.length] = start;
        this.ends[this.length++] = Math.min(at, total);
      }
      if (at < total && bytes[at] === separator) {
        at++;
        continue;
      }
      if (at >= total) {
        at = total;
        if (!this.#last) return false;
      } else {
        at = this.#afterLineEnd(at);
        if (at < 0) return false;
      }
      break;
    }
    this.from = this.#at;
    this.to = at;
    this.line = this.#nextLine;
    this.lines = lines;
    if (at - this.#at > MAX_RECORD_BYTES) this.broken = TOO_LONG;
    else for (const value of this.#escaped) this.ends[value] = this.#unescape(this.starts[value], this.ends[value]);
    this.#nextLine += lines;
    this.#at = at;
    return true;
  }

  /** Line ends within the last quoted value. */
  #newlines = 0;

  /** Where the quoted value that starts here ends, or `MORE`, `NEVER` or `ASTRAY`. */
  #quotedEnd(start: number): number {
    const bytes = this.#bytes;
    const total = bytes.length;
    const quote = this.#quote;
    let at = start;
    /** Where line ends were counted up to. */
    let counted = start;
    let newlines = 0;
    let stray = false;
    let escaped = false;
    const count = (end: number) => {
      for (let i = counted; i < end; i++) {
        if (bytes[i] === NEWLINE || bytes[i] === RETURN && bytes[i + 1] !== NEWLINE) newlines++;
      }
      counted = end;
    };
    let quoteAt = -2;
    while (true) {
      // Not searched for again behind each backslash.
      if (quoteAt < at && quoteAt !== -1) quoteAt = bytes.indexOf(quote, at);
      if (this.#backslash) {
        const slash = indexOfWithin(bytes, BACKSLASH, at, quoteAt < 0 ? total : quoteAt);
        if (slash >= 0) {
          escaped = true;
          at = slash + 2;
          if (at <= total) continue;
          quoteAt = -1;
        }
      }
      at = quoteAt;
      if (at < 0) return this.#last ? NEVER : MORE;
      // The next bytes decide what the quote means: they may be in the next block.
      let after = at + 1;
      while (after < total && bytes[after] === RETURN) after++;
      if (after >= total && !this.#last) return MORE;
      const next = bytes[at + 1];
      if (next === quote && !this.#backslash) {
        escaped = true;
        at += 2;
        continue;
      }
      if (at + 1 === total || next === this.#separator || next === NEWLINE || next === RETURN) break;
      if (next === quote) escaped = true;
      else stray = true;
      at += next === quote ? 2 : 1;
      if (!stray) continue;
      count(at);
      if (newlines > 0) return ASTRAY;
    }
    count(at);
    if (stray && newlines > 0) return ASTRAY;
    if (escaped) this.#escaped.push(this.length);
    this.#newlines = newlines;
    return at;
  }

  /** Ends a record that makes no sense with the line that its value begins on. */
  #refuse(reason: string, valueStart: number, lines: number): boolean {
    const end = this.#lineEnd(valueStart);
    const next = end < 0 ? this.#bytes.length : this.#afterLineEnd(end);
    if (next < 0) return false;
    this.from = this.#at;
    this.to = next;
    this.line = this.#nextLine;
    this.lines = lines;
    this.broken = reason;
    this.starts[this.length] = valueStart;
    this.ends[this.length++] = end < 0 ? next : end;
    this.#nextLine += lines;
    this.#at = next;
    return true;
  }

  /** The next line end; -1 if there is none in the block. */
  #lineEnd(at: number): number {
    const bytes = this.#bytes;
    for (; at < bytes.length; at++) if (bytes[at] === NEWLINE || bytes[at] === RETURN) return at;
    return -1;
  }

  /** Where the line after a line end begins; -1 if the next block decides. */
  #afterLineEnd(end: number): number {
    const bytes = this.#bytes;
    if (bytes[end] === NEWLINE) return end + 1;
    let at = end;
    while (bytes[at] === RETURN) at++;
    if (bytes[at] === NEWLINE) return at + 1;
    // Without a line feed, each return ends a line.
    return at === bytes.length && !this.#last ? -1 : end + 1;
  }

  #grow(): void {
    for (const name of ["starts", "ends"] as const) {
      const larger = new Int32Array(this.length * 2);
      larger.set(this[name]);
      this[name] = larger;
    }
  }

  /** Replaces escapes with what they stand for; returns the new end. */
  #unescape(start: number, end: number): number {
    const bytes = this.#bytes;
    const quoted = bytes[start - 1] === this.#quote;
    let to = start;
    for (let from = start; from < end; from++) {
      let byte = bytes[from];
      if (this.#backslash && byte === BACKSLASH && from + 1 < end) {
        byte = bytes[++from];
        // \N is a missing value as a whole, and stays recognizable.
        if (byte === 0x4e && end - start === 2) return end;
        byte = ESCAPES[byte] ?? byte;
      } else if (quoted && byte === this.#quote && bytes[from + 1] === this.#quote && from + 1 < end) from++;
      bytes[to++] = byte;
    }
    return to;
  }
}

/** Why a record is not a row of a table with `width` columns; null if it is one. */
export function rowFault({ broken, length }: FoundRecord, width: number, hasNul: boolean): string | null {
  if (broken !== null) return broken;
  if (hasNul) return "contains a NUL character";
  return length === width ? null : `has ${length} value${length === 1 ? "" : "s"} instead of ${width}`;
}

/** The first index of a byte from `from` to before `until`; -1 if it is not there. */
function indexOfWithin(bytes: Uint8Array, byte: number, from: number, until: number): number {
  for (let i = from; i < until; i++) if (bytes[i] === byte) return i;
  return -1;
}
