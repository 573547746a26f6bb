/**
 * The form of a task type, made from its JSON Schema. It is a plain form: it works without JavaScript, and what the
 * server refuses comes back with the values kept and each complaint at its field.
 *
 * @module
 */

import type { JSX } from "preact";
import { words } from "./format.ts";
import type { PageData } from "./store.ts";
import { hrefOf } from "./url.ts";

interface Schema {
  type?: string;
  title?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  items?: Schema;
  format?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  "x-unit"?: string;
  "x-multiline"?: boolean;
  /** Takes any JSON. */
  "x-json"?: boolean;
  "x-enumLabels"?: string[];
  "x-file"?: { accept?: string; multiple?: boolean };
}

function range({ minimum, maximum, "x-unit": unit = "" }: Schema): string {
  if (minimum === undefined || maximum === undefined) return unit;
  return `${minimum.toLocaleString("en-US")}–${maximum.toLocaleString("en-US")} ${unit}`.trim();
}

function textOf(value: unknown): string {
  if (value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value, null, 2) : String(value);
}

interface FieldProps {
  name: string;
  schema: Schema;
  value: string | undefined;
  error: string | undefined;
}

function Control({ name, schema, value, error }: FieldProps): JSX.Element {
  const initial = value ?? textOf(schema.default);
  const common = {
    id: `field-${name}`,
    name,
    "aria-describedby": [error && `error-${name}`, `help-${name}`].filter(Boolean).join(" "),
    "aria-invalid": error ? true : undefined,
  };
  if (schema["x-file"]) {
    const { accept, multiple } = schema["x-file"];
    return <input {...common} type="file" accept={accept} multiple={multiple} />;
  }
  if (schema.enum) {
    return (
      <select {...common}>
        {schema.default === undefined && <option value="">(detect)</option>}
        {schema.enum.map((option, i) => (
          <option key={i} value={String(option)} selected={String(option) === initial}>
            {schema["x-enumLabels"]?.[i] ?? String(option)}
          </option>
        ))}
      </select>
    );
  }
  if (schema.type === "boolean") {
    return (
      <select {...common}>
        <option value="true" selected={initial === "true"}>yes</option>
        <option value="false" selected={initial !== "true"}>no</option>
      </select>
    );
  }
  if (schema.type === "integer" || schema.type === "number") {
    return (
      <input
        {...common}
        type="number"
        value={initial}
        min={schema.minimum}
        max={schema.maximum}
        step={schema.type === "integer" ? 1 : "any"}
        required={schema.default !== undefined}
      />
    );
  }
  if (schema.type === "array" || schema.type === "object" || schema["x-multiline"] || schema["x-json"]) {
    return <textarea {...common} rows={3} maxLength={schema.maxLength}>{initial}</textarea>;
  }
  return <input {...common} type="text" value={initial} maxLength={schema.maxLength} />;
}

function Field(props: FieldProps): JSX.Element {
  const { name, schema, error } = props;
  const optional = schema.default === undefined;
  return (
    <div class="field">
      <label for={`field-${name}`}>
        {schema.title ?? words(name)}
        {optional && <span class="muted">(optional)</span>}
        {range(schema) && <span class="muted">{range(schema)}</span>}
      </label>
      <Control {...props} />
      <p class="help" id={`help-${name}`}>{schema.description}</p>
      {error && <p class="error" id={`error-${name}`}>Error: {error}</p>}
    </div>
  );
}

/** The form of the chosen type, below a choice of types. */
export function SubmitForm({ data }: { data: PageData }): JSX.Element | null {
  const { types, view, form } = data;
  const type = types.find((one) => one.type === view.form);
  if (!type) return null;
  const properties = (type.params.properties ?? {}) as Record<string, Schema>;
  const errors = Object.entries(form.errors);
  return (
    <section class="new" aria-label="New task">
      <nav class="tabs" aria-label="Task type">
        {types.map((one) => (
          <a
            key={one.type}
            href={hrefOf(view, { form: one.type })}
            aria-current={one.type === type.type ? "page" : undefined}
          >
            {one.title}
          </a>
        ))}
      </nav>
      <form method="post" action="/tasks" encType="multipart/form-data">
        <p class="muted">{type.description}</p>
        {errors.length > 0 && (
          <div class="error-box" role="alert">
            <strong>The task was not submitted.</strong>
            <ul>
              {errors.map(([name, message]) => (
                <li key={name}>
                  {properties[name]
                    ? <a href={`#field-params.${name}`}>{properties[name].title ?? words(name)}: {message}</a>
                    : message}
                </li>
              ))}
            </ul>
          </div>
        )}
        <input type="hidden" name="task_type" value={type.type} />
        <input type="hidden" name="idempotency_key" value={form.idempotency_key} />
        <div class="grid">
          {Object.entries(properties).map(([name, schema]) => (
            <Field
              key={name}
              name={`params.${name}`}
              schema={schema}
              value={form.values[name]}
              error={form.errors[name]}
            />
          ))}
        </div>
        <div class="buttons">
          <button type="submit" class="primary">Submit</button>
          <a href={hrefOf(view, { form: null })}>Close</a>
        </div>
      </form>
    </section>
  );
}
