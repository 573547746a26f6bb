/**
 * Limits and ranges of what a task may have. The queue enforces them; the API and the forms of the page show them.
 *
 * @module
 */

/** Bytes of `input_params`. */
export const MAX_PARAMS_BYTES = 32 * 1024;
/** Tasks in one batch. */
export const MAX_BATCH = 200;
/** Tasks that one task may depend on. */
export const MAX_DEPENDENCIES = 200;
/** Bytes of a result. */
export const MAX_RESULT_BYTES = 32 * 1024;
/** Priorities of a task. */
export const PRIORITY = { min: 0, max: 9 } as const;
/** Attempts that may fail before a task is FAILED. */
export const ATTEMPTS = { min: 1, max: 25 } as const;
/** Timeout of an attempt in seconds. */
export const TIMEOUT_S = { min: 1, max: 86_400 } as const;
/** Tags of a task, and characters of each. */
export const TAGS = { max: 10, chars: 64 } as const;
/** How long an upload that no task names is kept, in hours. */
export const UPLOAD_KEPT_HOURS = 24;
/** Characters of a type's name. */
export const TYPE_CHARS = 64;
/** Types that one filter may name. */
export const FILTER_TYPES = 100;
/** Characters of a text that is searched for. */
export const SEARCH_CHARS = 200;
/** Characters of an idempotency key, a unique key and a concurrency key. */
export const KEY_CHARS = 200;
/** Tasks on a page of a list. */
export const PAGE = { default: 50, max: 200 } as const;
/** Lines on a page of a log. */
export const LOG_PAGE = { default: 1_000, max: 5_000 } as const;
/** Characters of the texts of a schedule. */
export const SCHEDULE_CHARS = { name: 100, cron: 200, timezone: 64 } as const;
/** A filter that looks inside tasks reads this many from the beginning of the list; other totals are counted up to here. */
export const SEARCH_LIMIT = 10_000;

/** The ranges of a chart: how far back it goes and how long a bucket is, in minutes. */
export const RANGES = {
  "15m": { minutes: 15, bucket: 1 },
  "1h": { minutes: 60, bucket: 1 },
  "24h": { minutes: 24 * 60, bucket: 15 },
  "30d": { minutes: 30 * 24 * 60, bucket: 6 * 60 },
} as const;

/** One of {@linkcode RANGES}. */
export type Range = keyof typeof RANGES;
