/**
 * Reads a whole form by its schema and checks it.
 *
 * @module
 */

import type { Json } from "../../../queue/task/record.ts";
import { complaintOf, TextError, valueOf } from "./values.ts";
import { controlOf, fieldsOf, isRequired, labelOf, type Schema } from "./schema.ts";
import { escapePointer } from "../../../queue/task/errors.ts";

/** The value of one field in a form, by its JSON pointer; texts are by pointer too, files were uploaded before. */
export interface FormReader {
  text(pointer: string): string | null;
  /** Ids of the uploads of a field. */
  files(pointer: string): string[];
  /** How many groups a repeatable field has. */
  groups(pointer: string): number;
}

/** Reads the fields of an object out of a form. Errors in the text itself are put into `errors` by pointer. */
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

/** Checks the values of an object; errors are put into `errors` by pointer. */
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
    // For a file, its name stands in for its id.
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

/**
 * Takes away what does not count: the fields of sample data or those of the user's own data. If own data is chosen and
 * none is given, an error says so.
 *
 * @param data Which was chosen; null for a form without the choice.
 */
export function dropUnused(
  schema: Schema,
  values: Record<string, Json>,
  errors: Record<string, string>,
  data: string | null,
  pointer: string,
): void {
  if (data === null) return;
  const of = (kind: string) => fieldsOf(schema).filter(([, field]) => field["x-data"] === kind).map(([name]) => name);
  const own = of("own");
  for (const name of data === "own" ? of("sample") : own) {
    delete values[name];
    delete errors[`${pointer}/${escapePointer(name)}`];
  }
  if (data !== "own" || own.length === 0 || own.some((name) => values[name] !== undefined)) return;
  errors[`${pointer}/${escapePointer(own[0])}`] ??= `${
    own.map((name) => labelOf(name, schema.properties![name])).join(" or ")
  }: missing.`;
}
