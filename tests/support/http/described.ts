/** Answers of the API are what `/openapi.json` says they are. */

import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { Registry } from "../../../queue/define.ts";
import { createHandlers } from "../../../queue/handlers/mod.ts";
import { systemClock } from "../../../queue/task/clock.ts";
import { createOpenApiDocument } from "../../../routes/openapi/document.ts";
import { ok } from "../assert.ts";

/** An operation of a document, as far as it is looked at. */
interface Described {
  operationId: string;
  responses: Record<string, {
    headers?: Record<string, { required?: boolean }>;
    content?: Record<string, { schema: unknown }>;
  }>;
}

const handlers = createHandlers(systemClock);
/** The description of this installation's API. */
export const DOCUMENT = createOpenApiDocument(new Registry(handlers.definitions), "/") as {
  paths: Record<string, Record<string, Described>>;
};
await handlers.close();

const ajv = new Ajv2020({ strict: false, allErrors: true });
// deno-lint-ignore no-explicit-any
(addFormats as any)(ajv);
ajv.addSchema(DOCUMENT, "document");

const PATTERNS = Object.keys(DOCUMENT.paths).map((path) => ({
  path,
  pattern: new RegExp(`^${path.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]+")}/?$`),
}));

/** The description of a request; undefined: there is none. A literal path goes before one with a parameter. */
export function describedAs(method: string, path: string): { path: string; operation: Described } | undefined {
  const [bare] = path.split("?");
  return PATTERNS.filter(({ pattern }) => pattern.test(bare))
    .toSorted((a, b) => a.path.split("{").length - b.path.split("{").length)
    .map(({ path }) => ({ path, operation: DOCUMENT.paths[path][method.toLowerCase()] }))
    .find(({ operation }) => operation);
}

/** Whether an answer has one of the media types of a description; `application/octet-stream` stands for any. */
function mediaOf(content: Record<string, unknown>, type: string): string | undefined {
  const bare = type.split(";")[0];
  if (bare in content) return bare;
  return "application/octet-stream" in content ? "application/octet-stream" : undefined;
}

/** Asserts that an answer is described: its status, its headers, its media type and its JSON. Does not use up its body. */
export async function assertDescribed(method: string, path: string, answer: Response): Promise<void> {
  if (method === "HEAD" || method === "OPTIONS" || answer.status === 404 || answer.status === 405) return;
  const described = describedAs(method, path);
  if (!described) {
    ok(!path.startsWith("/api/") || answer.status >= 400, `${method} ${path} is not described.`);
    return;
  }
  const name = `${method} ${described.path}`;
  const response = described.operation.responses[answer.status];
  ok(response, `${name} does not describe ${answer.status}.`);
  for (const [header, { required }] of Object.entries(response.headers ?? {})) {
    ok(!required || answer.headers.has(header), `${name} answers ${answer.status} without ${header}.`);
  }
  const type = answer.headers.get("Content-Type");
  // A 304 says of what type the content would be.
  if (type === null || answer.status === 304) return;
  const media = mediaOf(response.content ?? {}, type);
  ok(media, `${name} does not describe ${answer.status} as ${type}.`);
  if (!/json$/.test(media)) return;
  const pointer = ["paths", described.path, method.toLowerCase(), "responses", String(answer.status), "content", media]
    .map((part) => encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/");
  const validate = ajv.getSchema(`document#/${pointer}/schema`)!;
  const body = await answer.clone().json();
  const errors = validate(body) ? [] : validate.errors!;
  ok(
    errors.length === 0,
    `${name} ${answer.status}: ${JSON.stringify(errors.slice(0, 5))} ${JSON.stringify(body).slice(0, 500)}`,
  );
}
