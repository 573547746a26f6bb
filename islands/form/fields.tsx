/**
 * The fields of a form, made from a JSON Schema. They work without JavaScript; with it, each shows its error on
 * blur.
 *
 * @module
 */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Json } from "../../queue/task/record.ts";
import { boundsOf, controlOf, exampleOf, fieldsOf, isRequired, labelOf, type Schema } from "./schema/schema.ts";
import { escapePointer } from "../../queue/task/errors.ts";
import { Control, controlProps, type FieldContext, type FieldProps, initial } from "./controls.tsx";

/** What a field says when something is wrong with it. */
export function FieldError(
  { pointer, errors }: { pointer: string; errors: Record<string, string> },
): JSX.Element | null {
  const error = errors[pointer];
  return error ? <p class="error" id={`error${pointer}`}>Error: {error}</p> : null;
}

function Group(props: FieldProps): JSX.Element {
  const { name, pointer, schema, value, context } = props;
  return (
    <fieldset class="group">
      <legend>{labelOf(name, schema)}</legend>
      {schema.description && <p class="help">{schema.description}</p>}
      <Fields schema={schema} pointer={pointer} values={(value ?? {}) as Record<string, Json>} context={context} />
    </fieldset>
  );
}

/** A group that can be repeated. */
function Groups(props: FieldProps): JSX.Element {
  const { name, pointer, schema, context } = props;
  const given = Array.isArray(props.value) ? props.value : Array.isArray(schema.default) ? schema.default : [];
  const start = given.length > 0 ? given : Array.from({ length: Math.max(1, schema.minItems ?? 0) }, () => ({}));
  const [items, setItems] = useState(start.map((value, key) => ({ key, value: value as Record<string, Json> })));
  const label = labelOf(name, schema);
  const move = (from: number, to: number) => {
    const next = [...items];
    next.splice(to, 0, ...next.splice(from, 1));
    setItems(next);
  };
  return (
    <fieldset class="group" data-groups={pointer} data-count={items.length}>
      <legend>{label}</legend>
      {schema.description && <p class="help">{schema.description}</p>}
      {items.map(({ key, value }, i) => (
        <fieldset key={key} class="group">
          <legend>{i + 1}</legend>
          <Fields schema={schema.items!} pointer={`${pointer}/${i}`} values={value} context={context} />
          <div class="buttons js">
            <button type="button" disabled={i === 0} onClick={() => move(i, i - 1)}>Move up</button>
            <button type="button" disabled={i === items.length - 1} onClick={() => move(i, i + 1)}>Move down</button>
            <button
              type="button"
              disabled={items.length <= (schema.minItems ?? 0)}
              onClick={() => setItems(items.filter((item) => item.key !== key))}
            >
              Remove
            </button>
          </div>
        </fieldset>
      ))}
      <button
        type="button"
        class="js"
        disabled={items.length >= (schema.maxItems ?? Infinity)}
        onClick={() => setItems([...items, { key: Math.max(-1, ...items.map(({ key }) => key)) + 1, value: {} }])}
      >
        Add
      </button>
      <FieldError pointer={pointer} errors={context.errors} />
    </fieldset>
  );
}

/** The time zone of an entered time: the browser's; without JavaScript it is unknown. */
function zoneWords(): string {
  return typeof document === "undefined" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone;
}

function Field(props: FieldProps): JSX.Element {
  const { name, pointer, schema, required, context } = props;
  const control = controlOf(schema);
  if (control === "group") return <Group {...props} />;
  if (control === "groups") return <Groups {...props} />;
  const label = labelOf(name, schema);
  const bounds = boundsOf(schema, context.maxUpload);
  const example = schema.format === "date-time" ? "" : exampleOf(schema);
  const help = (schema.description || example) && (
    <p class="help" id={`help${pointer}`}>
      {schema.description}
      {example && ` For example ${example}.`}
    </p>
  );
  if (control === "checkbox") {
    const start = initial(props);
    return (
      <div class={`field ${schema["x-data"] ?? ""}`}>
        <label class="line">
          <input
            {...controlProps(props)}
            required={false}
            type="checkbox"
            value="true"
            defaultChecked={start === "true" || start === "on"}
          />
          {label}
        </label>
        {help}
        <FieldError pointer={pointer} errors={context.errors} />
      </div>
    );
  }
  const notes = [
    !required && schema.default === undefined && control !== "fixed" ? "(optional)" : "",
    bounds,
    schema.format === "date-time" ? zoneWords() : "",
  ].filter(Boolean);
  const words = (
    <>
      {label}
      {notes.map((note) => <span key={note} class="muted">{` ${note}`}</span>)}
    </>
  );
  const wide = control === "text" && (schema.maxLength ?? 0) >= 200 ||
    ["multiline", "lines", "pairs", "json", "file", "radios"].includes(control);
  if (control === "radios") {
    return (
      <fieldset class={`field wide ${schema["x-data"] ?? ""}`}>
        <legend>{words}</legend>
        <Control {...props} />
        {help}
        <FieldError pointer={pointer} errors={context.errors} />
      </fieldset>
    );
  }
  return (
    <div class={`field ${wide ? "wide" : ""} ${schema["x-data"] ?? ""}`}>
      <label for={`field${pointer}`}>{words}</label>
      <Control {...props} />
      {help}
      <FieldError pointer={pointer} errors={context.errors} />
    </div>
  );
}

/** The fields of an object: ungrouped fields first, then each group under its heading. */
export function Fields({ schema, pointer = "", values, context }: {
  schema: Schema;
  pointer?: string;
  values: Record<string, Json>;
  context: FieldContext;
}): JSX.Element {
  const groups = new Map<string, [string, Schema][]>();
  for (const field of fieldsOf(schema)) {
    const group = field[1]["x-group"] ?? "";
    groups.set(group, [...groups.get(group) ?? [], field]);
  }
  const grid = (fields: [string, Schema][]) => (
    <div class="grid">
      {fields.map(([name, field]) => (
        <Field
          key={name}
          name={name}
          pointer={`${pointer}/${escapePointer(name)}`}
          schema={field}
          required={isRequired(schema, name)}
          value={values[name]}
          context={context}
        />
      ))}
    </div>
  );
  return (
    <>
      {[...groups].sort(([a], [b]) => a === "" ? -1 : b === "" ? 1 : 0).map(([group, fields]) => {
        if (group === "") return <div key="">{grid(fields)}</div>;
        // A group is open if something in it has been set or is invalid.
        const touched = fields.some(([name]) =>
          values[name] !== undefined || context.errors[`${pointer}/${escapePointer(name)}`]
        );
        return (
          <details key={group} class="more" open={touched || undefined}>
            <summary>{group}</summary>
            {grid(fields)}
          </details>
        );
      })}
    </>
  );
}
