/**
 * Builds the islands into `static/build/` with `deno bundle` and terser, which makes the chunks a little smaller still,
 * and the client of the API into `static/build/api/`, unless they were already built from the same sources.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { minify } from "terser";

const ROOT = new URL("../", import.meta.url);
const OUT = new URL("static/build/", ROOT);

function hash(...parts: (string | Uint8Array)[]): string {
  const sha256 = createHash("sha256");
  for (const part of parts) sha256.update(part);
  return sha256.digest("hex").slice(0, 16);
}

/** What the build depends on: the islands and the client, what they import, and the versions of everything. */
async function hashSources(): Promise<string> {
  const names = ["deno.json", "deno.lock"];
  const walk = async (folder: string) => {
    for await (const { name, isFile } of Deno.readDir(new URL(folder, ROOT))) {
      if (isFile) names.push(folder + name);
      else await walk(`${folder}${name}/`);
    }
  };
  names.push("routes/client.ts");
  for (const folder of ["islands/", "queue/task/", "routes/client/"]) await walk(folder);
  const parts: (string | Uint8Array)[] = [];
  for (const name of names.sort()) parts.push(name, await Deno.readFile(new URL(name, ROOT)));
  return hash(...parts);
}

async function built(): Promise<string | null> {
  try {
    return JSON.parse(await Deno.readTextFile(new URL("manifest.json", OUT))).sources;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

async function bundle(entry: string, ...options: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform=browser", ...options, entry],
    cwd: ROOT,
  }).output();
  if (success) return;
  console.error(new TextDecoder().decode(stderr));
  Deno.exit(1);
}

const sources = await hashSources();
if (await built() !== sources) {
  await Deno.remove(OUT, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  await Deno.mkdir(OUT, { recursive: true });
  await bundle("islands/app/client.tsx", "--minify", "--code-splitting", `--outdir=${OUT.pathname}`);
  for await (const { name } of Deno.readDir(OUT)) {
    const file = new URL(name, OUT);
    const { code } = await minify(await Deno.readTextFile(file), {
      module: true,
      compress: { passes: 2, ecma: 2020 },
      format: { ecma: 2020 },
    });
    await Deno.writeTextFile(file, code!);
  }
  // Chunks are named by a hash of their content; so is the entry.
  const entry = new URL("client.js", OUT);
  const client = `client-${hash(await Deno.readFile(entry))}.js`;
  await Deno.rename(entry, new URL(client, OUT));
  await bundle("routes/client.ts", `--output=${OUT.pathname}api/client.js`);
  await Deno.writeTextFile(new URL("manifest.json", OUT), JSON.stringify({ sources, client }));
  console.log(`Built static/build/${client}`);
}
