/** What the page may weigh (gzip), and that it asks nobody else for anything. */

import { gzipSync } from "node:zlib";
import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";

const STATIC = new URL("../../../static/", import.meta.url);

function gz(bytes: Uint8Array): number {
  return gzipSync(bytes, { level: 9 }).length;
}

/** The scripts that the page loads with its entry: what it imports at once, and what that imports. */
async function entryScripts(): Promise<string[]> {
  const { client } = JSON.parse(await Deno.readTextFile(new URL("build/manifest.json", STATIC)));
  const found = new Set<string>();
  const follow = async (name: string) => {
    if (found.has(name)) return;
    found.add(name);
    const source = await Deno.readTextFile(new URL(`build/${name}`, STATIC));
    for (const [, imported] of source.matchAll(/(?:from|^import|;import)\s*"\.\/([\w.-]+\.js)"/g)) {
      await follow(imported);
    }
  };
  await follow(client);
  return [...found];
}

async function sizeOf(names: string[]): Promise<number> {
  const sizes = await Promise.all(names.map(async (name) => gz(await Deno.readFile(new URL(`build/${name}`, STATIC)))));
  return sizes.reduce((sum, size) => sum + size, 0);
}

Deno.test("scripts at first at most 40 kB, all without the chart library at most 56 kB, styles at most 12 kB", async () => {
  const entry = await entryScripts();
  ok(entry.length > 1, "the entry shares chunks with what is loaded later");
  const first = await sizeOf(entry);
  ok(first <= 40_000, `scripts at first: ${first} bytes`);
  const all: string[] = [];
  for await (const { name } of Deno.readDir(new URL("build/", STATIC))) if (name.endsWith(".js")) all.push(name);
  const charts = all.filter((name) => /uplot/i.test(name));
  assertEquals(charts.length, 1);
  ok(!entry.includes(charts[0]), "the chart library is not loaded at first");
  const rest = await sizeOf(all.filter((name) => !charts.includes(name)));
  ok(rest <= 56_000, `all scripts without the chart library: ${rest} bytes`);
  const styles = await Promise.all(["tokens.css", "styles.css"].map((name) => Deno.readFile(new URL(name, STATIC))));
  const style = styles.reduce((sum, bytes) => sum + gz(bytes), 0);
  ok(style <= 12_000, `styles: ${style} bytes`);
});

Deno.test("the first answer with 50 rows has at most 20 kB, no style attribute, no inline script, and names no other origin", async () => {
  await withApp({ worker: false }, async ({ call, send }) => {
    const tasks = Array.from({ length: 60 }, (_, i) => ({
      task_type: "csv_processing",
      input_params: { num_rows: 100 + i },
      tags: [`run-${i}`],
    }));
    await (await send("POST", "/api/tasks/batch", { tasks })).body?.cancel();
    const answer = await call("/", { headers: { "Accept-Encoding": "identity" } });
    const html = await answer.text();
    const size = gz(new TextEncoder().encode(html));
    ok(size <= 20_000, `${size} bytes`);
    assertEquals(html.match(/ style="/g), null);
    assertEquals([...html.matchAll(/<script[^>]*>/g)].map(([tag]) => /src="static\//.test(tag)), [true]);
    assertEquals([...html.matchAll(/(?:src|href|action)="(https?:)?\/\//g)].length, 0);
    const policy = answer.headers.get("Content-Security-Policy")!;
    ok(!/unsafe|https?:|\*/.test(policy), policy);
  });
});
