/**
 * What a form of the page has sent: its fields, its files, and the parameters of a task in them.
 *
 * @module
 */

import type { Context } from "hono";
import { dropUnused, type FormReader, readFields } from "../../islands/form/schema/read_fields.ts";
import { controlOf, type Schema } from "../../islands/form/schema/schema.ts";
import type { InputIssue } from "../../queue/task/errors.ts";
import { lossesOf } from "../../queue/task/json/exact.ts";
import type { Json } from "../../queue/task/record.ts";
import type { Quotas } from "../limits/quotas.ts";
import { RequestFiles } from "../api/uploads.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { readMultipart, refuseLong } from "../http/body.ts";

/** Maximum repetitions of a group in a form. */
const MAX_GROUPS = 100;

/** A form that was sent. */
export interface Sent {
  fields: Map<string, string[]>;
  /** Ids of uploads, by the pointer of their field. */
  uploads: Map<string, string[]>;
  hashes: string[];
}

/** Reads the fields of a form that was sent. */
export function readerOf({ fields, uploads }: Sent): FormReader {
  return {
    text(pointer) {
      const text = fields.get(`params${pointer}`)?.at(-1);
      if (text === undefined) return null;
      // Without JavaScript the reader's time zone is unknown.
      return /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(text) ? `${text.length === 16 ? `${text}:00` : text}Z` : text;
    },
    files: (pointer) => uploads.get(pointer) ?? fields.get(`kept${pointer}`) ?? [],
    groups(pointer) {
      const start = `params${pointer}/`;
      const numbers = [...fields.keys()].filter((name) => name.startsWith(start))
        .map((name) => Number(name.slice(start.length).split("/")[0]))
        .filter((n) => Number.isInteger(n) && n >= 0 && n < MAX_GROUPS);
      return numbers.length === 0 ? 0 : Math.max(...numbers) + 1;
    },
  };
}

/** Reads a form and stores its files. */
export async function readSentForm(c: Context<AppEnv>, options: AppOptions, quotas: Quotas): Promise<Sent> {
  refuseLong(c, options.maxUploadTotalBytes);
  const giveBack = await quotas.reserveUploads(c);
  const files = new RequestFiles(options);
  const uploads = new Map<string, string[]>();
  const hashes: string[] = [];
  let bytes = 0;
  const fields = await readMultipart(c, async ({ field, name, media_type, stream }) => {
    const { upload_id, sha256, size } = await files.store(name, media_type, stream);
    hashes.push(sha256);
    bytes += size;
    const pointer = field.replace(/^params/, "");
    uploads.set(pointer, [...uploads.get(pointer) ?? [], upload_id]);
  }).catch(async (error) => {
    await files.discard();
    throw error;
  }).finally(() => giveBack(bytes));
  return { fields, uploads, hashes };
}

/** The parameters of a task in a form, its texts by pointer, and what is wrong. */
export function readParams(
  sent: Sent,
  schema: Schema,
): { values: Record<string, Json>; texts: Record<string, string>; errors: Record<string, string> } {
  const texts = Object.fromEntries(
    [...sent.fields].filter(([name]) => name.startsWith("params/"))
      .map(([name, values]) => [name.slice("params".length), values.at(-1)!]),
  );
  const errors: Record<string, string> = {};
  const values = readFields(schema, readerOf(sent), errors, "/input_params");
  dropUnused(schema, values, errors, sent.fields.get("data")?.[0] ?? null, "/input_params");
  // What parsing would change in a field of JSON.
  for (const [pointer, text] of Object.entries(texts)) {
    const field = schema.properties?.[pointer.replace("/input_params/", "")];
    if (!field || errors[pointer] || controlOf(field) !== "json" || text === "") continue;
    const [loss] = lossesOf(text, { order: true }).issues;
    if (loss) errors[pointer] = `${loss.pointer}: ${loss.detail}`;
  }
  return { values, texts, errors };
}

/** Adds what the queue refuses to the errors of a form. An error inside a value is shown at its field. */
export function addIssues(
  errors: Record<string, string>,
  issues: readonly InputIssue[],
  texts: Record<string, string>,
): void {
  for (const { pointer, detail } of issues) {
    const field = texts[pointer] !== undefined ? pointer : /^(\/input_params)?\/[^/]+/.exec(pointer)?.[0] ?? "";
    errors[field] ??= detail;
  }
}
