/**
 * What numbers of a JSON text lose as doubles (IEEE 754).
 *
 * @module
 */

/** Significant digits and the exponent of a number, however it is spelled. */
function normal(token: string): string {
  const [, whole, fraction = "", exponent = "0"] = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(token)!;
  const digits = (whole + fraction).replace(/^0+/, "");
  const short = digits.replace(/0+$/, "");
  return short && `${short}e${Number(exponent) - fraction.length + digits.length - short.length}`;
}

/** What a number loses, in words; null: nothing but digits after the point, which doubles round. */
export function lossOfNumber(token: string): string | null {
  if (!/^-?\d/.test(token)) return null;
  const value = Number(token);
  const what = token.slice(0, 40);
  if (!Number.isFinite(value)) return `${what} is larger than any number.`;
  if (value === 0 ? normal(token) === "" : Math.abs(value) <= Number.MAX_SAFE_INTEGER) return null;
  if (normal(token) === normal(String(value))) return null;
  return value === 0 ? `${what} is smaller than any number.` : `${what} would lose digits; send it as text, in quotes.`;
}
