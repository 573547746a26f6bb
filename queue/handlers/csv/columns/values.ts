/**
 * Reads values directly from the bytes of a UTF-8 file: decoding each into a string would take most of the time.
 *
 * What a value is may depend on the file: 1.234 may be a little more than one or a thousand, 01/02/2024 may be in
 * January or February. Each value is read both ways; the whole column, or another one, decides.
 *
 * @module
 */

/** What a value can be read as: a set of bits. */
export const Fit = {
  /** A number, if `.` is the decimal separator; and a whole one. */
  POINT: 1,
  POINT_WHOLE: 2,
  /** A number, if `,` is the decimal separator; and a whole one. */
  COMMA: 4,
  COMMA_WHOLE: 8,
  /** A date, if the day comes before the month; if the month comes first. Both with the year first. */
  DAY_FIRST: 16,
  MONTH_FIRST: 32,
  BOOLEAN: 64,
  /** It can be read both ways, with different results. */
  DIFFERS: 128,
  /** A number with a leading zero or plus sign: a code. */
  CODE: 256,
  /** A number with a unit. */
  UNIT: 512,
  /** A number whose thousands are separated by commas, by points, or by something that separates nothing else. */
  COMMA_GROUPS: 1024,
  POINT_GROUPS: 2048,
  OTHER_GROUPS: 4096,
  /** A whole number that a double may not hold. */
  LARGE: 8192,
  /** A date with an offset from UTC, or a time of day without one. */
  OFFSET: 16_384,
  LOCAL: 32_768,
  /** None of all this. */
  TEXT: 65_536,
} as const;

/** Bits of numbers, and of dates. */
export const NUMBER: number = Fit.POINT | Fit.COMMA;
export const DATE: number = Fit.DAY_FIRST | Fit.MONTH_FIRST;

const AMBIGUOUS_POINT = Fit.POINT | Fit.COMMA | Fit.COMMA_WHOLE | Fit.POINT_GROUPS | Fit.DIFFERS;
const WHOLE = Fit.POINT | Fit.POINT_WHOLE | Fit.COMMA | Fit.COMMA_WHOLE;

const [TAB, SPACE, DOLLAR, PLUS, MINUS, DOT, ZERO, NINE] = [9, 0x20, 0x24, 0x2b, 0x2d, 0x2e, 0x30, 0x39];
/** What signs such as £, €, − and no-break spaces begin with in UTF-8. */
const SIGNS = [0xc2, 0xe2];

/** Characters of the longest value that is read as a number or a date. */
const LONGEST = 100;

/** Powers of ten that are exact in binary floating point. */
const POWERS = Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));

const BOOLEAN = /^(true|false|yes|no)$/i;
/** Separators of thousands that cannot be anything else. A plain space may also separate two numbers. */
const NEUTRAL_GROUPS = /^\d{1,3}(?:(?:[\u00a0\u202f\u2009]\d{3})+|(?:['’]\d{3})+)(?=[.,]\d+$|$)/;
const POINT_GROUPS = /^[1-9]\d{0,2}(?:\.\d{3})+(?:,\d*)?$/;
const COMMA_GROUPS = /^[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?$/;
/** A sign, a unit before or after, what is between them. */
const AMOUNT = /^([-\u2212+]?)(\p{Sc}?)[ \u00a0\u202f]?([-\u2212+]?)(.*?)[ \u00a0\u202f]?(\p{Sc}|%|)$/u;
/** An exponent counts beside a decimal separator, or with a sign: 12E5 is more often a code. */
const MANTISSA = /^(\d+)(?:([.,])(\d*))?(?:[eE]([+-]?)(\d{1,3}))?$|^([.])(\d+)(?:[eE]([+-]?)(\d{1,3}))?$/;
const TIME = /^(?:[T ]([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:[.,](\d{1,9}))?)?(Z|[+-]\d{2}(?::?\d{2})?)?)?$/;
const YEAR_FIRST = /^(\d{4})([-/.])(\d{2})\2(\d{2})/;
const YEAR_LAST = /^(\d{1,2})([-/.])(\d{1,2})\2(\d{4})/;

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
 * Reads values. After {@linkcode ValueReader.read}, `first` and `second` hold what the value stands for: numbers with
 * a decimal point and with a decimal comma, dates with the day and with the month first (milliseconds since the epoch).
 * NaN where it cannot be read so.
 *
 * A number of up to 15 digits is a whole number divided by a power of ten that are both exact, so that the result is
 * the nearest double (W. D. Clinger, "How to read floating point numbers accurately", 1990). All others are parsed by
 * the platform's own `Number()`.
 */
export class ValueReader {
  first = NaN;
  second = NaN;
  /** The unit of a number that has one. */
  unit = "";

  /** What the last value stands for, if one reading is to be preferred where both are possible. */
  preferred(commaFirst: boolean): number {
    const { first, second } = this;
    return commaFirst ? (Number.isNaN(second) ? first : second) : Number.isNaN(first) ? second : first;
  }

  /** What a value that is not empty can be read as. */
  read(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    const head = bytes[start];
    if (head === MINUS) at++;
    let whole = 0;
    let byte = bytes[at];
    const digitsStart = at;
    for (; at < end; at++) {
      byte = bytes[at];
      if (byte < ZERO || byte > NINE) break;
      whole = whole * 10 + byte - ZERO;
    }
    let digits = at - digitsStart;
    const code = digits > 1 && bytes[digitsStart] === ZERO ? Fit.CODE : 0;
    if (at === end && digits > 0 && digits <= 15) {
      // Not `-whole`, which could be -0.
      this.first = this.second = head === MINUS ? 0 - whole : whole;
      return WHOLE | code;
    }
    if (at < end && byte === DOT && digits > 0 && digits <= 15) {
      const point = at++;
      for (; at < end; at++) {
        const digit = bytes[at];
        if (digit < ZERO || digit > NINE) break;
        whole = whole * 10 + digit - ZERO;
        digits++;
      }
      const places = at - point - 1;
      if (at === end && digits <= 15) {
        const value = whole / POWERS[places];
        this.first = head === MINUS ? 0 - value : value;
        // Three places may be thousands.
        const grouped = places === 3 && digits <= 6 && bytes[digitsStart] !== ZERO;
        this.second = grouped ? (head === MINUS ? 0 - whole : whole) : NaN;
        return grouped ? AMBIGUOUS_POINT : Fit.POINT | code;
      }
    }
    const isNumeric = digits > 0 || byte === DOT || byte === PLUS || byte === DOLLAR || SIGNS.includes(byte);
    if (!isNumeric) return isBoolean(bytes, start, end) ? Fit.BOOLEAN : Fit.TEXT;
    // A longer value is never meant as a number.
    if (end - start > LONGEST) return Fit.TEXT;
    return this.#readText(bytes, start, end);
  }

  #readText(bytes: Uint8Array, start: number, end: number): number {
    const text = new TextDecoder().decode(bytes.subarray(start, end));
    return this.#readDate(text) || this.#readNumber(text) || Fit.TEXT;
  }

  #readNumber(text: string): number {
    const amount = AMOUNT.exec(text);
    if (!amount) return 0;
    const [, sign, before, innerSign, body, after] = amount;
    if (sign !== "" && innerSign !== "" || before !== "" && after !== "") return 0;
    const anySign = sign || innerSign;
    this.unit = before || after;
    const negative = anySign !== "" && anySign !== "+";
    let fit = this.unit === "" ? 0 : Fit.UNIT;
    if (anySign === "+" || /^0\d/.test(body)) fit |= Fit.CODE;
    const neutral = NEUTRAL_GROUPS.exec(body)?.[0];
    const plain = neutral === undefined ? body : neutral.replaceAll(/[^\d]/g, "") + body.slice(neutral.length);
    if (neutral !== undefined) fit |= Fit.OTHER_GROUPS;
    this.first = NaN;
    this.second = NaN;
    const mantissa = MANTISSA.exec(plain);
    if (mantissa) {
      const [, digits, mark, , expSign, exponent, dot, , dotSign, dotExponent] = mantissa;
      const separator = mark ?? dot;
      const power = exponent ?? dotExponent;
      if (power !== undefined && separator === undefined && (expSign || dotSign || "") === "") return 0;
      const value = Number(plain.replace(",", "."));
      if (!Number.isFinite(value)) return 0;
      const signed = negative ? 0 - value : value + 0;
      const isWhole = separator === undefined && power === undefined;
      if (separator !== ",") {
        this.first = signed;
        fit |= Fit.POINT | (isWhole ? Fit.POINT_WHOLE : 0);
      }
      if (separator === undefined || separator === "," && (mantissa[3] ?? "") !== "") {
        this.second = signed;
        fit |= Fit.COMMA | (isWhole ? Fit.COMMA_WHOLE : 0);
      }
      if (isWhole && digits.length > 15) fit |= Fit.LARGE;
    }
    if (neutral === undefined && !isInternetAddress(body)) fit |= this.#readGroups(body, negative);
    if ((fit & NUMBER) === 0) return 0;
    if (!Number.isNaN(this.first) && !Number.isNaN(this.second) && this.first !== this.second) fit |= Fit.DIFFERS;
    return fit;
  }

  /** Thousands that are separated by what separates decimals in the other reading. */
  #readGroups(body: string, negative: boolean): number {
    let fit = 0;
    const large = body.replaceAll(/\D/g, "").length > 15 ? Fit.LARGE : 0;
    if (COMMA_GROUPS.test(body)) {
      const value = Number(body.replaceAll(",", ""));
      this.first = negative ? 0 - value : value;
      fit |= Fit.POINT | Fit.COMMA_GROUPS | (body.includes(".") ? 0 : Fit.POINT_WHOLE | large);
    }
    if (POINT_GROUPS.test(body)) {
      const value = Number(body.replaceAll(".", "").replace(",", "."));
      this.second = negative ? 0 - value : value;
      fit |= Fit.COMMA | Fit.POINT_GROUPS | (body.includes(",") ? 0 : Fit.COMMA_WHOLE | large);
    }
    return fit;
  }

  #readDate(text: string): number {
    const yearFirst = YEAR_FIRST.exec(text);
    const match = yearFirst ?? YEAR_LAST.exec(text);
    if (!match) return 0;
    const time = TIME.exec(text.slice(match[0].length));
    if (!time) return 0;
    const [, hour = "0", minute = "0", second = "0", fraction = "0", offset] = time;
    const ofDay = ((Number(hour) * 60 + Number(minute)) * 60 + Number(second)) * 1_000 + Number(`.${fraction}`) * 1_000;
    const shift = offset === undefined ? 0 : offsetMs(offset);
    if (Number.isNaN(shift)) return 0;
    const at = (year: string, month: string, day: string) => dayMs(+year, +month, +day) + ofDay - shift;
    const kind = offset === undefined ? Fit.LOCAL : Fit.OFFSET;
    if (yearFirst) {
      this.first = this.second = at(match[1], match[3], match[4]);
      return Number.isNaN(this.first) ? 0 : Fit.DAY_FIRST | Fit.MONTH_FIRST | kind;
    }
    this.first = at(match[4], match[3], match[1]);
    this.second = at(match[4], match[1], match[3]);
    const fit = (Number.isNaN(this.first) ? 0 : Fit.DAY_FIRST) | (Number.isNaN(this.second) ? 0 : Fit.MONTH_FIRST);
    if (fit === 0) return 0;
    return fit | kind | (fit === DATE && this.first !== this.second ? Fit.DIFFERS : 0);
  }
}

/** Whether digits in groups are an IPv4 address: four of at most 255. */
function isInternetAddress(text: string): boolean {
  const groups = text.split(".");
  return groups.length === 4 && groups.every((group) => /^\d{1,3}$/.test(group) && Number(group) <= 255);
}

/** The start of a day in UTC; NaN if there is no such day. */
function dayMs(year: number, month: number, day: number): number {
  const at = new Date(0);
  at.setUTCFullYear(year, month - 1, day);
  return at.getUTCMonth() === month - 1 && at.getUTCDate() === day && month >= 1 ? at.getTime() : NaN;
}

/** An offset from UTC in milliseconds; NaN if there is none such. */
function offsetMs(text: string): number {
  if (text === "Z") return 0;
  const [hours, minutes] = [Number(text.slice(1, 3)), Number(text.slice(3).replace(":", "") || 0)];
  if (hours > 18 || minutes > 59) return NaN;
  return (text[0] === "-" ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}

function isBoolean(bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (length < 2 || length > 5) return false;
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]);
  return BOOLEAN.test(text);
}

/** The exact whole number that a value with {@linkcode Fit.LARGE} stands for, or any other whole one. */
export function exactOf(text: string): bigint {
  const digits = BigInt(text.replaceAll(/\D/g, ""));
  return /[-\u2212]/.test(text) ? -digits : digits;
}
