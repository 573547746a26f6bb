/**
 * A mailing for those who did not get another one.
 *
 * @module
 */

import { parse, stringify } from "@std/csv";
import type { RedoOnly, RedoSource } from "../../define.ts";
import type { Json } from "../../task/record.ts";
import type { Params } from "./params.ts";
import { parseRecipients, type Recipient, recipientsOf } from "./recipients.ts";

/** How many recipients of a mailing did not get it, and of how many that is unknown. */
export function leftOf(result: Json): { failed: number; unknown: number } {
  const { can_be_retried = 0, unknown = 0 } = (result ?? {}) as Record<string, number>;
  return { failed: can_be_retried, unknown };
}

/**
 * The parameters of a mailing to those who did not get this one: who bounced or was skipped, or those of whom it is
 * unknown. Rows that can never be sent to are left out; number and total stay those of the first mailing.
 *
 * @returns Null if nobody is left.
 */
export async function redoParams(task: RedoSource<Params>, only: RedoOnly): Promise<Record<string, Json> | null> {
  const { upload_id, recipients, num_emails: _, failure_rate: __, ...others } = task.sent;
  const text = await task.readArtifact("outcomes.csv");
  if (text === null) return null;
  const wanted = only === "unknown" ? ["unknown"] : ["bounced", "skipped"];
  const outcomes = parse(text, { skipFirstRow: true });
  const isWanted = (i: number) => wanted.includes(outcomes[i]?.outcome ?? "");
  if (upload_id === undefined) {
    const all = recipients ?? outcomes.map(({ email }) => email);
    const left = recipientsOf(all).flatMap(({ fault }, i) => fault === null && isWanted(i) ? all[i] : []);
    return left.length === 0 ? null : { ...others as Record<string, Json>, recipients: left };
  }
  const list = await parseRecipients(await task.readUpload(upload_id));
  const left = list.map((recipient, i) => ({ recipient, i })).filter(({ recipient, i }) =>
    recipient.fault === null && isWanted(i)
  );
  if (left.length === 0) return null;
  const rows = left.map(({ recipient, i }) => rowOf(recipient, i + 1, list.length));
  const columns = Object.keys(rows[0]);
  const file = await task.storeUpload(`${only}.csv`, "text/csv", stringify(rows, { columns, bom: true }));
  return { ...others as Record<string, Json>, upload_id: file };
}

/** A row as it was; number and total are those of the first mailing unless it had columns of these names. */
function rowOf({ values, to }: Recipient, number: number, total: number): Record<string, string> {
  const { email: _, ...others } = values;
  const own = Object.keys(others).filter((name) => !/^(e-?mail)?$/i.test(name));
  // The column keeps its name: a field may be filled in from it.
  const column = Object.keys(others).find((name) => /^e-?mail$/i.test(name)) ?? "email";
  return {
    [column]: to!.name && !own.some((name) => /^name$/i.test(name))
      ? `"${to!.name.replaceAll(/["\\]/g, "\\$&")}" <${to!.address}>`
      : to!.address,
    number: String(number),
    total: String(total),
    ...Object.fromEntries(own.map((name) => [name, others[name]])),
  };
}
