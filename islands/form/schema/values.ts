/**
 * Values of a form: conversion between text and JSON, and validation.
 *
 * @module
 */

import type { Json } from "../../../queue/task/record.ts";
import { number } from "../../app/format.ts";
import { boundsOf, choicesOf, controlOf, exampleOf, type Schema } from "./schema.ts";

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

/** What was typed is not valid for the control. */
export class TextError extends Error {}

/** The value that a text stands for; undefined if it is empty. */
export function valueOf(schema: Schema, text: string): Json | undefined {
  const control = controlOf(schema);
  if (control === "checkbox") return text === "true" || text === "on";
  if (text === "") return undefined;
  switch (control) {
    case "json":
      return exactJson(text);
    case "number":
    case "slider": {
      const value = Number(text);
      // The schema check says what is expected; the text itself shows what was entered.
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

/** JSON, if its numbers are not changed by parsing. */
function exactJson(text: string): Json {
  let value: Json;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new TextError(`This is not valid JSON${placeOf(text, error as Error)}.`);
  }
  // The service looks again; but what is parsed here has lost its digits by then.
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[^\s,\]}]*/g)) {
    if (token[0] === '"') continue;
    const number = Number(token);
    if (!Number.isFinite(number) || /^-?[1-9]\d*$/.test(token) && String(number) !== token) {
      throw new TextError(`${token} would change; send it as text, in quotes.`);
    }
  }
  return value;
}

/** Where a parser found its fault, if it says so. */
function placeOf(text: string, { message }: Error): string {
  const at = /position (\d+)/.exec(message);
  if (!at) return /end of/.test(message) ? ": it ends too early" : "";
  const lines = text.slice(0, Number(at[1])).split("\n");
  return ` (line ${lines.length}, column ${lines.at(-1)!.length + 1})`;
}

/** The lines of a text that are not empty. */
function linesOf(text: string): string[] {
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

/** What is wrong with a value, and how to correct it; null if it is valid. */
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
      return `${label} may have at most ${number(maxLength)} characters. You entered ${number(value.length)}.`;
    }
    if (format && !isFormat(format, value)) {
      const kinds: Record<string, string> = { email: "an address", uri: "a URL", "date-time": "a time" };
      return `${label} must be ${kinds[format] ?? `a ${format}`} such as ${exampleOf(schema)}.`;
    }
    if (!format && pattern && !new RegExp(pattern, "u").test(value)) {
      const example = exampleOf(schema);
      return `${label} has the wrong format${example ? `; it should look like ${example}` : ""}.`;
    }
  }
  if (schema.type === "array" && Array.isArray(value)) {
    const { minItems = 0, maxItems = Infinity, items } = schema;
    if (value.length < minItems) return `${label} needs ${number(minItems)} or more.`;
    if (value.length > maxItems) return `${label}: at most ${number(maxItems)}. You entered ${number(value.length)}.`;
    const wrong = items ? value.flatMap((item, i) => complaintOf(items, item, "It", true) ? [i + 1] : []) : [];
    if (wrong.length > 0) {
      return `${label}: ${number(wrong.length)} invalid (${linesWords(wrong)}).`;
    }
  }
  return null;
}

/** "lines 4, 9 and 17"; of many only the first. */
function linesWords(lines: number[]): string {
  const some = lines.slice(0, 5).join(", ");
  return `${lines.length === 1 ? "line" : "lines"} ${
    lines.length > 5 ? `${some}, …` : some.replace(/, (?=\d+$)/, " and ")
  }`;
}

/** "1,200 addresses, 3 invalid (lines 4, 9, 17)" under a box of lines. */
export function lineCount(schema: Schema, text: string): string {
  const lines = linesOf(text);
  if (lines.length === 0) return "";
  const wrong = lines.flatMap((line, i) => complaintOf(schema.items ?? {}, line, "It", true) ? [i + 1] : []);
  const what = schema.items?.format === "email" ? "address" : "line";
  const all = `${number(lines.length)} ${lines.length === 1 ? what : what === "address" ? "addresses" : "lines"}`;
  if (wrong.length === 0) return all;
  return `${all}, ${number(wrong.length)} invalid (${linesWords(wrong)})`;
}
