/**
 * The description of the API by OpenAPI 3.1, from the very schemas that check its requests.
 *
 * @module
 */

import * as z from "zod";
import { createDocument, type ZodOpenApiPathsObject } from "zod-openapi";
import { paramsSchema } from "../../queue/params.ts";
import type { Registry } from "../../queue/define.ts";
import { submissionSchema } from "../../queue/submit/submission.ts";
import { ACCESS_OPERATIONS } from "./access.ts";
import { FILE_OPERATIONS } from "./files.ts";
import { describe, type Operations, problem } from "./operation.ts";
import { SCHEDULE_OPERATIONS } from "./schedules.ts";
import { SERVICE_OPERATIONS } from "./service.ts";
import { taskOperations } from "./tasks.ts";

/** The version of the API: it changes when a client would have to. */
const API_VERSION = "1";

const TAGS = [
  { name: "Tasks", description: "Submit tasks, watch them, cancel and retry them." },
  { name: "Files", description: "What tasks are given and what they make." },
  { name: "Schedules", description: "Tasks that are submitted again and again." },
  { name: "Service", description: "Task types, statistics, health, metrics, alerts, the live stream." },
  { name: "Access", description: "Tokens, and the audit log." },
  { name: "Messages", description: "Messages of Deno KV's queue that did not become tasks." },
  { name: "Mail", description: "The suppression list." },
];

/** The name of a type's schema: `CsvProcessing`. */
const nameOf = (type: string) => type.replaceAll(/(^|_)([a-z0-9])/g, (_, _start, letter) => letter.toUpperCase());

/** A submission: one schema for each type, told apart by `task_type`. */
function submissionOf(registry: Registry): z.ZodType {
  const types = registry.public().map(({ type, title, params }) =>
    z.strictObject({
      ...submissionSchema.shape,
      task_type: z.literal(type),
      input_params: params.meta({ id: `${nameOf(type)}Params` }).optional(),
    }).meta({ id: `${nameOf(type)}Submission`, title })
  );
  const [first] = types;
  if (!first) return submissionSchema;
  return z.discriminatedUnion("task_type", types as [typeof first]).meta({ id: "Submission" });
}

/** Every operation by method and path. */
export function operationsOf(registry: Registry): Operations {
  return {
    ...taskOperations(submissionOf(registry)),
    ...FILE_OPERATIONS,
    ...SCHEDULE_OPERATIONS,
    ...SERVICE_OPERATIONS,
    ...ACCESS_OPERATIONS,
  };
}

/**
 * The document.
 *
 * @param server The address of the API, as a client sees it: `/`, or a base path.
 */
export function createOpenApiDocument(registry: Registry, server: string): Record<string, unknown> {
  const paths: Record<string, ZodOpenApiPathsObject[string]> = {};
  for (const [key, operation] of Object.entries(operationsOf(registry))) {
    const [method, path] = key.split(" ");
    paths[path] = { ...paths[path], [method.toLowerCase()]: describe(method.toLowerCase(), operation) };
  }
  const params = new Map(
    registry.public().map((definition) => [
      `${nameOf(definition.type)}Params`,
      paramsSchema(definition),
    ]),
  );
  return createDocument({
    openapi: "3.1.1",
    info: {
      title: "Millrace",
      version: API_VERSION,
      description: "Background tasks: submit them, watch them move, and read what they made. Times are RFC 3339 in " +
        "UTC, lengths of time are seconds unless their name says otherwise. Errors are problem details (RFC 9457).",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: server }],
    tags: TAGS,
    security: [{ token: [] }, { session: [] }],
    components: {
      schemas: { Problem: problem },
      securitySchemes: {
        token: {
          type: "http",
          scheme: "bearer",
          description:
            "A token of API_TOKENS or of /api/tokens. None is needed where neither API_TOKENS nor OIDC_ISSUER is set.",
        },
        session: { type: "apiKey", in: "cookie", name: "millrace_session", description: "The sign-in at /login." },
      },
    },
    paths,
  }, {
    override: ({ jsonSchema }) => {
      const known = params.get(String((jsonSchema as { id?: string }).id));
      if (known) Object.assign(jsonSchema, known);
    },
  }) as unknown as Record<string, unknown>;
}
