/**
 * JSON Schema as a form sees it: which control a field has, what is wrong with a value, and how text becomes a value.
 * Pure; the server reads plain forms by the same rules.
 *
 * @module
 */

import type { Json } from "../../queue/task/record.ts";
import { bytes, number, words } from "../app/format.ts";

/** A JSON Schema with the hints that forms know. */
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
  /** The heading that a field stands under. */
  "x-group"?: string;
  "x-file"?: { accept?: string; multiple?: boolean; maxBytes?: number };
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
    "maxItems propertyNames $schema x-unit x-multiline x-slider x-json x-enumLabels x-order x-group x-file",
  ].join(" ").split(" "),
);

/** The control of a field. Whatever is not understood is a box for JSON, so that nothing is dropped. */
export function controlOf(schema: Schema): Control {
  if (schema["x-json"] || Object.keys(schema).some((keyword) => !KNOWN.has(keyword))) return "json";
  if (schema.const !== undefined || schema.readOnly) return "fixed";
  if (schema["x-file"]) return "file";
  const choices = choicesOf(schema);
  // What has no default may be left open, which radios cannot say.
  if (choices) return choices.length <= 5 && schema.default !== undefined ? "radios" : "select";
  if (schema.oneOf) return "json";
  switch (schema.type) {
    case "string":
      return schema["x-multiline"] || (schema.maxLength ?? 0) > 500 ? "multiline" : "text";
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

/** "1–100 %", "up to 200 characters", "CSV, up to 50 MB": what a field takes, before anything is entered. */
export function boundsOf(schema: Schema, maxUpload: number): string {
  const { minimum, maximum, minItems, maxItems, "x-unit": unit = "", "x-file": file } = schema;
  if (file) {
    const kinds = (file.accept ?? "").split(",").map((part) => part.trim()).filter((part) => part.startsWith("."))
      .map((part) => part.slice(1).toUpperCase());
    return `${kinds.length > 0 ? `${kinds.join(", ")}, ` : ""}up to ${
      bytes(Math.min(file.maxBytes ?? Infinity, maxUpload))
    }`;
  }
  if (minimum !== undefined && maximum !== undefined && Math.abs(maximum) < 1e12) {
    return `${number(minimum)}–${number(maximum)}${unit ? ` ${unit}` : ""}`;
  }
  if (schema.type === "array" && maxItems !== undefined) return `${minItems ?? 0}–${number(maxItems)} lines`;
  return unit;
}

/** A field's value as the text that its control shows. */
export function textOf(schema: Schema, value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  switch (controlOf(schema)) {
    case "json":
      return JSON.stringify(value, null, 2);
    case "lines":
      return Array.isArray(value) ? value.join("\n") : "";
    case "pairs":
      return Object.entries(value as Record<string, Json>).map(([name, text]) => `${name}=${text}`).join("\n");
    default:
      return typeof value === "object" ? JSON.stringify(value) : String(value);
  }
}

/** What was typed is not what the control takes. */
export class TextError extends Error {}

/** The value that a text stands for; undefined if it is empty. */
export function valueOf(schema: Schema, text: string): Json | undefined {
  const control = controlOf(schema);
  if (control === "checkbox") return text === "true" || text === "on";
  if (text === "") return undefined;
  switch (control) {
    case "json":
      try {
        return JSON.parse(text);
      } catch (error) {
        throw new TextError(`Not JSON: ${(error as Error).message}`);
      }
    case "number":
    case "slider": {
      const value = Number(text);
      // The check of the schema says what it should be; the text itself shows what was entered.
      return Number.isNaN(value) || text.trim() === "" ? text : value;
    }
    case "radios":
    case "select":
      return choicesOf(schema)!.find(({ value }) => String(value) === text)?.value ?? text;
    case "lines":
      return linesOf(text);
    case "pairs":
      return Object.fromEntries(
        linesOf(text).map((line) => {
          const at = line.indexOf("=");
          if (at > 0) return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
          throw new TextError(`“${line}” is not name=value.`);
        }),
      );
    default:
      return text.replaceAll("\r\n", "\n");
  }
}

/** The lines of a text that hold something. */
export function linesOf(text: string): string[] {
  return text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
}

const EMAIL = /^[^\s@]+@[^\s@.]+(\.[^\s@.]+)+$/;

function isFormat(format: string, value: string): boolean {
  switch (format) {
    case "email":
      return EMAIL.test(value);
    case "uri":
      return URL.canParse(value);
    case "date-time":
      return !Number.isNaN(Date.parse(value));
    default:
      return true;
  }
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

/** What is wrong with a value, in words that say how to put it right; null if nothing is. */
export function complaintOf(schema: Schema, value: Json | undefined, label: string, required: boolean): string | null {
  if (value === undefined) return required ? `${label} is missing.` : null;
  const unit = schema["x-unit"] ? ` ${schema["x-unit"]}` : "";
  if (schema.type === "integer" || schema.type === "number") {
    const entered = `You entered ${typeof value === "number" ? number(value) : String(value)}.`;
    if (typeof value !== "number") return `${label} must be a number. ${entered}`;
    const { minimum = -Infinity, maximum = Infinity, exclusiveMinimum = -Infinity, exclusiveMaximum = Infinity } =
      schema;
    if (value < minimum || value > maximum || value <= exclusiveMinimum || value >= exclusiveMaximum) {
      const bounds = boundsOf(schema, Infinity);
      return bounds && bounds !== unit.trim()
        ? `${label} must be ${bounds}. ${entered}`
        : `${label} must be ${value < minimum || value <= exclusiveMinimum ? "larger" : "smaller"}. ${entered}`;
    }
    if (schema.type === "integer" && !Number.isInteger(value)) return `${label} must be a whole number. ${entered}`;
    const step = schema.multipleOf;
    if (step && Math.abs(value / step - Math.round(value / step)) > 1e-9) {
      return `${label} must be a multiple of ${number(step)}${unit}. ${entered}`;
    }
    return null;
  }
  const choices = choicesOf(schema);
  if (choices && !choices.some((choice) => choice.value === value)) {
    return `${label} must be one of ${choices.map((choice) => choice.label).join(", ")}.`;
  }
  if (schema.type === "string" && typeof value === "string") {
    const { minLength = 0, maxLength = Infinity, format, pattern } = schema;
    if (value.length < minLength) return `${label} needs ${number(minLength)} characters or more.`;
    if (value.length > maxLength) {
      return `${label} may have ${number(maxLength)} characters. You entered ${number(value.length)}.`;
    }
    if (format && !isFormat(format, value)) {
      const kinds: Record<string, string> = { email: "an address", uri: "a URL", "date-time": "a time" };
      return `${label} must be ${kinds[format] ?? `a ${format}`} such as ${exampleOf(schema)}.`;
    }
    if (!format && pattern && !new RegExp(pattern, "u").test(value)) {
      const example = exampleOf(schema);
      return `${label} has the wrong form${example ? `; it looks like ${example}` : ""}.`;
    }
  }
  if (schema.type === "array" && Array.isArray(value)) {
    const { minItems = 0, maxItems = Infinity, items } = schema;
    if (value.length < minItems) return `${label} needs ${number(minItems)} or more.`;
    if (value.length > maxItems) return `${label} takes ${number(maxItems)}. You entered ${number(value.length)}.`;
    const wrong = items ? value.flatMap((item, i) => complaintOf(items, item, "It", true) ? [i + 1] : []) : [];
    if (wrong.length > 0) {
      return `${label}: ${wrong.length} invalid (line ${wrong.slice(0, 5).join(", ")}${
        wrong.length > 5 ? ", …" : ""
      }).`;
    }
  }
  return null;
}

/** "1,200 addresses, 3 invalid (lines 4, 9, 17)" under a box of lines. */
export function lineCount(schema: Schema, text: string): string {
  const lines = linesOf(text);
  if (lines.length === 0) return "";
  const wrong = lines.flatMap((line, i) => complaintOf(schema.items ?? {}, line, "It", true) ? [i + 1] : []);
  const what = schema.items?.format === "email" ? "address" : "line";
  const all = `${number(lines.length)} ${lines.length === 1 ? what : what === "address" ? "addresses" : "lines"}`;
  if (wrong.length === 0) return all;
  return `${all}, ${number(wrong.length)} invalid (${wrong.length === 1 ? "line" : "lines"} ${
    wrong.slice(0, 5).join(", ")
  }${wrong.length > 5 ? ", …" : ""})`;
}

/** Part of a JSON pointer. */
export function escapePointer(part: string): string {
  return part.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** The value of one field in a form, by its JSON pointer; texts are by pointer too, files were uploaded before. */
export interface FormReader {
  text(pointer: string): string | null;
  /** Ids of the uploads of a field. */
  files(pointer: string): string[];
  /** How many groups a repeatable field has. */
  groups(pointer: string): number;
}

/** Reads the fields of an object out of a form. What the text itself gets wrong is put into `errors` by pointer. */
export function readFields(
  schema: Schema,
  form: FormReader,
  errors: Record<string, string>,
  pointer = "",
): Record<string, Json> {
  const values: Record<string, Json> = {};
  for (const [name, field] of fieldsOf(schema)) {
    const at = `${pointer}/${escapePointer(name)}`;
    const control = controlOf(field);
    if (control === "fixed") {
      if (field.const !== undefined) values[name] = field.const;
    } else if (control === "file") {
      const ids = form.files(at);
      if (ids.length > 0) values[name] = field.type === "array" ? ids : ids[0];
    } else if (control === "group") {
      values[name] = readFields(field, form, errors, at);
    } else if (control === "groups") {
      const groups = Array.from(
        { length: form.groups(at) },
        (_, i) => readFields(field.items!, form, errors, `${at}/${i}`),
      );
      if (groups.length > 0 || field.minItems) values[name] = groups;
    } else {
      const text = form.text(at);
      if (text === null && control !== "checkbox") continue;
      try {
        const value = valueOf(field, text ?? "");
        if (value !== undefined) values[name] = value;
      } catch (error) {
        if (!(error instanceof TextError)) throw error;
        errors[at] = error.message;
      }
    }
  }
  return values;
}

/** Checks the values of an object; what is wrong is put into `errors` by pointer. */
export function checkFields(
  schema: Schema,
  values: Record<string, Json>,
  errors: Record<string, string>,
  pointer = "",
): void {
  for (const [name, field] of fieldsOf(schema)) {
    const at = `${pointer}/${escapePointer(name)}`;
    if (errors[at]) continue;
    const control = controlOf(field);
    const value = values[name];
    const label = labelOf(name, field);
    if (control === "group") checkFields(field, (value ?? {}) as Record<string, Json>, errors, at);
    else if (control === "groups" && Array.isArray(value)) {
      value.forEach((group, i) => checkFields(field.items!, group as Record<string, Json>, errors, `${at}/${i}`));
    }
    // Of a file, the name stands where its id will be.
    const checked = control === "file"
      ? { minItems: field.minItems, maxItems: field.maxItems, type: field.type }
      : field;
    const complaint = complaintOf(
      control === "file" && field.type !== "array" ? {} : checked,
      value,
      label,
      isRequired(schema, name),
    );
    if (complaint) errors[at] = complaint;
  }
}

/** Whether a field must be given. One with a default is given by leaving it as it is. */
export function isRequired(schema: Schema, name: string): boolean {
  return (schema.required?.includes(name) ?? false) && schema.properties?.[name]?.default === undefined;
}
