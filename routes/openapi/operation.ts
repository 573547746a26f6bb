/**
 * How an operation is described, and what of that is the same for all.
 *
 * @module
 */

import * as z from "zod";
import type { ZodOpenApiOperationObject, ZodOpenApiResponseObject } from "zod-openapi";
import { about, id } from "./basics.ts";
import { type ProblemCode, PROBLEMS } from "./problems.ts";
import type { Role } from "../settings.ts";

/** What an operation answers with a status. */
export interface Answer {
  description: string;
  /** JSON of this schema. */
  schema?: z.ZodType;
  /** Another media type than JSON, whose content has no schema. */
  media?: string[];
  headers?: z.ZodObject;
}

/** A body in JSON. */
export interface Body {
  schema: z.ZodType;
  /** By name. */
  examples: Record<string, unknown>;
  /** Whether it may be left out. Default false. */
  optional?: boolean;
}

/** An operation in short. */
export interface Operation {
  /** Unique among all. */
  id: string;
  tag: string;
  summary: string;
  description?: string;
  /** The lowest role that may call it. Default viewer; anyone: no token is needed. */
  role?: Role | "anyone";
  /** The parameters in the path. */
  path?: z.ZodObject;
  query?: z.ZodObject;
  headers?: z.ZodObject;
  body?: Body | { content: NonNullable<ZodOpenApiOperationObject["requestBody"]>["content"] };
  answers: Record<number, Answer>;
  /** The problems that are its own, beside those that any request may meet. */
  problems?: ProblemCode[];
}

/** Operations by method and path: `GET /api/stats`. */
export type Operations = Record<string, Operation>;

/** A path with an id in it. */
export const idPath = z.object({ id: about(id, "Its id.") });

/** Makes a repeated request do its work once. */
export const idempotencyKey = {
  "Idempotency-Key": z.string().min(1).max(200).optional().meta({
    description: "Sent again with the same key within 24 hours, the request is answered by what it made first.",
  }),
};

/** Where what was made is. */
export const location = z.object({ Location: about(z.string(), "The address of what was made.") });

/** One field that is wrong. */
const issue = z.object({
  pointer: about(z.string().optional(), "JSON pointer into the body."),
  parameter: about(z.string().optional(), "Name of the parameter of the query, or of the header."),
  detail: z.string(),
});

/** A problem (RFC 9457). */
export const problem = z.object({
  type: about(z.string(), "`/problems/` and the code.").meta({ example: "/problems/not_found" }),
  title: z.string().meta({ example: "Not found" }),
  status: z.int().meta({ example: 404 }),
  code: about(z.enum(Object.keys(PROBLEMS) as ProblemCode[]), "Stable, machine-readable.").meta({
    example: "not_found",
  }),
  detail: about(z.string(), "What went wrong, in words."),
  instance: about(z.string(), "The path that was asked for.").meta({ example: "/api/tasks/1" }),
  errors: z.array(issue).optional(),
}).meta({ id: "Problem" });

const RETRY_AFTER = z.object({ "Retry-After": about(z.string(), "Seconds to wait before it is tried again.") });
const RATE_LIMIT = RETRY_AFTER.extend({
  "RateLimit-Policy": z.string().optional().meta({
    description: "Where a rate is the limit: how much in which window.",
  }),
  RateLimit: z.string().optional().meta({ description: "What is left of it, and in how many seconds there is more." }),
});
const CHALLENGE = z.object({ "WWW-Authenticate": z.string() });

/** The answers that tell problems, by their status. */
function problemResponses(codes: ProblemCode[]): Record<string, ZodOpenApiResponseObject> {
  const statuses = [...new Set(codes.flatMap((code) => [...PROBLEMS[code].status]))].sort((a, b) => a - b);
  return Object.fromEntries(statuses.map((status) => {
    const those = codes.filter((code) => (PROBLEMS[code].status as readonly number[]).includes(status));
    const headers = status === 429 ? RATE_LIMIT : status === 503 ? RETRY_AFTER : status === 401 ? CHALLENGE : undefined;
    return [String(status), {
      description: those.map((code) => `\`${code}\`: ${PROBLEMS[code].when}`).join("\n\n"),
      headers,
      content: {
        "application/problem+json": {
          schema: {
            allOf: [{ $ref: "#/components/schemas/Problem" }],
            properties: { status: { const: status }, code: { enum: those } },
          },
        },
      },
    }];
  }));
}

/** The answers of an operation, by their status. */
function answerResponses(answers: Record<number, Answer>): Record<string, ZodOpenApiResponseObject> {
  return Object.fromEntries(
    Object.entries(answers).map(([status, { description, schema, media = [], headers }]) => {
      const content = {
        ...schema && { "application/json": { schema } },
        ...Object.fromEntries(media.map((type) => [type, { schema: CONTENT }])),
      };
      return [status, { description, ...headers && { headers }, ...Object.keys(content).length > 0 && { content } }];
    }),
  );
}

/** Both kinds of answers; where they share a status, its description says both, and no header is certain. */
function merged(
  answers: Record<string, ZodOpenApiResponseObject>,
  problems: Record<string, ZodOpenApiResponseObject>,
): Record<string, ZodOpenApiResponseObject> {
  const all = { ...problems };
  for (const [status, answer] of Object.entries(answers)) {
    const problem = all[status];
    all[status] = problem
      ? {
        description: `${answer.description}\n\n${problem.description}`,
        content: { ...answer.content, ...problem.content },
      }
      : answer;
  }
  return all;
}

/** Problems of any request, of those that need a token, change something, or have a body. */
const ANY: ProblemCode[] = ["too_many_requests", "misdirected", "not_acceptable", "internal", "busy", "closed"];
const GUARDED: ProblemCode[] = ["unauthorized", "too_many_guesses"];
const CHANGING: ProblemCode[] = ["foreign_origin", "conflict", "fenced", "outcome_unknown"];
const WITH_BODY: ProblemCode[] = [
  ...["broken_json", "broken_encoding", "too_large", "unsupported_encoding", "unsupported_media_type"] as const,
  "invalid_input",
];

/** An operation as OpenAPI has it. */
export function describe(method: string, operation: Operation): ZodOpenApiOperationObject {
  const { id: operationId, tag, summary, role = "viewer", path, query, headers, body, answers } = operation;
  const isChange = method !== "get";
  const codes: ProblemCode[] = [
    ...ANY,
    ...role === "anyone" ? [] : GUARDED,
    ...role === "operator" || role === "admin" ? ["forbidden" as const] : [],
    ...isChange ? CHANGING : [],
    ...body && "schema" in body ? WITH_BODY : [],
    ...query ? ["bad_query" as const] : [],
    ...headers && "Idempotency-Key" in headers.shape
      ? ["bad_idempotency_key" as const, "idempotency_mismatch" as const]
      : [],
    ...operation.problems ?? [],
  ];
  const needs = role === "anyone" ? "" : `Needs the role ${role}.`;
  return {
    operationId,
    tags: [tag],
    summary,
    description: [operation.description, needs].filter(Boolean).join(" "),
    security: role === "anyone" ? [] : undefined,
    requestParams: { ...path && { path }, ...query && { query }, ...headers && { header: headers } },
    requestBody: body && ("schema" in body
      ? {
        required: !body.optional,
        content: {
          "application/json": {
            schema: body.schema,
            examples: Object.fromEntries(
              Object.entries(body.examples).map((
                [name, value],
              ) => [name.replaceAll(/\W+/g, "_"), { summary: name, value }]),
            ),
          },
        },
      }
      : { required: true, content: body.content }),
    responses: merged(answerResponses(answers), problemResponses([...new Set(codes)])),
  };
}

/** Content that is not JSON. */
const CONTENT = z.string().meta({ override: { type: "string", description: "The content." } });
