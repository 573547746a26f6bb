/**
 * Rate limits: a maximum number of starts of a type in any window of a given length. The times of the last starts are
 * stored and rewritten in the atomic that starts a task, so the limit holds across instances and restarts, and a
 * task that was not started does not count.
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
 * @throws {RangeError} If it is not a rate.
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
 * What a rate limit still allows at `now`.
 *
 * @param starts Times of the last starts, oldest first.
 * @returns The starts that still count, how many more are allowed now, when the next is allowed if none is, and
 * whether some starts were in the future: then a clock was set back, and the returned starts must be stored, or they
 * would block the type for as long as it was set back.
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
