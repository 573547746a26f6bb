/**
 * Ids are ULIDs (https://github.com/ulid/spec): 26 characters that sort by the time they were made, also within a
 * millisecond.
 *
 * @module
 */

import { encodeTime, isValid, monotonicFactory } from "ulid";

const next = monotonicFactory();

/** A new id, stamped with a wall time in milliseconds. */
export function newId(now: number): string {
  return next(now);
}

/** Whether a text can be an id. */
export function isId(text: string): boolean {
  return isValid(text);
}

/** The smallest id that can have been made at this time. */
export function firstIdAt(ms: number): string {
  return encodeTime(Math.max(0, Math.floor(ms)), 10) + "0".repeat(16);
}
