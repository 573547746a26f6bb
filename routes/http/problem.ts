/**
 * Errors as RFC 9457 problem details, in one place. `type` ends with the code of the error; `errors` names each wrong field by JSON pointer.
 *
 * @module
 */

import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { InvalidInputError, QueueError, TooLargeError } from "../../queue/task/errors.ts";
import type { Logger } from "../../queue/log.ts";

/** One thing that is wrong: in the body (`pointer`), or in the query or a header (`parameter`). */
export interface ProblemIssue {
  pointer?: string;
  parameter?: string;
  detail: string;
}

/** Thrown by a route to respond with a problem. */
export class Problem extends Error {
  readonly status: ContentfulStatusCode;
  readonly code: string;
  readonly errors: ProblemIssue[];
  readonly headers: Record<string, string>;

  constructor(
    status: ContentfulStatusCode,
    code: string,
    detail: string,
    errors: ProblemIssue[] = [],
    headers: Record<string, string> = {},
  ) {
    super(detail);
    this.status = status;
    this.code = code;
    this.errors = errors;
    this.headers = headers;
  }
}

const TITLES: Record<number, string> = {
  400: "Bad request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not found",
  405: "Method not allowed",
  406: "Not acceptable",
  409: "Conflict",
  413: "Too large",
  415: "Unsupported media type",
  421: "Misdirected request",
  416: "Range not satisfiable",
  422: "Invalid input",
  429: "Too many requests",
  500: "Internal error",
  503: "Unavailable",
  507: "Insufficient storage",
};

/** The queue's errors by their code. */
const STATUS: Record<string, ContentfulStatusCode> = {
  invalid_input: 422,
  not_found: 404,
  forbidden: 403,
  illegal_transition: 409,
  idempotency_mismatch: 422,
  conflict: 409,
  too_large: 413,
  outcome_unknown: 503,
  fenced: 503,
  closed: 503,
  busy: 503,
  refused_write: 422,
};

/** Any thrown value as a problem. Unexpected errors are logged and reveal no internals. */
export function toProblem(error: unknown, log: Logger): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof InvalidInputError) {
    return new Problem(422, error.code, "The request is well-formed but invalid; see errors.", error.issues);
  }
  if (error instanceof TooLargeError) return new Problem(413, error.code, error.message);
  const status = error instanceof QueueError ? STATUS[error.code] : undefined;
  if (status) {
    const headers: Record<string, string> = status === 503 ? { "Retry-After": "2" } : {};
    return new Problem(status, (error as QueueError).code, (error as QueueError).message, [], headers);
  }
  log.error("A request failed.", { error });
  return new Problem(500, "internal", "An internal error occurred. It has been logged.");
}

/** The answer that a problem gives. */
export function problemResponse(c: Context, problem: Problem): Response {
  const { body, headers } = answerOf(problem, c.req.path);
  c.set("problem", problem.code);
  return c.body(body, problem.status, headers);
}

/** What a problem answers to a request for a path. */
export function answerOf(problem: Problem, path: string): { body: string; headers: Record<string, string> } {
  const body = {
    type: `/problems/${problem.code}`,
    title: TITLES[problem.status] ?? "Error",
    status: problem.status,
    code: problem.code,
    detail: problem.message,
    instance: path,
    ...problem.errors.length > 0 ? { errors: problem.errors } : {},
  };
  return { body: JSON.stringify(body), headers: { "Content-Type": "application/problem+json", ...problem.headers } };
}
