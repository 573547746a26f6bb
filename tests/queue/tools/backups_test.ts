/** Backups on a timer, and giving room back. */

import { DatabaseSync } from "node:sqlite";
import { silent } from "../../../queue/log.ts";
import { Backups } from "../../../queue/tools/backups.ts";
import { assertEquals, assertRejects, ok } from "../../support/assert.ts";
import { withDirectory } from "../../support/directory.ts";
import { FakeClock, turn } from "../../support/fake_clock.ts";
import { allReach, noop } from "../../support/queue.ts";
import { Queue } from "../../../queue/queue.ts";

const HOUR = 3_600_000;

async function filesIn(directory: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(directory)) names.push(name);
  return names.sort();
}

Deno.test("a copy is made when the newest is old enough, also over restarts, and the oldest beyond the limit go", async () => {
  await withDirectory(async (root) => {
    const [path, directory] = [`${root}/store.db`, `${root}/backups`];
    const kv = await Deno.openKv(path);
    const queue = new Queue({ kv, definitions: [noop] });
    await queue.start();
    await queue.submitBatch(Array.from({ length: 50 }, () => ({ task_type: "noop" })));
    await allReach(queue, 50, "SUCCESS");
    const clock = new FakeClock(Date.UTC(2030, 4, 1, 2));
    const options = { path, directory, everyMs: HOUR, keep: 2 };
    let made = 0;
    const log = { ...silent, info: (message: string) => void (message === "A backup was made." && made++) };
    /** Lets time pass until one more copy is made. */
    const next = async () => {
      for (const before = made; made === before;) {
        await clock.advance(60_000);
        for (let i = 0; i < 5; i++) await turn();
      }
      return await filesIn(directory);
    };

    const first = new Backups(options, clock, log);
    await first.start();
    const one = await next();
    const two = await next();
    assertEquals([one.length, two.length], [1, 2]);
    await first.stop();
    // What a killed process leaves, and what is not ours.
    await Deno.writeTextFile(`${directory}/unfinished`, "half");
    await Deno.writeTextFile(`${directory}/notes.txt`, "keep");

    const second = new Backups(options, clock, log);
    await second.start();
    await next();
    await second.stop();
    const three = await filesIn(directory);
    assertEquals([three.length, three[0], three.at(-1)], [3, two[1], "notes.txt"]);
    const times = [...one, two[1], three[1]].map((name) =>
      Date.parse(name.replace(/^.*-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z.*$/, "$1-$2-$3T$4:$5:$6Z"))
    );
    ok(times[1] - times[0] >= HOUR && times[2] - times[1] >= HOUR, "an hour lies between them");
    await queue.stop();
    kv.close();

    // A copy opens as a store with everything.
    const restored = await Deno.openKv(`${directory}/${three[1]}`);
    const again = new Queue({ kv: restored, definitions: [noop] });
    await again.start();
    assertEquals((await again.counts()).noop.SUCCESS, 50);
    await again.stop();
    restored.close();
  });
});

Deno.test("a backup that cannot be made fails with the reason, and leaves the others alone", async () => {
  await withDirectory(async (root) => {
    const backups = new Backups(
      { path: `${root}/none.db`, directory: root, everyMs: HOUR, keep: 1 },
      new FakeClock(),
      silent,
    );
    await assertRejects(backups.make(), /none\.db/);
    assertEquals(await filesIn(root), []);
  });
});

Deno.test("compact gives back the room of what was deleted, says how much, and the store is the same", async () => {
  await withDirectory(async (root) => {
    const path = `${root}/store.db`;
    const kv = await Deno.openKv(path);
    for (let i = 0; i < 400; i++) await kv.set(["blob", i], new Uint8Array(50_000));
    for (let i = 0; i < 390; i++) await kv.delete(["blob", i]);
    kv.close();
    const compact = new URL("../../../queue/tools/compact.ts", import.meta.url).pathname;
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", compact],
      env: { KV_PATH: path },
    }).output();
    const said = new TextDecoder().decode(stdout);
    const [before, after, given] = [...said.matchAll(/([\d,]+) bytes/g)].map(([, count]) =>
      Number(count.replaceAll(",", ""))
    );
    assertEquals([code, before - after], [0, given], said);
    ok(given > 15_000_000 && after < 3_000_000, said);
    assertEquals((await Deno.stat(path)).size, after);
    const database = new DatabaseSync(path, { readOnly: true });
    assertEquals(database.prepare("SELECT count(*) AS n FROM kv").get()!.n, 10);
    database.close();
  });
});
