/**
 * The text of an upload: as it is, or out of a gzip file or a zip file with one file in it.
 *
 * @module
 */

import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import type { OpenedFile, TaskContext } from "../../../define.ts";
import { TableError } from "./errors.ts";

/** Text that is read. */
export interface TextSource {
  name: string;
  /** Bytes of the stored file. */
  size: number;
  stream: ReadableStream<Uint8Array>;
  /** How many bytes of the stored file have been read. */
  readBytes(): number;
}

type Opener = Pick<TaskContext, "openUpload">;

/** Text that unpacks to more than this is refused, unless it is less than a hundred times what is stored. */
const [MAX_UNPACKED, MAX_GROWTH] = [1_000_000_000, 100];

/** What is not a CSV, by its media type. */
const REFUSED: [RegExp, string][] = [
  [/spreadsheetml|ms-excel|opendocument\.spreadsheet/, "a spreadsheet. Save its sheet as CSV"],
  [/^application\/(json|x-ndjson|jsonl)/, "JSON"],
  [/xml$/, "XML"],
  [/^application\/pdf$/, "a PDF"],
  [
    /^application\/(x-7z|x-rar|zstd|x-bzip|x-xz|x-tar|x-compress)/,
    "an archive of a kind that is not read. Use gzip or zip",
  ],
  [/^application\/x-(parquet|sqlite3)|^application\/vnd\.apache/, "a data file of another format"],
  [/^(image|audio|video|font)\//, "not text"],
];

/**
 * Opens an upload from byte `from` of its text on.
 *
 * @throws {TableError} If it is of a kind that is not read, or unpacks to too much.
 */
export async function openSource(ctx: Opener, upload: string, from = 0): Promise<TextSource> {
  const file = await ctx.openUpload(upload);
  const { name, size, media_type } = file;
  const refused = REFUSED.find(([type]) => type.test(media_type));
  if (refused) {
    await file.stream.cancel();
    throw new TableError(`${name} is not a CSV: it is ${refused[1]} (${media_type}).`);
  }
  if (media_type === "application/gzip") {
    const { stream, readBytes } = counting(file.stream);
    return { name, size, readBytes, stream: rest(bounded(unpacked(stream, name), name, size), from) };
  }
  if (media_type === "application/zip") {
    await file.stream.cancel();
    return await openZip(ctx, upload, file, from);
  }
  let stream = file.stream;
  if (from > 0) {
    await stream.cancel();
    ({ stream } = await ctx.openUpload(upload, from));
  }
  return { name, size, ...counting(stream, from) };
}

/** Unpacks gzip, also several files in a row, which DecompressionStream refuses. */
function unpacked(stream: ReadableStream<Uint8Array>, name: string): ReadableStream<Uint8Array> {
  const gunzip = createGunzip();
  const source = Readable.fromWeb(stream as Parameters<typeof Readable.fromWeb>[0]);
  async function* bytes(): AsyncGenerator<Uint8Array> {
    // A failure of either is one of the last stream; a reader that leaves ends both.
    yield* pipeline(source, gunzip, () => {});
  }
  return explained(
    bytes(),
    `${name} is not a gzip file that can be read`,
    (error) => /^Z_/.test((error as { code?: string }).code ?? ""),
  );
}

/** A stream whose failures are those of the file in it where `isDamage` says so; others may be over soon. */
function explained(
  bytes: AsyncIterable<Uint8Array>,
  words: string,
  isDamage: (error: unknown) => boolean,
): ReadableStream<Uint8Array> {
  return ReadableStream.from((async function* () {
    try {
      yield* bytes;
    } catch (error) {
      if (!isDamage(error)) throw error;
      throw new TableError(`${words}: ${(error as Error).message}.`);
    }
  })());
}

async function openZip(ctx: Opener, upload: string, { name, size }: OpenedFile, from: number): Promise<TextSource> {
  const { configure, Reader, ZipReader } = await import("@zip.js/zip.js");
  configure({ useWebWorkers: false });
  let read = 0;
  class UploadReader extends Reader<string> {
    override size = size;
    override async readUint8Array(index: number, length: number): Promise<Uint8Array> {
      const { stream } = await ctx.openUpload(upload, index);
      read = Math.max(read, Math.min(size, index + length));
      return await take(stream, Math.min(length, size - index));
    }
  }
  const zip = new ZipReader(new UploadReader(upload));
  const entries = await zip.getEntries().catch((error: Error) => {
    throw new TableError(`${name} is not a zip file that can be read: ${error.message}.`);
  });
  const files = entries.filter(({ directory, filename }) => !directory && !/(^|\/)(\.|__MACOSX\/)/.test(filename));
  if (files.some(({ filename }) => filename === "xl/workbook.xml" || filename === "content.xml")) {
    throw new TableError(`${name} is not a CSV: it is a spreadsheet. Save its sheet as CSV.`);
  }
  const [entry] = files;
  if (files.length !== 1 || entry.directory) {
    throw new TableError(`${name} has ${files.length} files; a zip file with exactly one is read.`);
  }
  if (entry.encrypted) throw new TableError(`${name} is encrypted.`);
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  // A failure also reaches the reader, as an error of the stream.
  entry.getData(writable, { checkSignature: true }).catch((error) => writable.abort(error).catch(() => {}));
  read = 0;
  // An error with a code is one of the queue or the system.
  const text = explained(readable, `${name} is damaged`, (error) => error instanceof Error && !("code" in error));
  return {
    name: `${name}, ${entry.filename}`,
    size,
    readBytes: () => read,
    stream: rest(bounded(text, name, size), from),
  };
}

/** The first `length` bytes of a stream. */
async function take(stream: ReadableStream<Uint8Array>, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let at = 0;
  for await (const chunk of stream) {
    bytes.set(chunk.subarray(0, length - at), at);
    at += Math.min(chunk.length, length - at);
    if (at === length) break;
  }
  return bytes.subarray(0, at);
}

/** A stream that counts its bytes, beginning with `from`. */
export function counting(stream: ReadableStream<Uint8Array>, from = 0): Pick<TextSource, "stream" | "readBytes"> {
  let count = from;
  const counted = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      count += chunk.length;
      controller.enqueue(chunk);
    },
  });
  return { stream: stream.pipeThrough(counted), readBytes: () => count };
}

/** Fails when a stream has more bytes than its packed size makes plausible. */
function bounded(stream: ReadableStream<Uint8Array>, name: string, size: number): ReadableStream<Uint8Array> {
  const most = Math.max(MAX_UNPACKED, MAX_GROWTH * size);
  let count = 0;
  return stream.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        count += chunk.length;
        if (count > most) {
          throw new TableError(`${name} unpacks to more than ${most.toLocaleString("en")} bytes: it is not read.`);
        }
        controller.enqueue(chunk);
      },
    }),
  );
}

/** A stream without its first bytes. */
function rest(stream: ReadableStream<Uint8Array>, from: number): ReadableStream<Uint8Array> {
  let left = from;
  return stream.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        const part = chunk.subarray(Math.min(left, chunk.length));
        left -= chunk.length - part.length;
        if (part.length > 0) controller.enqueue(part);
      },
    }),
  );
}
