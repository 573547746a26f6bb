/**
 * `POST /api/uploads`: a file, streamed into the store.
 *
 * @module
 */

import { Hono } from "hono";
import type { Context } from "hono";
import { TooLargeError } from "../queue/errors.ts";
import { requireRole } from "./auth.ts";
import { readMultipart, refuseLong } from "./body.ts";
import type { AppEnv, AppOptions } from "./env.ts";
import { Problem } from "./problem.ts";

/** What an upload answers. */
export interface UploadAnswer {
  upload_id: string;
  name: string;
  /** Bytes. */
  size: number;
  media_type: string;
  sha256: string;
}

/** Bytes of multipart framing that may come on top of the file. */
const FRAMING_BYTES = 16 * 1024;

/** A file name as data: no path, no control characters, at most 200 characters. */
export function fileName(name: string): string {
  const last = name.split(/[/\\]/).pop()!;
  // deno-lint-ignore no-control-regex
  return last.replaceAll(/[\u0000-\u001f\u007f]/g, "").slice(0, 200) || "upload";
}

/** Stores one file and answers what it is. */
export async function storeUpload(
  { queue, maxUploadBytes }: AppOptions,
  name: string,
  mediaType: string,
  stream: ReadableStream<Uint8Array>,
): Promise<UploadAnswer> {
  const type = mediaType.split(";")[0].trim().toLowerCase() || "application/octet-stream";
  const { id, file } = await queue.upload(fileName(name), type, stream, maxUploadBytes);
  return { upload_id: id, name: file.name, size: file.size, media_type: file.media_type, sha256: file.sha256 };
}

/** The routes of uploads. */
export function uploadRoutes(options: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });

  app.post("/", requireRole("operator"), async (c) => {
    const answer = /^multipart\/form-data/i.test(c.req.header("Content-Type") ?? "")
      ? await fromMultipart(c)
      : await fromBody(c);
    return c.json(answer, 201);
  });

  async function fromMultipart(c: Context): Promise<UploadAnswer> {
    refuseLong(c, options.maxUploadBytes + FRAMING_BYTES);
    let answer: UploadAnswer | undefined;
    await readMultipart(c, async ({ name, media_type, stream }) => {
      if (answer) {
        await options.queue.discardUpload(answer.upload_id);
        throw new Problem(400, "one_file", "Send one file a request.");
      }
      answer = await storeUpload(options, name, media_type, stream);
    });
    if (!answer) throw new Problem(400, "no_file", "There is no file in the form. With curl: -F file=@orders.csv");
    return answer;
  }

  async function fromBody(c: Context): Promise<UploadAnswer> {
    refuseLong(c, options.maxUploadBytes);
    const body = c.req.raw.body;
    if (!body) throw new Problem(400, "no_file", "The body is empty.");
    const stated = Number(c.req.header("Content-Length") ?? NaN);
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
    return await storeUpload(options, name, c.req.header("Content-Type") ?? "", counted);
  }

  return app;
}
