/**
 * Rate limits: at most so many starts of a type in any window of a length. The times of the last starts stand in the
 * store and are rewritten in the atomic that starts a task, so the limit holds over all instances and restarts, and
 * what was not started takes nothing from it.
 *
 * @module
 */

/** At most `limit` starts in any window of `windowMs` milliseconds. */
export interface Rate {
  limit: number;
  windowMs: number;
}

const UNITS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000 };

/** The most starts in a window: their times must fit into one value. */
const MAX_LIMIT = 1_000;

/**
 * Reads a rate such as `10/s`, `100/m` or `1000/h`.
 *
 * @throws {RangeError} If it is none.
 */
export function parseRate(text: string): Rate {
  const match = /^(\d{1,4})\/([smh])$/.exec(text);
  const limit = Number(match?.[1]);
  if (!match || limit < 1 || limit > MAX_LIMIT) {
    throw new RangeError(`"${text}" is not a rate such as 10/s, 100/m or 1000/h (1 to ${MAX_LIMIT} starts).`);
  }
  return { limit, windowMs: UNITS[match[2]] };
}

/**
 * What a rate leaves at `now`.
 *
 * @param starts Times of the last starts, oldest first.
 * @returns The starts that still count, how many more there may be, when there may be one if there may not be now, and
 * whether some starts were in the future: a clock was set back, and the starts must be stored as they are returned, or
 * they would stop the type for as long as it was set back.
 */
export function allowance(
  starts: number[],
  { limit, windowMs }: Rate,
  now: number,
): { counting: number[]; free: number; nextAt: number; setBack: boolean } {
  const counting = starts.map((at) => Math.min(at, now)).filter((at) => at > now - windowMs).slice(-limit);
  const setBack = starts.some((at) => at > now);
  return { counting, free: limit - counting.length, nextAt: (counting[0] ?? now) + windowMs, setBack };
}
