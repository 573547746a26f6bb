/** The conformance suite passes on the oldest Deno, too: on this one it is run as it stands. */

import { assertEquals } from "../support/assert.ts";
import { withDirectory } from "../support/directory.ts";
import { OLD_DENO, OLD_VERSION } from "../support/old_deno.ts";

if (!OLD_DENO) console.warn(`Skipped for want of Deno ${OLD_VERSION}: the conformance suite on it.`);

Deno.test({
  name: `the queue keeps its promises on every store under Deno ${OLD_VERSION}`,
  ignore: !OLD_DENO,
  async fn() {
    await withDirectory(async (directory) => {
      // It does not know all that deno.json says about tests.
      const { imports, unstable } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
      await Deno.writeTextFile(`${directory}/imports.json`, JSON.stringify({ imports }));
      const suite = new URL("../queue/conformance_test.ts", import.meta.url).pathname;
      const flags = ["--no-config", "--no-lock", "--no-check", `--import-map=${directory}/imports.json`, "-A"];
      const features = unstable.map((name: string) => `--unstable-${name}`);
      const { success, stdout, stderr } = await new Deno.Command(OLD_DENO!, {
        args: ["test", ...flags, ...features, suite],
        env: { NO_COLOR: "1" },
      }).output();
      const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      assertEquals(success, true, text.slice(-5_000));
    });
  },
});
