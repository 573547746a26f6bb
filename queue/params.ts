/**
 * Parameters of tasks: checked by the schema of their type, and what is read of them.
 *
 * @module
 */

import { escapePointer, type InputIssue, InvalidInputError } from "./task/errors.ts";
import * as z from "zod";
import type { Json } from "./task/record.ts";
import type { AnyTaskDefinition } from "./define.ts";

/** The issues of a failed parse, with pointers below `root`. */
export function issuesOf(error: z.ZodError, root: string): InputIssue[] {
  return error.issues.flatMap((issue) => {
    const at = root + issue.path.map((part) => "/" + escapePointer(String(part))).join("");
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({ pointer: `${at}/${escapePointer(key)}`, detail: "Unknown field." }));
    }
    if (issue.code === "invalid_union" && issue.errors.length > 0) {
      // In a union, the variant with the fewest issues is the one the sender meant.
      const best = issue.errors.toSorted((a, b) => a.length - b.length)[0];
      return issuesOf(new z.ZodError(best), at);
    }
    return [{ pointer: at, detail: issue.message }];
  });
}

/**
 * Checks the parameters of a task and fills in their defaults.
 *
 * @throws {InvalidInputError} With a pointer below `root` for each thing that is wrong.
 */
export function parseParams(definition: AnyTaskDefinition, input: unknown, root: string): unknown {
  const parsed = definition.params.safeParse(input);
  if (!parsed.success) throw new InvalidInputError(issuesOf(parsed.error as z.ZodError, root));
  return parsed.data;
}

const schemas = new WeakMap<AnyTaskDefinition, Record<string, unknown>>();

/** JSON Schema of a type's parameters, as the form and the catalogue show it. */
export function paramsSchema(definition: AnyTaskDefinition): Record<string, unknown> {
  let schema = schemas.get(definition);
  if (!schema) {
    schema = z.toJSONSchema(definition.params, { io: "input" }) as Record<string, unknown>;
    schemas.set(definition, schema);
  }
  return schema;
}

const plain = new WeakMap<AnyTaskDefinition, boolean>();

/**
 * Whether a definition only checks parameters and fills in defaults: then the parsed parameters are stored, since
 * parsing them again gives the same. Anything that changes a value (transform, preprocess, overwrite, coerce, catch)
 * may change it a second time: then the parameters are stored as sent.
 */
export function onlyChecks(definition: AnyTaskDefinition): boolean {
  let is = plain.get(definition);
  if (is === undefined) plain.set(definition, is = isPlain(definition.params, new Set()));
  return is;
}

/** Kinds of zod schemas that return a value, or parts of it, unchanged. */
const PLAIN_KINDS = new Set([
  ...["string", "number", "int", "bigint", "boolean", "null", "undefined", "void", "any", "unknown", "never", "enum"],
  ...["literal", "object", "array", "tuple", "record", "union", "intersection", "optional", "nullable", "default"],
  ...["nonoptional", "readonly", "lazy", "template_literal"],
]);

function isPlain(value: unknown, seen: Set<unknown>): boolean {
  if (typeof value !== "object" || value === null || seen.has(value)) return true;
  seen.add(value);
  if (Array.isArray(value)) return value.every((item) => isPlain(item, seen));
  const def = (value as { _zod?: { def: Record<string, unknown> } })._zod?.def;
  if (!def) {
    // The shape of an object, by name.
    return Object.getPrototypeOf(value) !== Object.prototype || Object.values(value).every((one) => isPlain(one, seen));
  }
  if (def.check === "overwrite" || def.coerce === true || def.normalize === true) return false;
  if (typeof def.check !== "string" && !PLAIN_KINDS.has(def.type as string)) return false;
  if (def.type === "default") {
    // zod does not parse a default: it may turn out invalid, or change, when it is parsed later.
    const { success, data } = z.safeParse(def.innerType as z.ZodType, def.defaultValue);
    if (!success || JSON.stringify(data) !== JSON.stringify(def.defaultValue)) return false;
  }
  return Object.entries(def).every(([name, part]) => {
    if (name === "getter") return isPlain((part as () => unknown)(), seen);
    return name === "defaultValue" || name === "error" || isPlain(part, seen);
  });
}

/** The JSON pointer of a value within parameters: of a field or of an item in one. */
export function pointerTo(params: Json, value: string): string {
  for (const [name, field] of Object.entries(params as Record<string, Json>)) {
    if (field === value) return `/${escapePointer(name)}`;
    if (Array.isArray(field) && field.includes(value)) return `/${escapePointer(name)}/${field.indexOf(value)}`;
  }
  return "";
}

/** The uploads that parameters name: values of properties whose schema has `x-file`. */
export function uploadsOf(definition: AnyTaskDefinition, params: unknown): string[] {
  const schema = paramsSchema(definition) as { properties?: Record<string, Record<string, unknown>> };
  const found: string[] = [];
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (!("x-file" in property)) continue;
    const value = (params as Record<string, unknown>)[name];
    if (typeof value === "string") found.push(value);
    else if (Array.isArray(value)) found.push(...value as string[]);
  }
  return [...new Set(found)];
}
