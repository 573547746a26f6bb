/** What `deploy/` has: the Dockerfile and the systemd unit, as far as they can be tried without Docker and systemd. */

import { assertEquals, ok } from "../support/assert.ts";
import { withDirectory } from "../support/directory.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const read = (name: string) => Deno.readTextFile(`${ROOT}deploy/${name}`);

async function run(command: string, args: string[], options: Deno.CommandOptions = {}) {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, ...options }).output();
  return { code, said: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

Deno.test("the Dockerfile has no fault that its linter knows", async () => {
  const script = `import { validate } from "npm:dockerfile-utils@0.16";
    const found = validate(await Deno.readTextFile("${ROOT}deploy/Dockerfile"));
    console.log(JSON.stringify(found.map(({ range, message }) => [range.start.line + 1, message])));`;
  const { code, said } = await run(Deno.execPath(), ["eval", "--no-lock", "--quiet", script], { cwd: "/" });
  assertEquals([code, said.trim().split("\n").at(-1)], [0, "[]"], said);
});

Deno.test("what the Dockerfile copies is installed, built and started by its commands, and SIGTERM stops it cleanly", async () => {
  await withDirectory(async (directory) => {
    const kept = (await read("Dockerfile.dockerignore")).split("\n").filter((line) => line.startsWith("!"));
    for (const line of kept) assertEquals((await run("cp", ["-r", ROOT + line.slice(1), directory])).code, 0, line);
    await Deno.remove(`${directory}/static/build`, { recursive: true }).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
    const file = await read("Dockerfile");
    const [, install] = /^RUN (deno install [^\\]*)/m.exec(file)!;
    for (const command of [install.trim(), "deno task build"]) {
      const { code, said } = await run(Deno.execPath(), command.split(" ").slice(1), { cwd: directory });
      assertEquals(code, 0, said);
    }
    const process = new Deno.Command(Deno.execPath(), {
      args: JSON.parse(/^CMD (.*)$/m.exec(file)![1]),
      cwd: directory,
      env: { KV_PATH: `${directory}/store.db`, PORT: "0", NO_COLOR: "1" },
      stdout: "piped",
      stderr: "null",
    }).spawn();
    let text = "";
    for await (const piece of process.stdout.pipeThrough(new TextDecoderStream())) {
      // A container's engine tells the first process only: the task passes it on.
      if (!text.includes("is ready") && (text + piece).includes("is ready")) process.kill("SIGTERM");
      text += piece;
    }
    await process.status;
    ok(text.trim().endsWith("Stopped."), text);
  });
});

Deno.test("the systemd unit is one that systemd accepts", async () => {
  const unit = await read("millrace.service");
  await withDirectory(async (directory) => {
    const path = `${directory}/millrace.service`;
    // Deno is elsewhere here.
    await Deno.writeTextFile(path, unit.replace("/usr/local/bin/deno", Deno.execPath()));
    try {
      assertEquals(await run("systemd-analyze", ["verify", path]), { code: 0, said: "" });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      console.warn("Skipped for want of systemd-analyze: the systemd unit.");
    }
  });
  ok(!/[A-Z_]+=.*secret/i.test(unit), "secrets belong to the file of settings");
});
