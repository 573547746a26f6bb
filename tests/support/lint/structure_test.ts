/** The shape of the source: no circles of imports, and folders that one can take in at a glance. */

import { assertEquals, ok } from "../assert.ts";

const ROOT = new URL("../../..", import.meta.url).pathname;
/** Files side by side in one folder. */
const MAX_FILES = 12;

async function filesBelow(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(ROOT + folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await filesBelow(path));
    else found.push(path);
  }
  return found;
}

const folderOf = (path: string) => path.slice(0, path.lastIndexOf("/"));

Deno.test("no file imports itself over others", async () => {
  const files = new Set((await Promise.all(["queue", "routes", "islands"].map(filesBelow))).flat());
  const imports = new Map<string, string[]>();
  for (const file of files) {
    if (!/\.tsx?$/.test(file)) continue;
    // Without comments: an example in one imports nothing.
    const text = (await Deno.readTextFile(ROOT + file)).replaceAll(/\/\*[\s\S]*?\*\//g, "");
    const targets = [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)]
      .map(([, target]) => new URL(target, `file:///${file}`).pathname.slice(1));
    imports.set(file, targets.filter((target) => files.has(target)));
  }
  ok([...imports.values()].some((targets) => targets.length > 5), "imports are found");
  // What imports nothing that is left is taken away; what cannot be taken away is in a circle, or imports one.
  for (let taken = -1; taken !== 0;) {
    taken = 0;
    for (const [file, targets] of imports) {
      if (targets.some((target) => imports.has(target))) continue;
      imports.delete(file);
      taken++;
    }
  }
  assertEquals([...imports.keys()], []);
});

Deno.test("no folder has more files side by side than one takes in", async () => {
  const files = (await Promise.all(["queue", "routes", "islands", "tests"].map(filesBelow))).flat()
    .filter((file) => /\.tsx?$/.test(file));
  const sizes = Map.groupBy(files, folderOf);
  assertEquals([...sizes].filter(([, inside]) => inside.length > MAX_FILES).map(([folder]) => folder), []);
});

Deno.test("no module of a worker loads zod: it would take 10 MB in each of them", async () => {
  const seen = new Set<string>();
  const walk = async (file: string): Promise<void> => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = await Deno.readTextFile(ROOT + file);
    assertEquals(/^import (?!type).*"zod"/m.test(text), false, `${file} imports zod`);
    for (const [, target] of text.matchAll(/^(?:import|export) (?!type )[^;]*?from "(\.[^"]+)"/gm)) {
      await walk(new URL(target, `file:///${file}`).pathname.slice(1));
    }
  };
  for (const entry of ["worker.ts", "process.ts", "csv/worker.ts", "image/worker.ts"]) {
    await walk(`queue/handlers/${entry}`);
  }
  ok(seen.has("queue/handlers/csv/text/encoding.ts"), "imports are followed");
});

/** Lines of a file. */
const MAX_LINES = 350;
/** Longer files, since each is one thing: the public face, one attempt, one pass over a store. */
const LONG = ["queue/queue.ts", "queue/run/execution.ts", "queue/tools/check.ts"];

Deno.test("no file of the source is longer than one reads at a sitting", async () => {
  const files = (await Promise.all(["queue", "routes", "islands"].map(filesBelow))).flat()
    .filter((file) => /\.tsx?$/.test(file));
  const long: string[] = [];
  for (const file of files) {
    if ((await Deno.readTextFile(ROOT + file)).split("\n").length - 1 > MAX_LINES) long.push(file);
  }
  assertEquals(long.sort(), LONG);
});
