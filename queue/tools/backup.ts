/**
 * `deno task backup FILE`: copies the store to a new file, even while the server is running.
 *
 * @module
 */

import { systemClock } from "../task/clock.ts";
import { copyWhole, storePath, whyNotAFile } from "./copy.ts";

const [file] = Deno.args;
const path = storePath();
const exists = (name: string) => Deno.lstat(name).then(() => true, () => false);
const problem = !file
  ? "Name the file to write: deno task backup FILE"
  : await whyNotAFile(path) ?? (await exists(file) ? `${file} already exists and is not overwritten.` : null);
if (problem) {
  console.error(problem);
  Deno.exit(2);
}
const started = systemClock.monotonic();
try {
  await copyWhole(path, file, `${file}.unfinished`);
} catch (error) {
  console.error(`${path} was not copied to ${file}: ${(error as Error).message}`);
  Deno.exit(1);
}
const { size } = await Deno.stat(file);
const seconds = ((systemClock.monotonic() - started) / 1000).toFixed(1);
console.log(`Copied ${path} to ${file}: ${size.toLocaleString("en")} bytes in ${seconds} s.`);
