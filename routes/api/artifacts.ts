/**
 * `/api/tasks/{id}/artifacts`: the files that a task produced: one by one (whole or in part), or all as a zip.
 *
 * @module
 */

import { makeZip, predictLength } from "client-zip";
import { type Context, Hono } from "hono";
import parseRange from "range-parser";
import type { ArtifactFile } from "../../queue/store/files/artifacts.ts";
import { BusyError, NotFoundError } from "../../queue/task/errors.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { requireRole } from "../access/auth.ts";
import { Problem } from "../http/problem.ts";

/** The most zips packed at the same time. */
const MAX_ZIPS = 4;

/** Media types that a browser may show; everything else is sent as a download. */
const SHOWN = new Set(["image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "text/plain"]);

/** The Content-Disposition of a file: its name in UTF-8 (RFC 6266), with a plain one for old clients. */
export function contentDisposition(name: string, mediaType: string): string {
  const kind = SHOWN.has(mediaType) ? "inline" : "attachment";
  const plain = name.replaceAll(/[^\w. -]/g, "_");
  const encoded = encodeURIComponent(name).replaceAll(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
  return `${kind}; filename="${plain}"; filename*=UTF-8''${encoded}`;
}

/** The content of a file can neither run scripts nor load anything. */
const HARMLESS = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox";

/** Whether a header that lists entity tags names this one. */
function names(header: string | undefined, etag: string): boolean {
  return (header ?? "").split(",").some((tag) => [etag, `W/${etag}`, "*"].includes(tag.trim()));
}

/** The routes of artifacts, below `/api/tasks`. */
export function artifactRoutes({ queue }: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });

  app.get("/:id/artifacts", async (c) => {
    const id = c.req.param("id");
    await queue.get(id);
    return c.json({ artifacts: await queue.artifacts.list(id) });
  });

  // Packing uses a lot of CPU: only a few at a time, so that other requests are still answered.
  let packing = 0;
  app.get("/:id/artifacts.zip", async (c) => {
    const id = c.req.param("id");
    if (packing >= MAX_ZIPS) throw new BusyError(`${MAX_ZIPS} zips are being created; try again in a moment.`);
    const { task } = await queue.get(id);
    const infos = await queue.artifacts.list(id);
    const length = predictLength(infos.map(({ name, size }) => ({ name, size })));
    packing++;
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    async function* files() {
      for (const { name, created_at } of infos) {
        // Each file is opened when its turn comes. If it was replaced since, it would not fit the announced length.
        const file = await queue.artifacts.open(id, name);
        yield { name, input: file.read(), size: file.size, lastModified: new Date(created_at) };
      }
    }
    makeZip(files()).pipeTo(writable).catch(() => {
      // The client has disconnected, or a file is gone: the download is aborted.
    }).finally(() => packing--);
    return c.body(readable, 200, {
      "Content-Type": "application/zip",
      "Content-Length": String(length),
      "Content-Disposition": contentDisposition(`${task.task_type}-${id}.zip`, "application/zip"),
    });
  });

  app.get("/:id/artifacts/:name", async (c) => {
    return sendFile(c, await queue.artifacts.open(c.req.param("id"), c.req.param("name")));
  });

  // What a task was given may be more than its reader should see, as a list of recipients.
  app.get("/:id/files/:upload", requireRole("operator"), async (c) => {
    const upload = c.req.param("upload");
    const { task } = await queue.get(c.req.param("id"));
    if (!task.uploads.includes(upload)) throw new NotFoundError(`File ${upload.slice(0, 64)} of task ${task.id}`);
    return sendFile(c, await queue.uploads.open(upload));
  });

  return app;
}

/** Answers with a file, or with the part of it that is asked for. */
function sendFile(c: Context<AppEnv>, file: ArtifactFile): Response {
  const { name, media_type, size, sha256, created_at, read } = file;
  const etag = `"${sha256}"`;
  const shown = c.req.query("show") !== undefined && media_type === "text/html";
  const headers = {
    ETag: etag,
    "Last-Modified": new Date(created_at).toUTCString(),
    "Accept-Ranges": "bytes",
    "Content-Type": media_type,
    // HTML made by the task is shown only on request, in a frame without any permissions.
    "Content-Disposition": contentDisposition(name, shown ? "text/plain" : media_type),
    // RFC 9530: the hash of the whole file, even if only a part is sent.
    "Repr-Digest": `sha-256=:${Uint8Array.fromHex(sha256).toBase64()}:`,
    "Content-Security-Policy": HARMLESS,
  };
  if (names(c.req.header("If-None-Match"), etag)) return c.body(null, 304, headers);
  const wanted = c.req.header("Range");
  const ifRange = c.req.header("If-Range");
  // A part of an older file is useless: send the whole file instead.
  if (wanted && (ifRange === undefined || ifRange === etag)) {
    const ranges = parseRange(size, wanted);
    if (ranges === -1) {
      const extra = { "Content-Range": `bytes */${size}` };
      throw new Problem(416, "range_not_satisfiable", `The file has ${size} bytes.`, [], extra);
    }
    if (ranges !== -2 && ranges.type === "bytes" && ranges.length === 1) {
      const [{ start, end }] = ranges;
      return c.body(read(start, end + 1), 206, {
        ...headers,
        "Content-Length": String(end + 1 - start),
        "Content-Range": `bytes ${start}-${end}/${size}`,
      });
    }
  }
  return c.body(read(), 200, { ...headers, "Content-Length": String(size) });
}
