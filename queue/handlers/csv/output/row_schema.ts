/**
 * A JSON Schema of the rows of a file, made from its statistics.
 *
 * @module
 */

import type { ColumnStatistics } from "../columns/statistics.ts";

const DIALECT = "https://json-schema.org/draft/2020-12/schema";

/** The schema that all rows of the file match: each is an object with its columns as properties; missing values are none. */
export function rowSchemaOf(name: string, columns: ColumnStatistics[]): Record<string, unknown> {
  return {
    $schema: DIALECT,
    title: name,
    type: "object",
    properties: Object.fromEntries(columns.map((column) => [column.name, propertyOf(column)])),
    required: columns.filter(({ missing, count }) => missing === 0 && count > 0).map((column) => column.name),
    additionalProperties: false,
  };
}

function propertyOf({ type, min, max, lengths, distinct, distinct_estimated, count, top_values }: ColumnStatistics) {
  const range = {
    ...typeof min === "number" ? { minimum: min } : {},
    ...typeof max === "number" ? { maximum: max } : {},
  };
  if (type === "integer") return { type: "integer", ...range };
  if (type === "decimal") return { type: "number", ...range };
  if (type !== "text" || !lengths) return type === "empty" ? {} : { type: "string" };
  // Values that repeat, all of them among the most frequent ones, are a list of choices.
  // Longer ones are cut in the statistics.
  const isChoice = !distinct_estimated && distinct <= top_values.length && count >= 2 * distinct && lengths.max <= 25;
  return {
    type: "string",
    minLength: lengths.min,
    maxLength: lengths.max,
    ...isChoice ? { enum: top_values.map(({ value }) => value) } : {},
  };
}
