import { listeningEnds } from "../../../queue/watch/messages.ts";
import { createConfig, lintFromString } from "@redocly/openapi-core";
import { createApp } from "../../../routes/app.ts";
import { PROBLEMS } from "../../../routes/openapi/problems.ts";
import { Queue } from "../../../queue/queue.ts";
import { assertEquals } from "../../support/assert.ts";
import { appOptions } from "../../support/http/app.ts";
import { DOCUMENT } from "../../support/http/described.ts";
import { noop } from "../../support/queue.ts";

/** What is no part of the API: pages, what their forms post to, and their files. */
const PAGES =
  /^\/($|login(\/\w+)?$|logout$|static\/|docs(\/|$)|tasks(\/:id\/\w+)?$|examples$|schedules$|suppressions(\/remove)?$|undelivered$|audit$|alerts$)/;

Deno.test("every route of the API is described, and nothing else", async () => {
  const kv = await Deno.openKv(":memory:");
  const { app, close } = createApp(appOptions(new Queue({ kv, definitions: [noop] })));
  const routes = app.routes.filter(({ method, path }) => method !== "ALL" && !PAGES.test(path) && path !== "/*")
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}").replace(/(.)\/$/, "$1")}`);
  const described = Object.entries(DOCUMENT.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`)
  );
  assertEquals([...new Set(routes)].sort(), described.sort());
  await close();
  kv.close();
  await listeningEnds(kv);
});

Deno.test("a validator finds nothing in the description", async () => {
  const config = await createConfig({ extends: ["recommended"] });
  const problems = await lintFromString({ source: JSON.stringify(DOCUMENT), config });
  const found = problems.map(({ ruleId, message, location: [{ pointer }] }) => `${ruleId} ${pointer} ${message}`);
  // A WebSocket is opened by a 101, and by nothing else.
  assertEquals(found, [
    "operation-2xx-response #/paths/~1ws/get/responses Operation must have at least one `2XX` response.",
  ]);
});

Deno.test("every code of a problem in the source is described, and nothing else", async () => {
  const codes = new Set<string>();
  const walk = async (folder: URL) => {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      if (isDirectory) await walk(new URL(`${name}/`, folder));
      else if (/\.tsx?$/.test(name)) {
        const text = await Deno.readTextFile(new URL(name, folder));
        for (const [, code] of text.matchAll(/(?:new Problem\(\s*\d{3}|\.refusal\(\w*(?:"")?,\s*\w+),\s*"(\w+)"/g)) {
          codes.add(code);
        }
        const [, table] = /const STATUS: Record<string, ContentfulStatusCode> = \{([^}]+)\}/.exec(text) ?? [];
        for (const [, code] of (table ?? "").matchAll(/(\w+): \d{3}/g)) codes.add(code);
      }
    }
  };
  await walk(new URL("../../../routes/", import.meta.url));
  assertEquals([...codes].sort(), Object.keys(PROBLEMS).sort());
});
