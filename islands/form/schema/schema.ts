/**
 * JSON Schema as a form sees it: which control a field has, what is wrong with a value, and how text becomes a value.
 * Pure; the server reads plain forms by the same rules.
 *
 * @module
 */

import type { Json } from "../../../queue/task/record.ts";
import { bytes, number, words } from "../../app/format.ts";

/** A JSON Schema with the hints that forms support. */
export interface Schema {
  type?: string;
  title?: string;
  description?: string;
  default?: Json;
  const?: Json;
  readOnly?: boolean;
  writeOnly?: boolean;
  enum?: Json[];
  oneOf?: { const?: Json; title?: string }[];
  anyOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  required?: string[];
  format?: string;
  pattern?: string;
  examples?: Json[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  "x-unit"?: string;
  "x-multiline"?: boolean;
  "x-slider"?: boolean;
  /** Takes any JSON. */
  "x-json"?: boolean;
  "x-enumLabels"?: string[];
  "x-order"?: string[];
  /** The heading that a field is shown under. */
  "x-group"?: string;
  "x-file"?: { accept?: string; multiple?: boolean; maxBytes?: number };
  /** It counts with sample data only, or with the user's own data only. */
  "x-data"?: "sample" | "own";
}

/** Which control a field has. */
export type Control =
  | "text"
  | "multiline"
  | "number"
  | "slider"
  | "checkbox"
  | "radios"
  | "select"
  | "lines"
  | "pairs"
  | "group"
  | "groups"
  | "file"
  | "fixed"
  | "json";

/** Choices of a field, with what they are called. */
export function choicesOf(schema: Schema): { value: Json; label: string }[] | null {
  if (schema.enum) {
    return schema.enum.map((value, i) => ({ value, label: schema["x-enumLabels"]?.[i] ?? String(value) }));
  }
  const options = schema.oneOf;
  if (!options || !options.every((option) => option.const !== undefined)) return null;
  return options.map((option) => ({ value: option.const!, label: option.title ?? String(option.const) }));
}

const KNOWN = new Set(
  [
    "type title description default const readOnly writeOnly enum oneOf items properties additionalProperties required",
    "format pattern examples minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength minItems",
    "maxItems propertyNames $schema x-unit x-multiline x-slider x-json x-enumLabels x-order x-group x-file x-data",
  ].join(" ").split(" "),
);

/** The control of a field. Unsupported schemas get a JSON text box, so that nothing is lost. */
export function controlOf(schema: Schema): Control {
  if (schema["x-json"] || Object.keys(schema).some((keyword) => !KNOWN.has(keyword))) return "json";
  if (schema.const !== undefined || schema.readOnly) return "fixed";
  if (schema["x-file"]) return "file";
  const choices = choicesOf(schema);
  // A field without a default may be left empty, which radio buttons cannot express.
  if (choices) return choices.length <= 5 && schema.default !== undefined ? "radios" : "select";
  if (schema.oneOf) return "json";
  switch (schema.type) {
    case "string":
      return schema["x-multiline"] ?? ((schema.maxLength ?? 0) > 500 && !schema.format) ? "multiline" : "text";
    case "integer":
    case "number":
      return schema["x-slider"] && schema.minimum !== undefined && schema.maximum !== undefined ? "slider" : "number";
    case "boolean":
      return "checkbox";
    case "array":
      if (schema.items?.type === "string") return "lines";
      return schema.items?.type === "object" && schema.items.properties ? "groups" : "json";
    case "object":
      if (schema.properties) return "group";
      return isTextOnly(schema.additionalProperties) ? "pairs" : "json";
  }
  return "json";
}

function isTextOnly(schema: boolean | Schema | undefined): boolean {
  return typeof schema === "object" && schema.type === "string";
}

/** The fields of an object, in their order. */
export function fieldsOf(schema: Schema): [string, Schema][] {
  const all = Object.entries(schema.properties ?? {});
  const order = schema["x-order"];
  if (!order) return all;
  const place = (name: string) => order.includes(name) ? order.indexOf(name) : order.length;
  return all.sort(([a], [b]) => place(a) - place(b));
}

/** What a field is called. */
export function labelOf(name: string, schema: Schema): string {
  if (schema.title) return schema.title;
  const text = words(name);
  return text[0].toUpperCase() + text.slice(1);
}

/** The kinds of files that a field takes, in words: "PNG, JPEG or WebP". */
export function kindsOf(accept = ""): string {
  const kinds = accept.split(",").map((kind) => kind.trim().replace(/^.*[./]|\+.*$/g, "").toUpperCase());
  const shown = [...new Set(kinds)].filter((kind) => kind && kind !== "PLAIN" && !kind.includes("-"));
  return shown.join(", ").replace(/, (?=[^,]*$)/, " or ");
}

/** "1–100 %", "up to 200 characters", "CSV, up to 50 MB": what a field takes, before anything is entered. */
export function boundsOf(schema: Schema, maxUpload: number): string {
  const { minimum, maximum, maxItems, "x-unit": unit = "", "x-file": file } = schema;
  if (file) {
    const kinds = kindsOf(file.accept);
    return `${kinds && `${kinds}, `}up to ${bytes(Math.min(file.maxBytes ?? Infinity, maxUpload))}`;
  }
  if (minimum !== undefined && maximum !== undefined && Math.abs(maximum) < 1e12) {
    return `${number(minimum)}–${number(maximum)}${unit ? ` ${unit}` : ""}`;
  }
  if (schema.type === "array" && maxItems !== undefined) return `up to ${number(maxItems)}`;
  return unit;
}

const EXAMPLES: Record<string, string> = {
  email: "ana@example.com",
  uri: "https://example.com/path",
  "date-time": "2026-11-25T14:00:00Z",
};

/** An example of what a field takes; "" if there is none. */
export function exampleOf({ examples, format = "" }: Schema): string {
  return examples?.length ? String(examples[0]) : EXAMPLES[format] ?? "";
}

/** Whether a field must be given. A field with a default can be left as it is. */
export function isRequired(schema: Schema, name: string): boolean {
  return (schema.required?.includes(name) ?? false) && schema.properties?.[name]?.default === undefined;
}
