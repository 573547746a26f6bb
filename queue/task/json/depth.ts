/**
 * How deeply JSON is nested. What walks JSON by recursion (schemas, the page) can take only so many levels, so what is
 * nested more deeply is refused where it comes in.
 *
 * @module
 */

import { escapePointer, type InputIssue, InvalidInputError } from "../errors.ts";

/** Most levels of objects and arrays in what is sent. */
const MAX_DEPTH = 64;

/** The JSON pointer to the first value below more than `levels` objects and arrays, relative to `value`; null: none is. */
function findTooDeep(value: unknown, levels: number): string | null {
  if (typeof value !== "object" || value === null) return null;
  if (levels === 0) return "";
  for (const [name, child] of Object.entries(value)) {
    if (typeof child !== "object") continue;
    const below = findTooDeep(child, levels - 1);
    if (below !== null) return `/${escapePointer(name)}${below}`;
  }
  return null;
}

/** What is wrong with the depth of a value, with a pointer to the first object or array that is too deep; null: nothing. */
export function depthIssue(value: unknown): InputIssue | null {
  const pointer = findTooDeep(value, MAX_DEPTH);
  return pointer === null ? null : { pointer, detail: `Objects and arrays may be nested ${MAX_DEPTH} levels deep.` };
}

/**
 * Refuses a value that is nested too deeply.
 *
 * @param root The JSON pointer to the value.
 * @throws {InvalidInputError} With a pointer to the first object or array that is too deep.
 */
export function assertDepth(value: unknown, root: string): void {
  const issue = depthIssue(value);
  if (issue) throw new InvalidInputError([{ ...issue, pointer: root + issue.pointer }]);
}
