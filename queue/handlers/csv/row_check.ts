/**
 * Checks rows by a JSON Schema: each row is an object with its columns as properties.
 *
 * @module
 */

import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import { default as addFormats } from "ajv-formats";
import { NUMBER, trimEnd, trimStart, ValueReader } from "./columns/values.ts";
import type { FoundRecord } from "./text/records.ts";

/** A schema as JSON. */
export type RowSchema = { properties?: Record<string, { type?: string | string[] }>; [keyword: string]: unknown };

/** Compiles a schema of draft 7, which is the default, or 2020-12; one that is no schema throws. */
export function compile(schema: RowSchema): ValidateFunction {
  const is2020 = typeof schema.$schema === "string" && schema.$schema.includes("2020-12");
  const ajv = new (is2020 ? Ajv2020 : Ajv)({ strict: false, allErrors: false, validateFormats: true });
  addFormats.default(ajv);
  return ajv.compile(schema);
}

/** Finds what is wrong with a row. */
export class RowCheck {
  readonly #schema: RowSchema;
  readonly #validate: ValidateFunction;
  readonly #reader = new ValueReader();
  #names: string[] = [];

  /** @param commaFirst Whether a number that can be read both ways has a decimal comma. */
  constructor(schema: RowSchema, private readonly commaFirst: boolean) {
    this.#schema = schema;
    this.#validate = compile(schema);
  }

  /** Sets the columns' names. */
  choose(names: string[]): void {
    this.#names = names;
  }

  /** What is wrong with a row; null if nothing is. Missing values are no properties. */
  faultOf(
    bytes: Uint8Array,
    { starts, ends, length }: FoundRecord,
    isMissing: (start: number, end: number) => boolean,
  ): string | null {
    const row: Record<string, unknown> = {};
    for (let i = 0; i < length; i++) {
      const start = trimStart(bytes, starts[i], ends[i]);
      const end = trimEnd(bytes, start, ends[i]);
      if (start === end || isMissing(start, end)) continue;
      const name = this.#names[i];
      const value = this.#typed(bytes, start, end, [this.#schema.properties?.[name]?.type ?? []].flat());
      // Not an assignment: a column may be called __proto__.
      Object.defineProperty(row, name, { value, enumerable: true, configurable: true });
    }
    if (this.#validate(row)) return null;
    return `does not match the schema: ${wordsOf(this.#validate.errors![0])}`.slice(0, 300);
  }

  /** A value as the schema means it: text where it does not say, or where the value is not of the type it says. */
  #typed(bytes: Uint8Array, start: number, end: number, types: string[]): unknown {
    const text = new TextDecoder().decode(bytes.subarray(start, end));
    if (types.includes("boolean") && /^(true|false)$/i.test(text)) return text.toLowerCase() === "true";
    if (!types.includes("integer") && !types.includes("number")) return text;
    const reader = this.#reader;
    if (!(reader.read(bytes, start, end) & NUMBER)) return text;
    const preferred = reader.preferred(this.commaFirst);
    if (types.includes("number") || Number.isInteger(preferred)) return preferred;
    // 1.234 is whole where points separate thousands.
    return [reader.first, reader.second].find(Number.isInteger) ?? preferred;
  }
}

function wordsOf({ instancePath, message = "it is not valid", params }: ErrorObject): string {
  const name = instancePath.slice(1).replaceAll("~1", "/").replaceAll("~0", "~");
  const allowed = Array.isArray(params.allowedValues) ? `: ${params.allowedValues.join(", ")}` : "";
  return `${name === "" ? "the row" : name} ${message}${allowed}`;
}
