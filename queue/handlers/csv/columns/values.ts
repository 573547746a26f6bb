/**
 * Reads values directly from the bytes of a UTF-8 file: decoding each into a string would take most of the time.
 *
 * @module
 */

/** What a value can be read as. */
export const Kind = { TEXT: 0, INTEGER: 1, DECIMAL: 2, DECIMAL_COMMA: 3, BOOLEAN: 4, DATE: 5 } as const;

/** One of {@linkcode Kind}. */
export type Kind = (typeof Kind)[keyof typeof Kind];

const [TAB, SPACE, PLUS, COMMA, MINUS, DOT, SLASH, ZERO, NINE] = [9, 0x20, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x39];

/** Powers of ten that are exact in binary floating point. */
const POWERS = Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));

const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const BOOLEAN = /^(true|false|yes|no)$/i;
const TIME = /^[T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?$/;

/** Where the value without the white space around it begins. */
export function trimStart(bytes: Uint8Array, start: number, end: number): number {
  while (start < end && isSpace(bytes[start])) start++;
  return start;
}

/** Where the value without the white space around it ends. */
export function trimEnd(bytes: Uint8Array, start: number, end: number): number {
  while (end > start && isSpace(bytes[end - 1])) end--;
  return end;
}

function isSpace(byte: number): boolean {
  return byte === SPACE || (byte >= TAB && byte <= 13);
}

/**
 * Reads values; after {@linkcode read}, `number` holds what a numeric one stands for.
 *
 * A number of up to 15 digits is a whole number divided by a power of ten that are both exact, so that the result is
 * the nearest double (W. D. Clinger, "How to read floating point numbers accurately", 1990). All others are parsed by
 * the platform's own `Number()`.
 */
export class ValueReader {
  number = 0;

  /** @param decimalComma Whether `1,5` is a number too. */
  constructor(private readonly decimalComma: boolean) {}

  /** What a value that is not empty can be read as. */
  read(bytes: Uint8Array, start: number, end: number): Kind {
    let at = start;
    const first = bytes[start];
    if (first === MINUS || first === PLUS) at++;
    let whole = 0;
    let digits = 0;
    let byte = 0;
    for (; at < end; at++) {
      byte = bytes[at];
      if (byte < ZERO || byte > NINE) break;
      whole = whole * 10 + byte - ZERO;
      digits++;
    }
    if (at === end && digits > 0 && digits <= 15) {
      // Not `-whole`, which could be -0.
      this.number = first === MINUS ? 0 - whole : whole;
      return Kind.INTEGER;
    }
    if (at < end && (byte === DOT || byte === COMMA && this.decimalComma) && digits <= 15) {
      const point = at++;
      for (; at < end; at++) {
        const digit = bytes[at];
        if (digit < ZERO || digit > NINE) break;
        whole = whole * 10 + digit - ZERO;
        digits++;
      }
      const places = at - point - 1;
      if (at === end && digits > 0 && digits <= 15 && (byte === DOT || places > 0 && point > start)) {
        const value = whole / POWERS[places];
        this.number = first === MINUS ? 0 - value : value;
        return byte === COMMA ? Kind.DECIMAL_COMMA : Kind.DECIMAL;
      }
    }
    if (digits === 0 && byte !== DOT) return isBoolean(bytes, start, end) ? Kind.BOOLEAN : Kind.TEXT;
    if (isDate(bytes, start, end)) return Kind.DATE;
    return this.#slow(bytes, start, end);
  }

  #slow(bytes: Uint8Array, start: number, end: number): Kind {
    // A longer value is never meant as a number.
    if (end - start > 400) return Kind.TEXT;
    let text = ascii(bytes, start, end);
    const comma = this.decimalComma && text.includes(",") && !text.includes(".");
    if (comma) text = text.replace(",", ".");
    if (!NUMBER.test(text)) return Kind.TEXT;
    const value = Number(text);
    if (!Number.isFinite(value)) return Kind.TEXT;
    this.number = value + 0;
    if (comma) return Kind.DECIMAL_COMMA;
    return Number.isInteger(value) ? Kind.INTEGER : Kind.DECIMAL;
  }
}

function ascii(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]);
  return text;
}

function isBoolean(bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  return length >= 2 && length <= 5 && BOOLEAN.test(ascii(bytes, start, end));
}

/** `2026-11-25` or `2026/11/25`, with or without a time of day. */
function isDate(bytes: Uint8Array, start: number, end: number): boolean {
  const separator = bytes[start + 4];
  if (end - start < 10 || (separator !== MINUS && separator !== SLASH) || bytes[start + 7] !== separator) return false;
  const digit = (at: number) => bytes[start + at] - ZERO;
  const isDigit = (at: number) => digit(at) >= 0 && digit(at) <= 9;
  if (![0, 1, 2, 3, 5, 6, 8, 9].every(isDigit)) return false;
  const month = digit(5) * 10 + digit(6);
  const day = digit(8) * 10 + digit(9);
  if (month < 1 || month > 12 || day < 1) return false;
  if (day > DAYS[month - 1]) return false;
  return end - start === 10 || end - start < 40 && TIME.test(ascii(bytes, start + 10, end));
}
