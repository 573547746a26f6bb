import { readCounts } from "../../queue/store/counts.ts";
import { lockStore } from "../../queue/tools/owner_lock.ts";
import { assertEquals, assertRejects } from "../support/assert.ts";
import { fullCount, nonZero } from "../support/queue.ts";

/** Starts the child; `says` resolves when it has printed a line. */
function start(...args: string[]) {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--unstable-kv", new URL("child.ts", import.meta.url).pathname, ...args],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return {
    process,
    async says(line: string) {
      while (!text.includes(line)) {
        const { value, done } = await lines.read();
        if (done) throw new Error(`The child ended before it said "${line}". It said: ${text}`);
        text += value;
      }
    },
    async end() {
      await lines.cancel();
      return await process.status;
    },
  };
}

Deno.test("kill -9 while 50 tasks run and 500 wait: after a restart all end in SUCCESS, none twice", async () => {
  const directory = await Deno.makeTempDir();
  const store = `${directory}/store.db`;
  const log = `${directory}/effects.log`;
  try {
    // 100 tasks finish, 50 hang in their handlers, 500 wait.
    const first = start(store, log, "650", "100");
    await first.says("submitted");
    await first.says("hanging");
    await assertRejects(lockStore(store), { name: "OwnedError" });
    first.process.kill("SIGKILL");
    await first.end();

    const second = start(store, log, "0", "1000000");
    await second.says("ended");
    assertEquals((await second.end()).code, 0);

    const effects = (await Deno.readTextFile(log)).trim().split("\n").map((line) => line.split(" "));
    assertEquals(effects.length, 650);
    assertEquals(new Set(effects.map(([id]) => id)).size, 650);
    assertEquals(effects.filter(([, attempt]) => attempt === "2").length, 50);

    const kv = await Deno.openKv(store);
    assertEquals(nonZero(await readCounts(kv)), { effect: { SUCCESS: 650 } });
    assertEquals(await fullCount(kv), { effect: { SUCCESS: 650 } });
    kv.close();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
