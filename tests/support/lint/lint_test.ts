import plugin from "./lint.ts";
import { assertEquals } from "../assert.ts";

function complaints(path: string, source: string): string[] {
  const file = new URL(`../../../${path}`, import.meta.url).pathname;
  return Deno.lint.runPlugin(plugin, file, source).map(({ id }) => id);
}

Deno.test("imports against the direction are refused, and those along it are not", () => {
  const refused = (path: string, source: string) => complaints(path, `import "${source}";`).length > 0;
  for (
    const [path, source] of [
      ["queue/run/a.ts", "../../routes/app.ts"],
      ["queue/task/a.ts", "../store/keys.ts"],
      ["queue/task/a.ts", "../define.ts"],
      ["queue/store/a.ts", "../submit/submit.ts"],
      ["queue/watch/a.ts", "../run/runner.ts"],
      ["queue/submit/a.ts", "../actions/callbacks.ts"],
      ["queue/run/a.ts", "../actions/task_actions.ts"],
      ["queue/actions/a.ts", "../background/janitor.ts"],
      ["queue/background/a.ts", "../queue.ts"],
      ["queue/handlers/csv/a.ts", "../../store/keys.ts"],
      ["islands/app/a.ts", "../../queue/queue.ts"],
      ["islands/app/a.ts", "../../queue/store/reads.ts"],
      ["islands/app/a.ts", "../../routes/app.ts"],
    ]
  ) assertEquals([path, source, refused(path, source)], [path, source, true]);
  for (
    const [path, source] of [
      ["queue/queue.ts", "./background/janitor.ts"],
      ["queue/background/a.ts", "../actions/callbacks.ts"],
      ["queue/run/a.ts", "../define.ts"],
      ["queue/store/a.ts", "./keys.ts"],
      ["queue/handlers/a.ts", "../define.ts"],
      ["queue/handlers/a.ts", "hono"],
      ["islands/list/a.ts", "../../queue/task/ids.ts"],
      ["islands/list/a.ts", "../app/url.ts"],
      ["routes/api/a.ts", "../../queue/queue.ts"],
      ["routes/page/a.ts", "../../islands/list/totals.tsx"],
    ]
  ) assertEquals([path, source, refused(path, source)], [path, source, false]);
});

Deno.test("time, commits and openKv outside their one place are refused", () => {
  assertEquals(complaints("queue/a.ts", "Date.now(); setTimeout(f, 1); new Date(); performance.now();").length, 4);
  assertEquals(complaints("queue/task/clock.ts", "Date.now();"), []);
  assertEquals(complaints("queue/a.ts", "new Date(5); clock.now();"), []);
  assertEquals(complaints("queue/a.ts", "kv.set(k, v); this.#kv.delete(k); kv.atomic();").length, 3);
  assertEquals(complaints("queue/a.ts", "map.set(k, v); this.#map.delete(k);"), []);
  assertEquals(complaints("routes/a.ts", "Deno.openKv();"), ["millrace/only-main-opens-kv"]);
  assertEquals(complaints("main.ts", "Deno.openKv();"), []);
});

Deno.test("an export without a doc comment is refused", () => {
  assertEquals(complaints("queue/a.ts", "export const a = 1;"), ["millrace/exports-are-documented"]);
  assertEquals(complaints("queue/a.ts", "/** One. */\nexport const a = 1;"), []);
});
