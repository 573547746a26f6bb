/**
 * Decides how the columns of a file are read, once all their values are known: what they are, which separator is the
 * decimal one, whether days or months come first. What no column proves and nobody has stated stays text.
 *
 * @module
 */

import type { ColumnFits, ColumnStatistics } from "./statistics.ts";
import { DATE, Fit, NUMBER } from "./values.ts";

/** Orders of day and month that are read; the year first is always read. */
export const DATE_ORDERS = ["DMY", "MDY"] as const;

/** One of {@linkcode DATE_ORDERS}. */
export type DateOrder = (typeof DATE_ORDERS)[number];

/** What is stated about numbers and dates; null: it is found out. */
export interface StatedReadings {
  decimal: "." | "," | null;
  thousands: "." | "," | null;
  dateOrder: DateOrder | null;
}

/** How a column is read. */
export interface Reading {
  type: ColumnStatistics["type"];
  /** `first`: with a decimal point, with the day first. `second`: with a decimal comma, with the month first. */
  reading: "first" | "second";
  note: string | null;
}

/** How the numbers and dates of a file are read; null: no value needed to know. */
export interface FileReadings {
  decimal: "." | "," | null;
  thousands: string | null;
  date_order: DateOrder | null;
}

/** What a column is before it is known how the file writes numbers and dates. */
interface Candidate {
  kind: "number" | "date" | "boolean" | "text" | "empty";
  note: string | null;
  /** Which readings all of its values have. */
  first: boolean;
  second: boolean;
  /** Whether these give different values. */
  differs: boolean;
}

/** Decides how each column is read, and how the file is. */
export function readingsOf(columns: ColumnFits[], stated: StatedReadings): { columns: Reading[]; file: FileReadings } {
  const candidates = columns.map(candidateOf);
  const decimal = stated.decimal ?? (stated.thousands ? stated.thousands === "." ? "," : "." : null);
  const known = {
    number: decimal === null ? proofOf(candidates, "number") : decimal === "." ? "first" as const : "second" as const,
    date: stated.dateOrder === null
      ? proofOf(candidates, "date")
      : stated.dateOrder === "DMY"
      ? "first" as const
      : "second" as const,
  };
  const isStated = { number: decimal !== null, date: stated.dateOrder !== null };
  const readings = candidates.map((candidate, i) => {
    const { kind, note } = candidate;
    return kind === "number" || kind === "date"
      ? readingOf(kind, candidate, columns[i], known[kind], isStated[kind])
      : { type: kind, reading: "first" as const, note };
  });
  const uses = (bit: number, reading?: Reading["reading"]) =>
    columns.some(({ any }, i) =>
      (readings[i].type === "integer" || readings[i].type === "decimal") && any & bit &&
      (reading === undefined || readings[i].reading === reading)
    );
  const thousands = uses(Fit.COMMA_GROUPS, "first")
    ? ","
    : uses(Fit.POINT_GROUPS, "second")
    ? "."
    : uses(Fit.OTHER_GROUPS)
    ? "space or apostrophe"
    : null;
  return {
    columns: readings,
    file: {
      decimal: known.number === null ? null : known.number === "first" ? "." : ",",
      thousands,
      date_order: known.date === null ? null : known.date === "first" ? "DMY" : "MDY",
    },
  };
}

function candidateOf({ count, all, any, unit }: ColumnFits): Candidate {
  const text = (note: string | null, kind: Candidate["kind"] = "text"): Candidate => (
    { kind, note, first: false, second: false, differs: false }
  );
  if (count === 0) return text(null, "empty");
  if (all & Fit.BOOLEAN) return text(null, "boolean");
  const kinds = any & (NUMBER | DATE | Fit.BOOLEAN | Fit.TEXT);
  const differs = (any & Fit.DIFFERS) !== 0;
  if ((kinds & ~NUMBER) === 0) {
    if (any & Fit.CODE) return text("Codes, not numbers: some begin with 0 or with a plus sign.");
    if (any & Fit.UNIT && (!(all & Fit.UNIT) || unit === null)) {
      return text("Numbers with different units, or some without one.");
    }
    if (!(all & NUMBER)) return text("Some numbers have a decimal point, others a decimal comma.");
    return { kind: "number", note: null, first: !!(all & Fit.POINT), second: !!(all & Fit.COMMA), differs };
  }
  if ((kinds & ~DATE) === 0) {
    if (!(all & DATE)) return text("Some dates have the day first, others the month.");
    return { kind: "date", note: null, first: !!(all & Fit.DAY_FIRST), second: !!(all & Fit.MONTH_FIRST), differs };
  }
  return text(null);
}

/** The reading that the columns prove which have only one; null if there is none, or if they disagree. */
function proofOf(candidates: Candidate[], kind: Candidate["kind"]): Reading["reading"] | null {
  const proofs = new Set(
    candidates.filter((one) => one.kind === kind && one.first !== one.second)
      .map(({ first }) => first ? "first" as const : "second" as const),
  );
  return proofs.size === 1 ? [...proofs][0] : null;
}

const WORDS = {
  number: {
    ambiguous: "Ambiguous: groups of three digits may be thousands or decimals. Set decimal or thousands.",
    first: ["Not numbers with a decimal point.", "Read with a decimal point, as other columns are."],
    second: ["Not numbers with a decimal comma.", "Read with a decimal comma, as other columns are."],
  },
  date: {
    ambiguous: "Ambiguous: the day or the month may come first. Set date_order.",
    first: ["Not dates with the day first.", "Read with the day first, as other columns are."],
    second: ["Not dates with the month first.", "Read with the month first, as other columns are."],
  },
};

function readingOf(
  kind: "number" | "date",
  { first, second, differs }: Candidate,
  { all, any }: ColumnFits,
  known: Reading["reading"] | null,
  isStated: boolean,
): Reading {
  const words = WORDS[kind];
  const text = (note: string): Reading => ({ type: "text", reading: "first", note });
  let reading: Reading["reading"] = first ? "first" : "second";
  const notes: string[] = [];
  if (isStated && known !== null) {
    reading = known;
    if (!(known === "first" ? first : second)) return text(words[known][0]);
  } else if (first && second && differs) {
    if (known === null) return text(words.ambiguous);
    reading = known;
    notes.push(words[known][1]);
  }
  if (kind === "date") {
    if ((any & (Fit.OFFSET | Fit.LOCAL)) === (Fit.OFFSET | Fit.LOCAL)) {
      notes.push("Times without an offset are in UTC.");
    }
    return { type: "date", reading, note: notes.join(" ") || null };
  }
  const groups = reading === "first" ? any & Fit.COMMA_GROUPS && "commas" : any & Fit.POINT_GROUPS && "points";
  if (groups) notes.push(`Thousands are separated by ${groups}.`);
  const isWhole = all & (reading === "first" ? Fit.POINT_WHOLE : Fit.COMMA_WHOLE);
  return { type: isWhole ? "integer" : "decimal", reading, note: notes.join(" ") || null };
}
