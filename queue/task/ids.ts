/**
 * Ids are ULIDs (https://github.com/ulid/spec): 26 characters that sort by the time they were made, also within a
 * millisecond.
 *
 * @module
 */

import { decodeTime, encodeTime, isValid, monotonicFactory } from "ulid";

const next = monotonicFactory();

/** A new id, stamped with a wall time in milliseconds. */
export function newId(now: number): string {
  return next(now);
}

/** Whether a text can be an id. */
export function isId(text: string): boolean {
  return isValid(text);
}

/** The characters of an id, by their value (Crockford's base 32). */
const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** The most shards of `ready`. */
export const MAX_SHARDS = 16;

/** One of `shards` parts, by the last character of an id: ids of one millisecond fill them in turn. */
export function shardOf(id: string, shards: number): number {
  return DIGITS.indexOf(id[id.length - 1]) % shards;
}

/** When an id was made, milliseconds since the epoch. */
export function timeOfId(id: string): number {
  return decodeTime(id);
}

/** The smallest id that can have been made at this time. */
export function firstIdAt(ms: number): string {
  return encodeTime(Math.max(0, Math.floor(ms)), 10) + "0".repeat(16);
}
