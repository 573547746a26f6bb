/**
 * JSON as people read it: names and values, and a collapsed tree where it is nested.
 *
 * @module
 */

import type { JSX } from "preact";
import type { Json } from "../../queue/task/record.ts";
import type { FileInfo } from "../../queue/task/summary.ts";
import { bytes, count, number, words } from "../app/format.ts";

type Fields = { [key: string]: Json };

function isPlain(value: Json): boolean {
  return value === null || typeof value !== "object";
}

function isWide(value: Json): boolean {
  return !isPlain(value) || (typeof value === "string" && value.length > 20);
}

/** Items of a list that are shown. */
const SHOWN = 200;

/** Levels of a tree; what is nested more deeply is text. */
const LEVELS = 20;

/** One value. */
export function Value({ value, unit, levels = LEVELS }: { value: Json; unit?: string; levels?: number }): JSX.Element {
  if (value === null) return <span class="muted">–</span>;
  if (typeof value === "number") return <span>{number(value)}{unit && ` ${unit}`}</span>;
  if (typeof value === "boolean") return <span>{value ? "yes" : "no"}</span>;
  if (typeof value === "string") return <span class="text">{value || <span class="muted">empty</span>}</span>;
  const entries = Object.entries(value);
  if (entries.length === 0) return <span class="muted">none</span>;
  if (Array.isArray(value) && value.every(isPlain) && value.length <= 10) {
    return (
      <ul class="values">
        {value.map((item, i) => (
          <li key={i}>
            <Value value={item} />
          </li>
        ))}
      </ul>
    );
  }
  if (levels === 0) return <code>{JSON.stringify(value)}</code>;
  return (
    <details class="tree">
      <summary>{Array.isArray(value) ? count(entries.length, "item") : count(entries.length, "field")}</summary>
      <dl>
        {entries.slice(0, SHOWN).map(([name, item]) => (
          <div key={name}>
            <dt>{Array.isArray(value) ? Number(name) + 1 : name}</dt>
            <dd>
              <Value value={item} levels={levels - 1} />
            </dd>
          </div>
        ))}
      </dl>
      {entries.length > SHOWN && <p class="muted">and {number(entries.length - SHOWN)} more</p>}
    </details>
  );
}

/** A file, and where it can be had. */
interface LinkedFile extends FileInfo {
  /** null: the reader may not have it. */
  href: string | null;
}

function filesOf(value: Json, files?: ReadonlyMap<string, LinkedFile>): LinkedFile[] | null {
  const found = [value].flat().map((id) => files?.get(String(id)));
  return found.length > 0 && found.every((file) => file !== undefined) ? found as LinkedFile[] : null;
}

function FileLink({ file }: { file: LinkedFile }): JSX.Element {
  return (
    <span class="line">
      {file.href ? <a href={file.href} download={file.name}>{file.name}</a> : file.name}
      <span class="muted">{bytes(file.size)}</span>
    </span>
  );
}

/** Names and values; a schema gives them labels and units. */
export function FieldList({ of, schema = {}, files }: {
  of: Fields;
  schema?: Record<string, { title?: string; "x-unit"?: string }>;
  /** Uploads by their ids: shown by name, with a link. */
  files?: ReadonlyMap<string, LinkedFile>;
}): JSX.Element {
  const entries = Object.entries(of);
  if (entries.length === 0) return <p class="muted">none</p>;
  return (
    <dl class="fields">
      {entries.map(([name, value]) => (
        <div key={name} class={isWide(value) ? "wide" : undefined}>
          <dt>{schema[name]?.title ?? words(name)}</dt>
          <dd>
            {filesOf(value, files)?.map((file) => <FileLink key={file.id} file={file} />) ??
              <Value value={value} unit={schema[name]?.["x-unit"]} />}
          </dd>
        </div>
      ))}
    </dl>
  );
}
