/**
 * What `JSON.parse` loses without a word: digits of large numbers, a member that is there twice, the member `__proto__`.
 * A loss is refused, unless the value is kept as text. The order of members whose names are integers is lost, too; it
 * means nothing (RFC 8259, 4) but to whoever signs and compares bytes, so it counts only where it is asked for.
 *
 * @module
 */

import { escapePointer, type InputIssue } from "../errors.ts";
import { lossOfNumber } from "./numbers.ts";

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
  /** The largest name so far that is an integer; Infinity once there was another one: what follows is put before it. */
  largest: number;
  /** The name of the member, or the index, that is read. */
  at: string;
  start: number;
}

/** What else counts as a loss, and what does not. */
export interface LossOptions {
  /** The last name of values that may be kept as text, and whether one is: what is in it is not lost. */
  kept?: { name: string; isKept: (path: string[]) => boolean };
  /** Whether order counts. */
  order?: boolean;
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
 * @returns The losses, at most ten, and the values that are kept.
 */
export function lossesOf(
  text: string,
  { kept: toKeep, order = false }: LossOptions = {},
): { issues: InputIssue[]; kept: JsonPart[] } {
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
  const isOuter = (level: Level | undefined) =>
    within === 0 && toKeep !== undefined && level?.at === toKeep.name && level.isObject && toKeep.isKept(path());
  let expectsName = false;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    const level = levels.at(-1);
    if (token === "{" || token === "[") {
      if (within > 0 || isOuter(level)) within++;
      levels.push({ isObject: token === "{", names: new Set(), largest: -1, at: "0", start: index });
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
      if (order && isMoved(level!)) lost("This member would be put before others: its name is an integer.");
      level!.names.add(level!.at);
    } else if (isOuter(level)) kept.push({ path: path(), start: index, end: index + token.length });
    else {
      const loss = lossOfNumber(token);
      if (loss) lost(loss);
    }
  }
  return { issues, kept };
}

/** Whether JavaScript puts a member before one that was there earlier (ECMA-262, OrdinaryOwnPropertyKeys). */
function isMoved(level: Level): boolean {
  const isInteger = /^(0|[1-9]\d{0,9})$/.test(level.at) && Number(level.at) < 2 ** 32 - 1;
  const moved = isInteger && Number(level.at) < level.largest;
  level.largest = isInteger ? Math.max(level.largest, Number(level.at)) : Infinity;
  return moved;
}
