/**
 * Reads request bodies, with a size limit while they stream in.
 *
 * @module
 */

import { Busboy, type BusboyHeaders } from "@fastify/busboy";
import { Readable } from "node:stream";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import type { Context } from "hono";
import type * as z from "zod";
import { issuesOf } from "../../queue/params.ts";
import { assertDepth } from "../../queue/task/json/depth.ts";
import { isPlain, lossesOf } from "../../queue/task/json/exact.ts";
import { DELIVERY_TYPE } from "../../queue/task/callback_url.ts";
import { InvalidInputError, TooLargeError } from "../../queue/task/errors.ts";
import { peek } from "./media_type.ts";
import { isPacked, unpackedBody } from "./request_headers.ts";
import { Problem } from "./problem.ts";

/** Bytes of a JSON body. */
const MAX_JSON_BYTES = 700_000;

/** Rejects a body whose Content-Length is too large, before any of it is read. */
export function refuseLong(c: Context, limit: number): void {
  const length = Number(c.req.header("Content-Length") ?? 0);
  if (length > limit) throw new TooLargeError("The body", limit);
}

async function readBytes(c: Context, limit: number): Promise<ArrayBuffer> {
  refuseLong(c, limit);
  // The server enforces a Content-Length, so such a body is read in one call.
  if (!isPacked(c) && c.req.header("Content-Length") !== undefined) return await c.req.raw.arrayBuffer();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of unpackedBody(c) ?? []) {
    size += chunk.length;
    if (size > limit) throw new TooLargeError("The body", limit);
    chunks.push(chunk);
  }
  return await new Blob(chunks as BlobPart[]).arrayBuffer();
}

/** Bytes of a small form. */
const MAX_FORM_BYTES = 10_000;

/** Reads a small form that a page has sent (application/x-www-form-urlencoded). */
export async function readForm(c: Context): Promise<URLSearchParams> {
  return new URLSearchParams(new TextDecoder().decode(await readBytes(c, MAX_FORM_BYTES)));
}

/**
 * Reads a JSON body.
 *
 * @throws {Problem} 415 for another content type, 400 for broken JSON, 413 over the limit.
 * @throws {InvalidInputError} If the schema refuses it, or it is nested too deeply.
 */
export function readJson<S extends z.ZodType>(c: Context, schema: S): Promise<z.output<S>> {
  return parseJson(c, schema, null);
}

/** Reads a JSON body if there is one; no body counts as an empty object. */
export async function readOptionalJson<S extends z.ZodType>(c: Context, schema: S): Promise<z.output<S>> {
  const bytes = await readBytes(c, MAX_JSON_BYTES);
  return bytes.byteLength === 0 ? schema.parse({}) : await parseJson(c, schema, bytes);
}

async function parseJson<S extends z.ZodType>(
  c: Context,
  schema: S,
  read: ArrayBuffer | null,
): Promise<z.output<S>> {
  const type = c.req.header("Content-Type") ?? "";
  if (!/^application\/([\w.+-]+\+)?json\s*(;|$)/i.test(type)) {
    throw new Problem(415, "unsupported_media_type", "Send JSON with Content-Type: application/json.");
  }
  const bytes = read ?? await readBytes(c, MAX_JSON_BYTES);
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (error) {
    throw new Problem(400, "broken_json", `The body is not JSON: ${(error as Error).message}`);
  }
  assertDepth(value, "");
  if (!isPlain(text, value)) keepAsWritten(text, value);
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new InvalidInputError(issuesOf(parsed.error as z.ZodError, ""));
  return parsed.data;
}

/**
 * Keeps the bodies of webhooks as they are written (the parameter `body_text`), and refuses what would be lost elsewhere.
 *
 * @throws {InvalidInputError} With a pointer to each loss.
 */
function keepAsWritten(text: string, value: unknown): void {
  const valueAt = (path: string[]) => path.reduce((at, name) => (at as Record<string, unknown>)[name], value);
  const isKept = (path: string[]) =>
    (path.length === 2 || path.length === 4 && path[0] === "tasks") && path.at(-2) === "input_params" &&
    (valueAt(path.slice(0, -2)) as { task_type?: unknown }).task_type === DELIVERY_TYPE;
  const { issues, kept } = lossesOf(text, { kept: { name: "body", isKept } });
  if (issues.length > 0) throw new InvalidInputError(issues);
  for (const { path, start, end } of kept) {
    const written = text.slice(start, end);
    const params = valueAt(path.slice(0, -1)) as Record<string, unknown>;
    if ("body_text" in params || isPlain(written, params.body)) continue;
    delete params.body;
    params.body_text = written;
  }
}

/** A file in a multipart body. */
interface PartFile {
  field: string;
  name: string;
  media_type: string;
  stream: ReadableStream<Uint8Array>;
}

/** Longest text of a form field in bytes. */
const MAX_FIELD_BYTES = 64 * 1024;
/** Fields and files of a form. */
const [MAX_FIELDS, MAX_FILES] = [100, 20];

/**
 * Reads a multipart body as it streams in: each file is handed to `onFile`, and the next part is read when it is done.
 *
 * @returns The text fields, by name.
 * @throws {Problem} 400 if the body is not valid multipart.
 */
export async function readMultipart(
  c: Context,
  onFile: (file: PartFile) => Promise<unknown>,
): Promise<Map<string, string[]>> {
  const fields = new Map<string, string[]>();
  const body = unpackedBody(c);
  if (!body) throw new Problem(400, "broken_multipart", "The body is empty.");
  const broken = (error: Error) =>
    new Problem(400, "broken_multipart", `The body is not multipart/form-data: ${error.message}`);
  let parser: InstanceType<typeof Busboy>;
  try {
    parser = new Busboy({
      headers: { "content-type": c.req.header("Content-Type") ?? "" } as BusboyHeaders,
      limits: { fieldSize: MAX_FIELD_BYTES, fields: MAX_FIELDS, files: MAX_FILES },
    });
  } catch (error) {
    throw broken(error as Error);
  }
  const source = Readable.fromWeb(body as NodeReadableStream);
  await new Promise<void>((resolve, reject) => {
    let files = Promise.resolve();
    let open: Readable | undefined;
    let failed = false;
    const fail = (error: unknown) => {
      if (failed) return;
      failed = true;
      source.unpipe(parser);
      source.destroy();
      // The reader of the current file gets the error, and removes what was stored.
      open?.destroy(error instanceof Error ? error : new Error(String(error)));
      // Nothing is stored any more once the failure is reported.
      files.catch(() => {}).then(() => reject(error));
    };
    // The types of the library do not know that a part may be without a name.
    parser.on("field", (name = "", value, _nameCut, valueCut) => {
      if (valueCut) return fail(new TooLargeError(`The field ${name}`, MAX_FIELD_BYTES));
      fields.set(name, [...fields.get(name) ?? [], value]);
    });
    parser.on("file", (field = "", file, name = "", _encoding, media_type) => {
      open = file;
      const stream = Readable.toWeb(file) as unknown as ReadableStream<Uint8Array>;
      files = files.then(async () => {
        if (failed) return;
        if (name !== "") return void await onFile({ field, name, media_type, stream });
        // A browser sends a file without a name and content where none was chosen.
        const { first, stream: whole } = await peek(stream);
        if (first.length > 0) await onFile({ field, name, media_type, stream: whole });
      });
      files.catch(fail);
    });
    const tooMany = (what: string) => () => fail(new Problem(413, "too_many_parts", `A form has at most ${what}.`));
    parser.on("filesLimit", tooMany(`${MAX_FILES} files`));
    parser.on("fieldsLimit", tooMany(`${MAX_FIELDS} fields`));
    parser.on("error", (error: Error) => fail(broken(error)));
    source.on("error", fail);
    parser.on("finish", () => files.then(resolve, fail));
    source.pipe(parser);
  });
  return fields;
}
