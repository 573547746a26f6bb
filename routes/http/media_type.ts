/**
 * Detects a file's type from its first bytes: a name and a header only say what the sender claims.
 *
 * @module
 */

import { fileTypeFromBuffer } from "file-type";

/** Bytes that are examined. */
const LOOKED_AT = 4_100;

/** Text formats by file extension. */
const TEXTS: Record<string, string> = {
  csv: "text/csv",
  tsv: "text/tab-separated-values",
  json: "application/json",
  html: "text/html",
  md: "text/markdown",
  xml: "application/xml",
  svg: "image/svg+xml",
};

/** Reads the first bytes of a stream; the returned stream still contains them. */
export async function peek(
  stream: ReadableStream<Uint8Array>,
): Promise<{ first: Uint8Array; stream: ReadableStream<Uint8Array> }> {
  const reader = stream.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (size < LOOKED_AT) {
    const { value, done } = await reader.read();
    if (done) break;
    chunks.push(value);
    size += value.length;
  }
  const first = new Uint8Array(await new Blob(chunks as BlobPart[]).slice(0, LOOKED_AT).arrayBuffer());
  const whole = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = chunks.shift();
      if (next) return controller.enqueue(next);
      const { value, done } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
  return { first, stream: whole };
}

/**
 * The media type of a file. A format with a signature is recognized by it. Text gets the type that its name or
 * its sender states, if that is a text type. Everything else is `application/octet-stream`.
 */
export async function mediaTypeOf(first: Uint8Array, name: string, stated: string): Promise<string> {
  const known = await fileTypeFromBuffer(first);
  if (known) return known.mime;
  const utf16 = (first[0] === 0xff && first[1] === 0xfe) || (first[0] === 0xfe && first[1] === 0xff);
  if (first.includes(0) && !utf16) return "application/octet-stream";
  const type = stated.split(";")[0].trim().toLowerCase();
  if (Object.values(TEXTS).includes(type) || /^text\/[\w.+-]+$/.test(type) && type !== "text/plain") return type;
  return TEXTS[name.split(".").pop()!.toLowerCase()] ?? "text/plain";
}
