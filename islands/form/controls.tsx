/**
 * The controls of a form: one for each kind of value.
 *
 * @module
 */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Json } from "../../queue/task/record.ts";
import { number } from "../app/format.ts";
import { choicesOf, controlOf, exampleOf, labelOf, type Schema } from "./schema/schema.ts";
import { lineCount, textOf } from "./schema/values.ts";

/** What all fields of a form share. */
export interface FieldContext {
  /** The text of the fields, by pointer, from a rejected form. */
  texts: Record<string, string>;
  /** What is wrong, by pointer. */
  errors: Record<string, string>;
  maxUpload: number;
  /** A field was changed or left. */
  onEdit?(pointer: string, left: boolean): void;
  /** Renders a file field; the browser's version does more. */
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

/** The attributes that link a control to its label and help text. */
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

/** The initial text of a control. */
export function initial({ pointer, schema, value, context }: FieldProps): string {
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
        rows={control === "lines" ? 3 : Math.min(12, Math.max(4, start.split("\n").length))}
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

/** The control for a field's kind of value. */
export function Control(props: FieldProps): JSX.Element {
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
