/**
 * What `JSON.parse` loses without a word: digits of large integers, a member that is there twice, the member
 * `__proto__`, the order of members whose names are integers. Values that must stay as they were written are kept as
 * text; elsewhere a loss is refused.
 *
 * @module
 */

import { escapePointer, type InputIssue } from "../errors.ts";

/** A value of a JSON text: where it is, and where it is written. */
export interface JsonPart {
  /** The names and indexes that lead to it. */
  path: string[];
  start: number;
  end: number;
}

interface Level {
  isObject: boolean;
  names: Set<string>;
  /** The name of the member, or the index, that is read. */
  at: string;
  start: number;
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** Whether a JSON text says just what its parsed value does: then nothing can have been lost. */
export function isPlain(text: string, value: unknown): boolean {
  return !text.includes("__proto__") && JSON.stringify(value) === text;
}

/**
 * Finds what parsing a JSON text loses, with a pointer for each.
 *
 * @param text Valid JSON.
 * @param isKept Whether a value is kept as text: what is in it is not lost.
 * @returns The losses, at most ten, and the values that are kept.
 */
export function lossesOf(text: string, isKept: (path: string[]) => boolean = () => false): {
  issues: InputIssue[];
  kept: JsonPart[];
} {
  const issues: InputIssue[] = [];
  const kept: JsonPart[] = [];
  const levels: Level[] = [];
  /** How many levels are inside of a value that is kept. */
  let within = 0;
  const path = () => levels.map(({ at }) => at);
  const lost = (detail: string) => {
    if (within > 0 || issues.length >= 10) return;
    issues.push({ pointer: path().map((name) => `/${escapePointer(name)}`).join(""), detail });
  };
  const isOuter = () => within === 0 && levels.length > 0 && isKept(path());
  let expectsName = false;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    const level = levels.at(-1);
    if (token === "{" || token === "[") {
      if (within > 0 || isOuter()) within++;
      levels.push({ isObject: token === "{", names: new Set(), at: "0", start: index });
      expectsName = token === "{";
    } else if (token === "}" || token === "]") {
      const { start } = levels.pop()!;
      if (within > 0 && --within === 0) kept.push({ path: path(), start, end: index + 1 });
      expectsName = false;
    } else if (token === ",") {
      expectsName = level!.isObject;
      if (!expectsName) level!.at = String(Number(level!.at) + 1);
    } else if (token === ":") expectsName = false;
    else if (expectsName) {
      level!.at = JSON.parse(token);
      if (level!.names.has(level!.at)) lost("This member is there twice.");
      if (level!.at === "__proto__") lost("The name __proto__ is not accepted.");
      level!.names.add(level!.at);
    } else if (isOuter()) kept.push({ path: path(), start: index, end: index + token.length });
    else {
      const loss = lossOfNumber(token);
      if (loss) lost(loss);
    }
  }
  return { issues, kept };
}

/** What a number loses as a double (IEEE 754); null: nothing that matters. */
function lossOfNumber(token: string): string | null {
  if (!/^-?\d/.test(token)) return null;
  const value = Number(token);
  if (!Number.isFinite(value)) return `${shortened(token)} is larger than any number here: at most about 1.8e308.`;
  if (Math.abs(value) <= Number.MAX_SAFE_INTEGER || /[eE]/.test(token)) return null;
  const [whole, fraction = ""] = token.split(".");
  if (BigInt(whole) === BigInt(value) && /^0*$/.test(fraction)) return null;
  return `${shortened(token)} would lose digits: beyond 9007199254740991, send it as text, in quotes.`;
}

function shortened(token: string): string {
  return token.length > 40 ? `${token.slice(0, 40)}…` : token;
}
