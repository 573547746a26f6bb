/**
 * The errors that cross a module border. Each has a `code` that stays the same in every release; `routes/http/problem.ts`
 * turns them into problem+json.
 *
 * @module
 */

/** What all errors of the queue have in common. */
export class QueueError extends Error {
  /** Stable, machine-readable name of what went wrong. */
  readonly code: string;

  /** Takes a stable name of the error and what it says. */
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** One thing that is wrong with an input. */
export interface InputIssue {
  /** JSON pointer (RFC 6901) to the field, from the root of what was sent; empty for the whole. */
  pointer: string;
  /** What is wrong and what would be right. */
  detail: string;
}

/** The most issues that an error lists; the rest are only counted. */
const MAX_ISSUES = 100;

/** An input was refused before anything was stored. */
export class InvalidInputError extends QueueError {
  /** What is wrong, at most 100 issues. */
  readonly issues: InputIssue[];

  /** Takes everything that is wrong. */
  constructor(all: InputIssue[]) {
    const issues = all.slice(0, MAX_ISSUES);
    if (all.length > MAX_ISSUES) issues.push({ pointer: "", detail: `… and ${all.length - MAX_ISSUES} more.` });
    super("invalid_input", issues.map((issue) => `${issue.pointer || "/"}: ${issue.detail}`).join("; "));
    this.issues = issues;
  }
}

/** No such task, upload or artifact. */
export class NotFoundError extends QueueError {
  /** Takes what was not found. */
  constructor(what: string) {
    super("not_found", `${what} was not found.`);
  }
}

/** What is read, or null if it does not exist. */
export async function foundOrNull<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof NotFoundError) return null;
    throw error;
  }
}

/** The task is in a state that does not allow this. */
export class IllegalTransitionError extends QueueError {
  /** Takes what the error says and its cause. */
  constructor(message: string) {
    super("illegal_transition", message);
  }
}

/** The caller may not do this to this task. */
export class ForbiddenError extends QueueError {
  /** Takes what the error says and its cause. */
  constructor(message: string) {
    super("forbidden", message);
  }
}

/** The Idempotency-Key was reused with a different body. */
export class IdempotencyMismatchError extends QueueError {
  constructor() {
    super("idempotency_mismatch", "This Idempotency-Key was already used for another request.");
  }
}

/** A key that a write had checked was changed by someone else; nothing was written. */
export class ConflictError extends QueueError {
  constructor() {
    super("conflict", "Another change came first; nothing was written.");
  }
}

/** This instance was declared dead and recovered; its late write was refused. */
export class FencedError extends QueueError {
  constructor() {
    super("fenced", "This instance was recovered by another one and can no longer write.");
  }
}

/** The store did not answer in time: the write may or may not have happened. */
export class OutcomeUnknownError extends QueueError {
  /** Takes the cause. */
  constructor(options?: ErrorOptions) {
    super(
      "outcome_unknown",
      "The store did not answer in time. The outcome is unknown: repeat the request with the same Idempotency-Key.",
      options,
    );
  }
}

/** The store rejected the write itself (for example for a value over 64 KiB). */
export class RefusedWriteError extends QueueError {
  /** Takes the cause. */
  constructor(options?: ErrorOptions) {
    super("refused_write", "The store refused this write; nothing was written.", options);
  }
}

/** The queue is shutting down or was closed. */
export class ClosedError extends QueueError {
  constructor() {
    super("closed", "The service is shutting down.");
  }
}

/** The service is overloaded; nothing was done. */
export class BusyError extends QueueError {
  /** Takes what the error says and its cause. */
  constructor(message: string) {
    super("busy", message);
  }
}

/** Something is larger than its limit allows. */
export class TooLargeError extends QueueError {
  /** The limit in bytes. */
  readonly limit: number;

  /** Takes what is too large, and its limit in bytes. */
  constructor(what: string, limit: number) {
    super("too_large", `${what} is larger than the limit of ${limit.toLocaleString("en")} bytes.`);
    this.limit = limit;
  }
}

/** Thrown by a handler: do not try again. */
export class NonRetryableError extends QueueError {
  /** Takes what the error says and its cause. */
  constructor(message: string, options?: ErrorOptions) {
    super("non_retryable", message, options);
  }
}

/** Thrown by a handler: try again, but not before a time that another service has asked for. */
export class RetryLaterError extends QueueError {
  /** The least wait in milliseconds. The backoff of the task type may make it longer. */
  readonly waitMs: number;

  /**
   * Takes what the error says, and the least wait in milliseconds.
   *
   * @throws {RangeError} If the wait is negative or no number.
   */
  constructor(message: string, waitMs: number, options?: ErrorOptions) {
    super("retry_later", message, options);
    if (!(waitMs >= 0 && waitMs < Infinity)) throw new RangeError(`A wait of ${waitMs} ms makes no sense.`);
    this.waitMs = waitMs;
  }
}

/**
 * The reason of a handler's aborted signal.
 *
 * - `cancelled`: someone cancelled the task.
 * - `timeout`: the attempt ran longer than it may.
 * - `shutdown`: the instance stops; the task will go on elsewhere or later.
 * - `lost`: the instance was recovered; nothing more from this handler will be stored.
 */
export class AbortedError extends QueueError {
  /** Why the attempt must stop. */
  declare readonly code: "cancelled" | "timeout" | "shutdown" | "lost";

  /** Takes why the attempt must stop. */
  constructor(code: "cancelled" | "timeout" | "shutdown" | "lost") {
    super(code, `The attempt was stopped: ${code}.`);
  }
}

/** The store is of a format that this version cannot work on. */
export class StoreFormatError extends QueueError {
  /** Takes the format of the store, that of this version, and why. */
  constructor(
    format: number,
    own: number,
    why = "Use the version of the program that has written it, or a newer one.",
  ) {
    super("store_format", `The store is of format ${format}, this version's is ${own}. ${why}`);
  }
}

/** A name as a part of a JSON pointer (RFC 6901). */
export function escapePointer(part: string): string {
  return part.replaceAll("~", "~0").replaceAll("/", "~1");
}
