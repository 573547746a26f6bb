/**
 * Cuts a CSV into pieces that end where a record ends, so that a reader can go on at any of them.
 *
 * @module
 */

import { NonRetryableError } from "../../errors.ts";

/** Some whole records. */
export interface Piece {
  bytes: Uint8Array;
  /** Where it ends, counted from the beginning of the stream. */
  end: number;
}

const QUOTE = 0x22;
const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** Where a byte stands: at the beginning of a value, inside one, inside quotes, after a quote inside quotes. */
type Place = "start" | "plain" | "quoted" | "quote";

/**
 * Finds the ends of records the way a parser with `lazyQuotes` reads them (RFC 4180, and a quote that is neither the
 * first character of its value nor followed by the end of it is an ordinary one).
 */
class RecordScanner {
  #place: Place = "start";
  readonly #separator: number;

  /** @param separator One ASCII character. */
  constructor(separator: string) {
    this.#separator = separator.charCodeAt(0);
  }

  /** The end of the last record that ends in `bytes`, or 0; what was scanned before goes on here. */
  lastEnd(bytes: Uint8Array): number {
    // Without a quote in it or before it, every line is a record.
    if ((this.#place === "start" || this.#place === "plain") && bytes.indexOf(QUOTE) < 0) {
      const end = bytes.lastIndexOf(NEWLINE) + 1;
      const last = bytes[bytes.length - 1];
      if (bytes.length > 0) this.#place = last === NEWLINE || last === this.#separator ? "start" : "plain";
      return end;
    }
    let place = this.#place;
    let end = 0;
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i];
      if (place === "quoted") {
        if (byte === QUOTE) place = "quote";
        continue;
      }
      if (byte === NEWLINE) {
        place = "start";
        end = i + 1;
      } else if (byte === this.#separator) place = "start";
      else if (place === "start") place = byte === QUOTE ? "quoted" : "plain";
      else if (place === "quote") {
        // A quote ends the value only at its end; before CRLF too.
        const atEnd = byte === RETURN && bytes[i + 1] === NEWLINE;
        place = atEnd ? "plain" : "quoted";
      }
    }
    this.#place = place;
    return end;
  }
}

/**
 * Cuts a stream of CSV.
 *
 * @param size About how many bytes a piece has.
 * @param longest The longest record in bytes.
 * @param separatorOf Told the first bytes; gives the separator.
 * @throws {NonRetryableError} If a record is longer than `longest`.
 */
export async function* cutRecords(
  stream: ReadableStream<Uint8Array>,
  size: number,
  longest: number,
  separatorOf: (first: Uint8Array) => string,
): AsyncGenerator<Piece> {
  let scanner: RecordScanner | null = null;
  let open: Uint8Array[] = [];
  let openBytes = 0;
  let end = 0;
  const take = (bytes: Uint8Array): Piece | null => {
    scanner ??= new RecordScanner(separatorOf(firstLine(bytes)));
    const cut = scanner.lastEnd(bytes);
    if (cut === 0) {
      open.push(bytes);
      openBytes += bytes.length;
      if (openBytes > longest) {
        throw new NonRetryableError(`The file has a record of more than ${longest / 1024 ** 2} MB: it is no CSV.`);
      }
      return null;
    }
    const piece = join([...open, bytes.subarray(0, cut)], openBytes + cut);
    end += piece.length;
    open = cut < bytes.length ? [bytes.subarray(cut)] : [];
    openBytes = bytes.length - cut;
    return { bytes: piece, end };
  };
  let gathered: Uint8Array[] = [];
  let gatheredBytes = 0;
  for await (const bytes of slices(stream, size)) {
    gathered.push(bytes);
    gatheredBytes += bytes.length;
    // A return at the end may be half of a line's end: it waits for the other half.
    if (gatheredBytes < size || bytes[bytes.length - 1] === RETURN && gatheredBytes < longest) continue;
    const piece = take(join(gathered, gatheredBytes));
    gathered = [];
    gatheredBytes = 0;
    if (piece) yield piece;
  }
  if (gatheredBytes > 0) {
    const piece = take(join(gathered, gatheredBytes));
    if (piece) yield piece;
  }
  if (openBytes > 0) yield { bytes: join(open, openBytes), end: end + openBytes };
}

/** The bytes of a stream in slices of at most `size`. */
async function* slices(stream: ReadableStream<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  for await (const bytes of stream) {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
}

function firstLine(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(NEWLINE);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

function join(parts: Uint8Array[], length: number): Uint8Array {
  if (parts.length === 1) return parts[0];
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
