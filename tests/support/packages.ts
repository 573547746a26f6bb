/**
 * Files of npm packages that only tests read. They are not in deno.json or deno.lock, since whoever starts the service
 * would download them too.
 */

const roots = new Map<string, Promise<string>>();

/** The folder of a package, fetched once: `packageFolder("csv-spectrum@2.0.0")`. */
export function packageFolder(name: string): Promise<string> {
  let root = roots.get(name);
  if (!root) {
    root = fetchPackage(name);
    roots.set(name, root);
  }
  return root;
}

async function fetchPackage(name: string): Promise<string> {
  const specifier = `npm:${name}`;
  const command = new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      "--no-lock",
      "--no-config",
      `import "${specifier}"; console.log(import.meta.resolve("${specifier}"))`,
    ],
    stderr: "piped",
  });
  const { success, stdout, stderr } = await command.output();
  if (!success) throw new Error(`${name} could not be fetched: ${new TextDecoder().decode(stderr)}`);
  const path = new URL(new TextDecoder().decode(stdout).trim()).pathname;
  const at = name.lastIndexOf("@");
  const folder = `/${name.slice(0, at)}/${name.slice(at + 1)}/`;
  return path.slice(0, path.indexOf(folder) + folder.length);
}
