/**
 * The choice between sample data and the user's own: only the fields of the chosen kind are shown, and count.
 *
 * @module
 */

import type { JSX } from "preact";
import type { Json } from "../../queue/task/record.ts";
import { fieldsOf, type Schema } from "./schema/schema.ts";

const LABELS = { sample: "Sample data", own: "My data" };

/** The choice, if a form has it; what is given decides what is chosen at first. */
export function DataChoice({ schema, values, own }: {
  schema: Schema;
  values: Record<string, Json>;
  /** Whether own data is chosen though none is given. */
  own: boolean;
}): JSX.Element | null {
  const fields = fieldsOf(schema).filter(([, field]) => field["x-data"] === "own");
  if (fields.length === 0) return null;
  const chosen = own || fields.some(([name]) => values[name] !== undefined) ? "own" : "sample";
  return (
    <fieldset class="data radios">
      <legend class="hidden">Data</legend>
      {Object.entries(LABELS).map(([value, label]) => (
        <label key={value}>
          <input type="radio" name="data" value={value} defaultChecked={value === chosen} />
          {label}
        </label>
      ))}
    </fieldset>
  );
}
