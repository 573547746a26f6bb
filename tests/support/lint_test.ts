import plugin from "./lint.ts";
import { assertEquals } from "./assert.ts";

function complaints(path: string, source: string): string[] {
  const file = new URL(`../../${path}`, import.meta.url).pathname;
  return Deno.lint.runPlugin(plugin, file, source).map(({ id }) => id);
}

Deno.test("imports against the direction are refused, and those along it are not", () => {
  assertEquals(complaints("queue/a.ts", 'import "../routes/app.ts";'), ["millrace/import-direction"]);
  assertEquals(complaints("islands/a.ts", 'import "../queue/queue.ts";'), ["millrace/import-direction"]);
  assertEquals(complaints("islands/a.ts", 'import "../queue/task.ts"; import "./b.ts";'), []);
  assertEquals(complaints("routes/a.ts", 'import "../queue/queue.ts"; import "../islands/list.tsx";'), []);
  assertEquals(complaints("queue/handlers/a.ts", 'import "../define.ts"; import "hono";'), []);
});

Deno.test("time, commits and openKv outside their one place are refused", () => {
  assertEquals(complaints("queue/a.ts", "Date.now(); setTimeout(f, 1); new Date(); performance.now();").length, 4);
  assertEquals(complaints("queue/clock.ts", "Date.now();"), []);
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
