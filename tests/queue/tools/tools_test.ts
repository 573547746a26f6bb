/** `deno task check-store` and `deno task backup` as a person runs them. */

import { Queue } from "../../../queue/queue.ts";
import { keys } from "../../../queue/store/keys.ts";
import { prepareStore } from "../../../queue/tools/store_file.ts";
import { lockStore } from "../../../queue/tools/owner_lock.ts";
import { assertEquals, assertMatch } from "../../support/assert.ts";
import { withDirectory } from "../../support/directory.ts";
import { allReach, noop } from "../../support/queue.ts";

const ROOT = new URL("../../../", import.meta.url);
const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));

async function task(name: string, path: string, ...args: string[]): Promise<{ code: number; said: string }> {
  const [, ...command] = tasks[name].command.split(" ");
  const output = await new Deno.Command(Deno.execPath(), {
    args: [...command, ...args],
    cwd: ROOT,
    env: { KV_PATH: path, NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code: output.code, said: decoder.decode(output.stdout) + decoder.decode(output.stderr) };
}

Deno.test("while a server works a copy is checked and taken; the copy opens as a store with every task", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/store.db`;
    await prepareStore(path);
    const lock = await lockStore(path);
    const kv = await Deno.openKv(path);
    const queue = new Queue({ kv, definitions: [noop] });
    await queue.start();
    await queue.submitBatch(Array.from({ length: 100 }, () => ({ task_type: "noop" })));
    await allReach(queue, 100, "SUCCESS");
    const large = new Blob([new Uint8Array(40_000_000)]);
    await queue.uploads.store("large.bin", "application/octet-stream", large.stream(), 1e9);
    // Tasks come and go while the copies are made.
    let submitting = true;
    const load = (async () => {
      while (submitting) await queue.submitBatch(Array.from({ length: 20 }, () => ({ task_type: "noop" })));
    })();

    const check = await task("check-store", path);
    assertMatch(check.said, /a copy is checked[^]*The store is clean/);
    assertEquals(check.code, 0);
    const fix = await task("check-store", path, "--fix");
    assertEquals([fix.code, /stop it first/.test(fix.said)], [2, true]);

    const copy = `${directory}/copy.db`;
    const backup = await task("backup", path, copy);
    assertMatch(backup.said, /Copied .* bytes/);
    assertEquals(backup.code, 0);
    if (Deno.build.os !== "windows") assertEquals((await Deno.stat(copy)).mode! & 0o777, 0o600);
    const again = await task("backup", path, copy);
    assertEquals([again.code, /not overwritten/.test(again.said)], [2, true]);
    submitting = false;
    await load;
    await queue.stop();
    kv.close();
    lock.release();

    assertEquals((await task("check-store", copy)).code, 0);
    const copied = await Deno.openKv(copy);
    const second = new Queue({ kv: copied, definitions: [noop] });
    await second.start();
    const { total } = await second.list({}, 1);
    await allReach(second, total, "SUCCESS");
    assertEquals(total >= 100, true);
    await second.stop();
    copied.close();
  });
});

Deno.test("a damaged store ends the check with 1, --fix repairs it, and nonsense ends with 2", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/store.db`;
    const kv = await Deno.openKv(path);
    await kv.set(keys.scheduled(5, "nobody"), new TextEncoder().encode("0"));
    kv.close();
    const check = await task("check-store", path);
    assertEquals(check.code, 1);
    assertMatch(check.said, /\["scheduled",5,"nobody"\] is of a task that does not exist/);
    assertEquals((await task("check-store", path, "--fix")).code, 0);
    assertEquals((await task("check-store", path)).code, 0);
    for (const [name, args] of [["check-store", ["--force"]], ["backup", []]] as const) {
      assertEquals((await task(name, path, ...args)).code, 2);
    }
    assertEquals((await task("check-store", `${directory}/none.db`)).code, 2);
    assertEquals((await task("backup", ":memory:", `${directory}/x.db`)).code, 2);
    await Deno.writeTextFile(`${directory}/text.db`, "This is no store. ".repeat(1_000));
    const garbage = await task("check-store", `${directory}/text.db`);
    assertEquals([garbage.code, /is not a store: it is not an SQLite file/.test(garbage.said)], [2, true]);
  });
});
