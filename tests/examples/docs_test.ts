import { assertEquals } from "../support/assert.ts";

Deno.test("every example in the docs of queue/mod.ts runs, and none is left out of the run", async () => {
  const files = ["mod.ts", "queue.ts", "define.ts", "log.ts", "task/actions.ts", "task/errors.ts"];
  const paths = files.map((file) => new URL(`../../queue/${file}`, import.meta.url).pathname);
  for (const path of paths) assertEquals(/```ts ignore/.test(await Deno.readTextFile(path)), false, path);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--doc", "-A", ...paths],
    env: { NO_COLOR: "1" },
  }).output();
  const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assertEquals(code, 0, output);
  const examples = await Promise.all(
    paths.map(async (path) => (await Deno.readTextFile(path)).split("@example").length - 1),
  );
  assertEquals(/(\d+) passed/.exec(output)?.[1], String(examples.reduce((sum, count) => sum + count)), output);
});
