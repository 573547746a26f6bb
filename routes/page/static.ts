/**
 * `/static`: the style sheet, the icon and the built islands. Built files have a hash in their name and never
 * change; the others are revalidated by ETag.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import type { AppEnv } from "../env.ts";
import { keep, type Kept, sendKept } from "../http/kept.ts";
import { Problem } from "../http/problem.ts";

const ROOT = new URL("../../static/", import.meta.url);

const MEDIA_TYPES: Record<string, string> = {
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

/** Names of the built files, by what they are for. */
export interface Manifest {
  /** Hash of the sources that were built. */
  sources: string;
  /** The entry script, below `/static/build/`. */
  client: string;
}

/** Reads which script belongs to the page; null if the islands are not built: the page works without it. */
export async function readManifest(): Promise<Manifest | null> {
  try {
    return JSON.parse(await Deno.readTextFile(new URL("build/manifest.json", ROOT)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** The routes of static files. */
export function staticRoutes(): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  const files = new Map<string, Kept>();

  async function read(name: string, type: string): Promise<Kept | null> {
    const known = files.get(name);
    if (known) return known;
    try {
      const file = keep(await Deno.readFile(new URL(name, ROOT)), type);
      if (name.startsWith("build/")) files.set(name, file);
      return file;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  }

  async function serve(c: Context<AppEnv>, name: string, isHashed = false): Promise<Response> {
    const type = /^(build\/(api\/)?)?[\w.-]{1,150}\.(css|js|svg)$/.test(name)
      ? MEDIA_TYPES[name.split(".").pop()!]
      : undefined;
    const file = type ? await read(name, type) : null;
    if (!file) throw new Problem(404, "not_found", "There is no such file.");
    return sendKept(c, file, isHashed ? "public, max-age=31536000, immutable" : undefined);
  }

  // The client of the API, for programs.
  app.get("/client.js", (c) => serve(c, "build/api/client.js"));
  app.get("/:file", (c) => serve(c, c.req.param("file")));
  app.get("/build/:file", (c) => serve(c, `build/${c.req.param("file")}`, true));

  return app;
}
