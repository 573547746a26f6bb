/**
 * Who gets a mailing: generated addresses, a list in the parameters, or an uploaded CSV. Every row of a list is a
 * recipient; one that cannot be sent to says why.
 *
 * @module
 */

import { MAX_RECIPIENTS } from "./params.ts";
import { NonRetryableError } from "../../task/errors.ts";
import { readWholeFile, type Row } from "../csv/text/whole_file.ts";
import { type Address, mailboxOf, parseAddress } from "./address.ts";
import { BUILT_IN, type Values } from "./template.ts";

/** Characters of a value, and of all values of a row. */
const [MAX_VALUE, MAX_ROW] = [32_768, 262_144];
/** The largest list of recipients in bytes. */
export const MAX_LIST_BYTES = 8_000_000;

/** Characters of a row that cannot be read which stand for it. */
const SHOWN = 200;

/** Somebody who gets a message, or the reason why not. */
export interface Recipient {
  /** As it stands in the list. */
  email: string;
  /** Null if it is not an address. */
  to: Address | null;
  /** What fills in the fields of the message. */
  values: Values;
  /** Why nothing can be sent; null if something can. */
  fault: string | null;
}

/** Recipients that are given as addresses, with or without names. */
export function recipientsOf(addresses: readonly string[]): Recipient[] {
  return withoutRepeats(addresses.map((email) => {
    const to = parseAddress(email);
    const values = { email: to?.address ?? email, ...to?.name ? { name: to.name } : {} };
    return { email, to, values, fault: to ? null : "not an address" };
  }));
}

/** The same mailbox gets one message: later ones name the first. */
function withoutRepeats(recipients: Recipient[]): Recipient[] {
  const first = new Map<string, number>();
  recipients.forEach((recipient, i) => {
    if (!recipient.to || recipient.fault !== null) return;
    const mailbox = mailboxOf(recipient.to.address);
    const before = first.get(mailbox);
    if (before === undefined) first.set(mailbox, i);
    else recipient.fault = `the same address as number ${before + 1}`;
  });
  return recipients;
}

/**
 * Reads recipients from a CSV with a column `email`; its other columns fill in fields, and a column `name` is the name
 * beside the address.
 *
 * @throws {NonRetryableError} If it is not a CSV, has no such column or two of one name, or has too many rows.
 */
export async function parseRecipients(bytes: Uint8Array): Promise<Recipient[]> {
  let found: Row[];
  try {
    ({ rows: found } = await readWholeFile(bytes));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new NonRetryableError(error.message, { cause: error });
  }
  const [header, ...rows] = found;
  if (rows.length === 0 || rows.length > MAX_RECIPIENTS) {
    const most = MAX_RECIPIENTS.toLocaleString("en");
    throw new NonRetryableError(`The list has ${rows.length.toLocaleString("en")} rows; 1 to ${most} are allowed.`);
  }
  const names = header.values.map((name) => name.trim());
  assertNames(header, names);
  const [email, name] = [/^e-?mail$/i, /^name$/i].map((pattern) => names.findIndex((each) => pattern.test(each)));
  if (email < 0) throw new NonRetryableError("The list has no column named email.");
  return withoutRepeats(rows.map(({ values, fault, line, text: raw }, i) => {
    assertSizes(names, values, i);
    if (fault !== null) {
      const shown = raw.slice(0, SHOWN);
      return { email: shown, to: null, values: { email: shown }, fault: `line ${line} of the list ${fault}` };
    }
    const text = (values[email] ?? "").trim();
    const parsed = parseAddress(text);
    const to = parsed && { name: parsed.name || (values[name] ?? "").trim(), address: parsed.address };
    const filled = Object.fromEntries(names.map((each, n) => [each, values[n] ?? ""]));
    return {
      email: text,
      to,
      values: { ...filled, email: to?.address ?? text },
      fault: to ? null : "not an address",
    };
  }));
}

/** Two columns of one name, or one with a name of ours: which value is meant would be a guess. */
function assertNames(header: Row, names: string[]): void {
  if (header.fault !== null) throw new NonRetryableError(`The first row of the list ${header.fault}.`);
  const seen = new Set<string>();
  for (const name of names.filter(Boolean)) {
    const key = /^e-?mail$/i.test(name) ? "email" : name;
    if (seen.has(key)) throw new NonRetryableError(`The list has two columns named ${name.slice(0, 100)}.`);
    seen.add(key);
    if (!name.startsWith(BUILT_IN)) continue;
    throw new NonRetryableError(`The list has a column ${name.slice(0, 100)}: names with ${BUILT_IN} are reserved.`);
  }
}

/** A value that fills in a field a thousand times must not make a message of any size. */
function assertSizes(names: string[], values: string[], i: number): void {
  let whole = 0;
  for (const [n, value] of values.entries()) {
    whole += value.length;
    if (value.length <= MAX_VALUE && whole <= MAX_ROW) continue;
    const [what, length, limit] = value.length > MAX_VALUE
      ? [`the value of ${(names[n] ?? "").slice(0, 100)} in row ${i + 1}`, value.length, MAX_VALUE]
      : [`row ${i + 1}`, whole, MAX_ROW];
    throw new NonRetryableError(
      `In the list, ${what} has ${length.toLocaleString("en")} characters or more; ${
        limit.toLocaleString("en")
      } are allowed.`,
    );
  }
}
