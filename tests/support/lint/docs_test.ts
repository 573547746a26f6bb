/** The documentation of what `queue/mod.ts` exports is whole: `deno doc --lint`, but for the types of zod. */

import { assertEquals } from "../assert.ts";

/** A definition names types of zod, which cannot be exported with it: zod's own docs do not pass. */
const OF_ZOD = /references private type '(ZodType|output|input)'/;

Deno.test("every export of queue/mod.ts is documented, and names no type that is not exported", async () => {
  const { stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", new URL("../../../queue/mod.ts", import.meta.url).pathname],
    env: { NO_COLOR: "1" },
  }).output();
  const errors = new TextDecoder().decode(stderr).split("\n").filter((line) => line.startsWith("error["));
  assertEquals(errors.filter((error) => !OF_ZOD.test(error)), []);
  assertEquals(errors.length > 0, true, "the lint has run");
});
