/**
 * A result as people read it: columns of a CSV as a table, everything else as a tree of names and values.
 *
 * @module
 */

import type { JSX } from "preact";
import type { Json } from "../queue/task.ts";
import { number, words } from "./format.ts";

type Row = { [key: string]: Json };

function isRows(value: Json): value is Row[] {
  return Array.isArray(value) && value.length > 0 &&
    value.every((item) => typeof item === "object" && item !== null && !Array.isArray(item));
}

function isPlain(value: Json): boolean {
  return value === null || typeof value !== "object";
}

/** Whether a value needs a line of its own. */
function isWide(value: Json): boolean {
  return !isPlain(value) || (typeof value === "string" && value.length > 40);
}

/** One value. */
export function Value({ value }: { value: Json }): JSX.Element {
  if (value === null) return <span class="muted">–</span>;
  if (typeof value === "number") return <span class="number">{number(value)}</span>;
  if (typeof value === "boolean") return <span>{value ? "yes" : "no"}</span>;
  if (typeof value === "string") return <span class="text">{value}</span>;
  if (isRows(value)) return <Rows rows={value} />;
  if (Array.isArray(value)) {
    return value.length === 0 ? <span class="muted">none</span> : (
      <ul class="values">
        {value.map((item, i) => (
          <li key={i}>
            <Value value={item} />
          </li>
        ))}
      </ul>
    );
  }
  return <Fields of={value} />;
}

/** Names and values. */
export function Fields({ of }: { of: Row }): JSX.Element {
  const entries = Object.entries(of);
  if (entries.length === 0) return <span class="muted">none</span>;
  return (
    <dl class="fields">
      {entries.map(([name, value]) => (
        <div key={name} class={isWide(value) ? "wide" : undefined}>
          <dt>{words(name)}</dt>
          <dd>
            <Value value={value} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** Alike things as a table: their plain fields are its columns; what is nested is left to the files. */
function Rows({ rows }: { rows: Row[] }): JSX.Element {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))]
    .filter((name) => rows.every((row) => isPlain(row[name] ?? null)));
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Table">
      <table class="rows">
        <thead>
          <tr>{names.map((name) => <th key={name} scope="col">{words(name)}</th>)}</tr>
        </thead>
        <tbody>
          {rows.map((row, i) => (
            <tr key={i}>
              {names.map((name) => (
                <td key={name}>
                  <Value value={row[name] ?? null} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
