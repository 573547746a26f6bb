/** ImageMagick, by which pictures of all kinds are made and compared. Without it, what needs it is skipped. */

import { ok } from "../assert.ts";
import { withDirectory } from "../directory.ts";

/** Whether ImageMagick is installed; under CI it must be. */
export const HAS_MAGICK = await (async () => {
  try {
    // Other programs are called convert, too.
    return (await new Deno.Command("identify", { args: ["-version"] }).output()).success;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) || Deno.env.get("CI") === "true") throw error;
    console.warn("Skipped for want of ImageMagick: pictures of many kinds.");
    return false;
  }
})();

/** Runs a program on files, each given by name in `files`, and returns what it wrote into `out`. */
export async function runOn(
  command: string,
  files: Record<string, Uint8Array>,
  args: string[],
  out: string,
): Promise<Uint8Array<ArrayBuffer>> {
  let written: Uint8Array<ArrayBuffer> | null = null;
  await withDirectory(async (cwd) => {
    for (const [name, bytes] of Object.entries(files)) await Deno.writeFile(`${cwd}/${name}`, bytes);
    const { success, stderr } = await new Deno.Command(command, { args, cwd, stderr: "piped" }).output();
    ok(success, `${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
    written = await Deno.readFile(`${cwd}/${out}`);
  });
  return written!;
}

/** Makes a file of `source`, a PNG: `made(png, ["-compress", "lzw"], "x.tif")`. */
export async function made(source: Uint8Array, args: string[], name: string): Promise<Uint8Array<ArrayBuffer>> {
  return await runOn("convert", { "source.png": source }, ["source.png", ...args, name], name.replace(/^\w+:/, ""));
}

/** The pixels that ImageMagick reads: red, green, blue, alpha. Of an animation, all frames as they are seen. */
export async function seen(file: Uint8Array, name: string, args: string[] = []): Promise<Uint8Array<ArrayBuffer>> {
  const how = [...args, "-auto-orient", "-colorspace", "sRGB", "-depth", "8", "rgba:out"];
  return await runOn("convert", { [name]: file }, [name, ...how], "out");
}

/** The largest difference of two pictures where the second one is not transparent. */
export function difference(found: Uint8Array, wanted: Uint8Array): number {
  ok(found.length === wanted.length, `${found.length} bytes instead of ${wanted.length}`);
  let most = 0;
  for (let i = 0; i < wanted.length; i++) {
    if (i % 4 === 3 || wanted[i - i % 4 + 3] > 0) most = Math.max(most, Math.abs(found[i] - wanted[i]));
  }
  return most;
}
