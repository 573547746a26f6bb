/**
 * Who gets a mailing: generated addresses, a list in the parameters, or an uploaded CSV.
 *
 * @module
 */

import { MAX_RECIPIENTS } from "./params.ts";
import * as z from "zod";
import { NonRetryableError } from "../../task/errors.ts";
import { readWholeFile, type Row } from "../csv/text/whole_file.ts";
import type { Values } from "./template.ts";

/** Characters of a value, and of all values of a row. */
const [MAX_VALUE, MAX_ROW] = [32_768, 262_144];
/** The largest list of recipients in bytes. */
export const MAX_LIST_BYTES = 8_000_000;

const address = z.email().max(254);

/** Whether a message can be sent to this; it holds nothing that could become a header or a second address. */
export function isAddress(text: string): boolean {
  return address.safeParse(text).success;
}

/**
 * Reads recipients from a CSV with a column `email`; its other columns fill in fields.
 *
 * @throws {NonRetryableError} If it is not a CSV, has no such column, or has too many rows.
 */
export async function parseRecipients(bytes: Uint8Array): Promise<Values[]> {
  let found: Row[];
  try {
    ({ rows: found } = await readWholeFile(bytes));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new NonRetryableError(error.message, { cause: error });
  }
  const [header, ...records] = found;
  const rows = records.map(({ values }) =>
    Object.fromEntries(header.values.map((name, i) => [name, values[i] as string | undefined]))
  );
  if (rows.length === 0 || rows.length > MAX_RECIPIENTS) {
    const most = MAX_RECIPIENTS.toLocaleString("en");
    throw new NonRetryableError(`The list has ${rows.length.toLocaleString("en")} rows; 1 to ${most} are allowed.`);
  }
  const email = Object.keys(rows[0]).find((name) => /^e-?mail$/i.test(name.trim()));
  if (email === undefined) throw new NonRetryableError("The list has no column named email.");
  return rows.map((row, i) => {
    assertSizes(row, i);
    const values = Object.entries(row).map(([name, value]) => [name.trim(), value ?? ""]);
    return { ...Object.fromEntries(values), email: (row[email] ?? "").trim() };
  });
}

/** A value that fills in a field a thousand times must not make a message of any size. */
function assertSizes(row: Record<string, string | undefined>, i: number): void {
  let whole = 0;
  for (const [name, value = ""] of Object.entries(row)) {
    whole += value.length;
    if (value.length <= MAX_VALUE && whole <= MAX_ROW) continue;
    const [what, length, limit] = value.length > MAX_VALUE
      ? [`the value of ${name.slice(0, 100)} in row ${i + 1}`, value.length, MAX_VALUE]
      : [`row ${i + 1}`, whole, MAX_ROW];
    throw new NonRetryableError(
      `In the list, ${what} has ${length.toLocaleString("en")} characters or more; ${
        limit.toLocaleString("en")
      } are allowed.`,
    );
  }
}
