/**
 * The fields of a form, made from a JSON Schema. They work without JavaScript; with it, each says what is wrong when
 * it is left.
 *
 * @module
 */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Json } from "../../queue/task/record.ts";
import { number } from "../app/format.ts";
import {
  boundsOf,
  choicesOf,
  controlOf,
  escapePointer,
  exampleOf,
  fieldsOf,
  isRequired,
  labelOf,
  lineCount,
  type Schema,
  textOf,
} from "./schema.ts";

/** What all fields of a form share. */
export interface FieldContext {
  /** What stands in the fields, by pointer: as text, from a form that came back. */
  texts: Record<string, string>;
  /** What is wrong, by pointer. */
  errors: Record<string, string>;
  maxUpload: number;
  /** A field was changed or left. */
  onEdit?(pointer: string, left: boolean): void;
  /** Renders a file field; the browser's does more. */
  file(props: FieldProps): JSX.Element;
}

/** One field. */
export interface FieldProps {
  name: string;
  pointer: string;
  schema: Schema;
  required: boolean;
  value: Json | undefined;
  context: FieldContext;
}

/** The attributes that tie a control to its words. */
export function controlProps({ pointer, schema, required, context }: FieldProps) {
  const error = context.errors[pointer];
  const described = [
    error && `error${pointer}`,
    (schema.description || schema.format !== "date-time" && exampleOf(schema)) && `help${pointer}`,
  ].filter(Boolean).join(" ");
  return {
    id: `field${pointer}`,
    name: `params${pointer}`,
    required: required || undefined,
    "aria-describedby": described || undefined,
    "aria-invalid": error ? true : undefined,
    onInput: () => context.onEdit?.(pointer, false),
    onBlur: () => context.onEdit?.(pointer, true),
  };
}

function initial({ pointer, schema, value, context }: FieldProps): string {
  return context.texts[pointer] ?? textOf(schema, value !== undefined ? value : schema.default);
}

/** A line below a field that counts what was entered. */
function Counted({ text, tell }: { text: string; tell: (text: string) => string }): JSX.Element | null {
  const words = tell(text);
  return words ? <p class="help">{words}</p> : null;
}

function Multiline(props: FieldProps): JSX.Element {
  const { schema, context, pointer } = props;
  const start = initial(props);
  const [text, setText] = useState(start);
  const common = controlProps(props);
  const control = controlOf(schema);
  const { maxLength = Infinity } = schema;
  const tell = (text: string) =>
    control === "lines"
      ? lineCount(schema, text)
      : text.length > 0.8 * maxLength
      ? `${number(text.length)} of ${number(maxLength)} characters`
      : "";
  return (
    <>
      <textarea
        {...common}
        rows={control === "multiline" ? 4 : 3}
        maxLength={schema.maxLength}
        spellcheck={control === "multiline"}
        class={control === "json" ? "code" : undefined}
        onInput={({ currentTarget }) => {
          setText(currentTarget.value);
          context.onEdit?.(pointer, false);
        }}
      >
        {start}
      </textarea>
      <Counted text={text} tell={tell} />
    </>
  );
}

function Slider(props: FieldProps): JSX.Element {
  const { schema, context, pointer } = props;
  const [value, setValue] = useState(initial(props));
  const common = controlProps(props);
  const bounds = {
    min: schema.minimum,
    max: schema.maximum,
    step: schema.multipleOf ?? (schema.type === "integer" ? 1 : "any"),
    value,
    onInput: ({ currentTarget }: Event & { currentTarget: HTMLInputElement }) => {
      setValue(currentTarget.value);
      context.onEdit?.(pointer, false);
    },
  };
  return (
    <span class="slider">
      <input {...bounds} class="js" type="range" aria-label={`${labelOf(props.name, schema)}, slider`} />
      <input {...common} {...bounds} type="number" />
    </span>
  );
}

function Radios(props: FieldProps): JSX.Element {
  const chosen = initial(props);
  const { id, ...common } = controlProps(props);
  return (
    <span class="radios" id={id} tabIndex={-1}>
      {choicesOf(props.schema)!.map(({ value, label }) => (
        <label key={label}>
          <input {...common} type="radio" value={String(value)} defaultChecked={String(value) === chosen} />
          {label}
        </label>
      ))}
    </span>
  );
}

function Choose(props: FieldProps): JSX.Element {
  const chosen = initial(props);
  return (
    <select {...controlProps(props)}>
      {!props.required && props.schema.default === undefined && <option value="">(automatic)</option>}
      {choicesOf(props.schema)!.map(({ value, label }) => (
        <option key={label} value={String(value)} selected={String(value) === chosen}>{label}</option>
      ))}
    </select>
  );
}

function Control(props: FieldProps): JSX.Element {
  const { schema, value, context } = props;
  switch (controlOf(schema)) {
    case "file":
      return context.file(props);
    case "radios":
      return <Radios {...props} />;
    case "select":
      return <Choose {...props} />;
    case "slider":
      return <Slider {...props} />;
    case "number":
      return (
        <input
          {...controlProps(props)}
          type="number"
          inputMode={schema.type === "integer" ? "numeric" : "decimal"}
          defaultValue={initial(props)}
          min={schema.minimum}
          max={schema.maximum}
          step={schema.multipleOf ?? (schema.type === "integer" ? 1 : "any")}
        />
      );
    case "multiline":
    case "lines":
    case "pairs":
    case "json":
      return <Multiline {...props} />;
    case "fixed":
      return <output id={`field${props.pointer}`}>{textOf(schema, schema.const ?? value ?? schema.default)}</output>;
    default: {
      const common = {
        ...controlProps(props),
        defaultValue: initial(props),
        maxLength: schema.maxLength,
        minLength: schema.minLength,
      };
      if (schema.format === "email") return <input {...common} type="email" />;
      if (schema.format === "uri") return <input {...common} type="url" />;
      if (schema.format === "date-time") return <input {...common} type="datetime-local" step="1" />;
      return <input {...common} type="text" />;
    }
  }
}

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

/** A group that can be there several times. */
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

/** In which zone a time is entered: the browser's; without JavaScript nobody knows it. */
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
      <div class="field">
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
  const wide = ["multiline", "lines", "pairs", "json", "file", "radios"].includes(control);
  if (control === "radios") {
    return (
      <fieldset class="field wide">
        <legend>{words}</legend>
        <Control {...props} />
        {help}
        <FieldError pointer={pointer} errors={context.errors} />
      </fieldset>
    );
  }
  return (
    <div class={wide ? "field wide" : "field"}>
      <label for={`field${pointer}`}>{words}</label>
      <Control {...props} />
      {help}
      <FieldError pointer={pointer} errors={context.errors} />
    </div>
  );
}

/** The fields of an object: those of no group first, then each group under its heading. */
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
        // A group is open where something in it has been set or is wrong.
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
