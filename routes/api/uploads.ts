/**
 * `POST /api/uploads`: files, streamed into the store.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import { TooLargeError } from "../../queue/task/errors.ts";
import { requireRole } from "../access/auth.ts";
import { readMultipart, refuseLong } from "../http/body.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { mediaTypeOf, peek } from "../http/media_type.ts";
import type { IdempotencyKey } from "../../queue/submit/deduplication.ts";
import { idempotencyOf, isPacked, unpackedBody } from "../http/request_headers.ts";
import { Problem } from "../http/problem.ts";
import type { Quotas } from "../limits/quotas.ts";

/** The response to an upload. */
export interface UploadAnswer {
  upload_id: string;
  name: string;
  /** Bytes. */
  size: number;
  media_type: string;
  sha256: string;
}

/** Bytes allowed for multipart framing, on top of the files. */
const FRAMING_BYTES = 64 * 1024;

/** A file name as data: no path, no control characters, at most 200 characters. */
function fileName(name: string): string {
  const last = name.split(/[/\\]/).pop()!;
  // deno-lint-ignore no-control-regex
  return last.replaceAll(/[\u0000-\u001f\u007f]/g, "").slice(0, 200) || "upload";
}

/** Stores the files of one request: all of them, or none. */
export class RequestFiles {
  readonly stored: UploadAnswer[] = [];
  /** Ids of the files that no earlier request with the same key has stored. */
  readonly #made: string[] = [];
  readonly #options: AppOptions;
  readonly #idempotency: IdempotencyKey | undefined;
  #left: number;

  /** @param idempotency The request's key, if any: each of its files then gets a key of its own. */
  constructor(options: AppOptions, idempotency?: IdempotencyKey) {
    this.#options = options;
    this.#idempotency = idempotency;
    this.#left = options.maxUploadTotalBytes;
  }

  /**
   * Stores a file.
   *
   * @throws {TooLargeError} If the file is too large, or all files of the request together are.
   */
  async store(name: string, stated: string, stream: ReadableStream<Uint8Array>): Promise<UploadAnswer> {
    const { queue, maxUploadBytes, maxUploadTotalBytes } = this.#options;
    const peeked = await peek(stream);
    const named = fileName(name);
    const mediaType = await mediaTypeOf(peeked.first, named, stated);
    const limit = Math.min(maxUploadBytes, this.#left);
    try {
      const key = this.#idempotency &&
        { scope: `upload:${this.#idempotency.scope}`, key: `${this.#idempotency.key}#${this.stored.length}` };
      const { id, file, created } = await queue.uploads.store(named, mediaType, peeked.stream, limit, key);
      if (created) this.#made.push(id);
      this.#left -= file.size;
      const { size, media_type, sha256 } = file;
      const answer = { upload_id: id, name: file.name, size, media_type, sha256 };
      this.stored.push(answer);
      return answer;
    } catch (error) {
      if (!(error instanceof TooLargeError) || limit === maxUploadBytes) throw error;
      throw new TooLargeError("All files of a request together", maxUploadTotalBytes);
    }
  }

  /** Removes what was stored, because the request failed. */
  async discard(): Promise<void> {
    this.stored.length = 0;
    for (const id of this.#made.splice(0)) await this.#options.queue.uploads.discard(id);
  }
}

/** The routes of uploads. */
export function uploadRoutes(options: AppOptions, quotas: Quotas): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });

  app.post("/", requireRole("operator"), async (c) => {
    const files = new RequestFiles(options, idempotencyOf(c, "upload"));
    const giveBack = await quotas.reserveUploads(c);
    let bytes = 0;
    try {
      if (/^multipart\/form-data/i.test(c.req.header("Content-Type") ?? "")) await fromMultipart(c, files);
      else await fromBody(c, files);
      bytes = files.stored.reduce((sum, { size }) => sum + size, 0);
    } catch (error) {
      await files.discard();
      throw error;
    } finally {
      giveBack(bytes);
    }
    const { stored } = files;
    c.set("target", stored.map(({ upload_id }) => upload_id));
    return c.json(stored.length === 1 ? stored[0] : { uploads: stored }, 201);
  });

  async function fromMultipart(c: Context, files: RequestFiles): Promise<void> {
    refuseLong(c, options.maxUploadTotalBytes + FRAMING_BYTES);
    await readMultipart(c, ({ name, media_type, stream }) => files.store(name, media_type, stream));
    if (files.stored.length === 0) {
      throw new Problem(400, "no_file", "There is no file in the form. With curl: -F file=@orders.csv");
    }
  }

  async function fromBody(c: Context, files: RequestFiles): Promise<void> {
    refuseLong(c, options.maxUploadBytes);
    const body = unpackedBody(c);
    if (!body) throw new Problem(400, "no_file", "The body is empty.");
    const stated = isPacked(c) ? NaN : Number(c.req.header("Content-Length") ?? NaN);
    let seen = 0;
    const counted = body.pipeThrough(
      new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
        transform(chunk, controller) {
          seen += chunk.length;
          if (seen > stated) throw new TooLargeError("The body", stated);
          controller.enqueue(chunk);
        },
      }),
    );
    const name = c.req.query("name") ?? "upload";
    await files.store(name, c.req.header("Content-Type") ?? "", counted);
  }

  return app;
}
