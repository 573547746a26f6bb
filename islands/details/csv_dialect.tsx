/**
 * How a CSV is written, as it was found out or as the parameters say, and what is uncertain about it.
 *
 * @module
 */

import type { JSX } from "preact";
import { count } from "../app/format.ts";

/** How a file is written. */
export interface CsvDialect {
  encoding: string;
  /** 0 to 1; null: it was given. */
  encoding_confidence: number | null;
  delimiter: string;
  quote: string;
  escape: string;
  decimal: string | null;
  thousands: string | null;
  date_order: string | null;
  skipped_lines: number;
  skipped: string[];
  null_values: string[];
}

const DELIMITERS: Record<string, string> = { ",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe" };
const MARKS: Record<string, string> = { ",": "comma", ".": "point" };
const ORDERS: Record<string, string> = { DMY: "day first", MDY: "month first" };

function factsOf(dialect: CsvDialect): [string, string][] {
  const { encoding, encoding_confidence: sure, delimiter, quote, escape, decimal, thousands, date_order } = dialect;
  const mark = (value: string | null) => value === null ? null : MARKS[value] ?? value;
  const found: [string, string | null][] = [
    ["Encoding", `${encoding}${sure === null || sure >= 0.995 ? "" : ` (${Math.round(sure * 100)} % sure)`}`],
    ["Delimiter", DELIMITERS[delimiter] ?? delimiter],
    ["Quote", quote === '"' ? null : quote === "" ? "none" : quote],
    ["Escape", escape === "backslash" ? "backslash" : null],
    ["Decimal separator", mark(decimal)],
    ["Thousands separator", mark(thousands)],
    ["Dates", date_order && (ORDERS[date_order] ?? date_order)],
    ["Skipped", dialect.skipped_lines > 0 ? count(dialect.skipped_lines, "line") : null],
  ];
  return found.flatMap(([name, value]) => value === null ? [] : [[name, value]]);
}

/** The dialect in a line of facts, with the skipped lines and the warnings below. */
export function Dialect({ dialect, warnings }: { dialect: CsvDialect; warnings: string[] }): JSX.Element {
  return (
    <section aria-label="How the file was read">
      <dl class="facts">
        {factsOf(dialect).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {dialect.skipped.length > 0 && (
        <details>
          <summary>Lines before the header</summary>
          <pre tabIndex={0}>{dialect.skipped.join("\n")}</pre>
        </details>
      )}
      {warnings.length > 0 && (
        <ul class="warnings" aria-label="Warnings">
          {warnings.map((warning) => <li key={warning} class="note">{warning}</li>)}
        </ul>
      )}
    </section>
  );
}
