/**
 * `/openapi.json` describes the API; `/docs` shows the description by Swagger UI, which also calls the API as whoever is
 * signed in. All that the page loads comes from this service.
 *
 * @module
 */

import { Hono } from "hono";
// Not used by name: it puts the files where they are read.
import "swagger-ui-dist/package.json" with { type: "json" };
import type { AppEnv, AppOptions } from "../env.ts";
import { keep, type Kept, sendKept } from "../http/kept.ts";
import { Problem } from "../http/problem.ts";
import { renderDocument } from "../page/document.tsx";
import { createOpenApiDocument } from "./document.ts";

/** Where a file of Swagger UI is. */
const fileOf = (name: string) => new URL(import.meta.resolve(`swagger-ui-dist/${name}`));

/** The routes. */
export function openApiRoutes({ queue, publicUrl }: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  const files = new Map<string, Promise<Kept>>();
  /** Makes what is asked for once. */
  const kept = (name: string, make: () => Promise<Kept>) => {
    const known = files.get(name) ?? make();
    files.set(name, known);
    known.catch(() => files.delete(name));
    return known;
  };

  app.get("/openapi.json", async (c) => {
    const document = await kept("openapi.json", () => {
      // Without a public URL the API is where the document is.
      const text = JSON.stringify(createOpenApiDocument(queue.registry, publicUrl?.href.replace(/\/$/, "") ?? "/"));
      return Promise.resolve(keep(new TextEncoder().encode(text), "application/json"));
    });
    return sendKept(c, document);
  });

  app.get("/docs", (c) =>
    c.html(renderDocument({
      title: "API — Millrace",
      className: "docs",
      styles: ["docs/swagger-ui.css", "static/docs.css"],
      scripts: ["docs/swagger-ui-bundle.js", "static/docs.js"],
      children: (
        <main>
          <nav aria-label="Millrace">
            <a href="./">Tasks</a> <a href="openapi.json">openapi.json</a>
          </nav>
          <noscript>
            <p>
              This page needs JavaScript. <a href="openapi.json">openapi.json</a> has all of it.
            </p>
          </noscript>
          <div id="docs" />
        </main>
      ),
    })));

  app.get("/docs/swagger-ui-bundle.js", async (c) => {
    const type = "text/javascript; charset=utf-8";
    const script = await kept("script", async () => keep(await Deno.readFile(fileOf("swagger-ui-bundle.js")), type));
    return sendKept(c, script);
  });

  /** The pictures that the style sheet holds as data, which the Content-Security-Policy does not allow. */
  let pictures: string[] = [];
  const readStyles = () =>
    kept("styles", async () => {
      pictures = [];
      const css = (await Deno.readTextFile(fileOf("swagger-ui.css"))).replaceAll(
        /url\((?:"(data:(?:[^"\\]|\\.)*)"|(data:[^)]*))\)/g,
        (_, quoted?: string, bare?: string) =>
          `url(pictures/${pictures.push((quoted ?? bare!).replaceAll(/\\(.)/g, "$1")) - 1})`,
      );
      return keep(new TextEncoder().encode(css), "text/css; charset=utf-8");
    });
  app.get("/docs/swagger-ui.css", async (c) => sendKept(c, await readStyles()));

  app.get("/docs/pictures/:number", async (c) => {
    await readStyles();
    const data = /^\d{1,3}$/.test(c.req.param("number")) ? pictures[Number(c.req.param("number"))] : undefined;
    if (data === undefined) throw new Problem(404, "not_found", "There is no such file.");
    const content = await fetch(data);
    const type = content.headers.get("Content-Type")!;
    return sendKept(c, keep(await content.bytes(), type));
  });

  return app;
}
