/** The oldest Deno that the service runs on: what Deno Deploy has. It comes from npm. */

/** The version. */
export const OLD_VERSION = "2.5.6";

async function find(): Promise<string | null> {
  const command = new Deno.Command("npx", {
    args: ["-y", `deno@${OLD_VERSION}`, "eval", "console.log(Deno.execPath())"],
    stderr: "null",
  });
  try {
    const { success, stdout } = await command.output();
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Where its executable is; null where npm is missing or does not have it. */
export const OLD_DENO: string | null = await find();
