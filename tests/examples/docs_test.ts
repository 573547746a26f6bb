import { assertEquals } from "../support/assert.ts";

Deno.test("the example in the docs of queue/mod.ts runs", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--doc", "-A", new URL("../../queue/mod.ts", import.meta.url).pathname],
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
});
