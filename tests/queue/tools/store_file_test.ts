import { DatabaseSync } from "node:sqlite";
import { prepareStore, StoreFileError } from "../../../queue/tools/store_file.ts";
import { lockStore, OwnedError } from "../../../queue/tools/owner_lock.ts";
import { assertEquals, assertMatch, assertRejects } from "../../support/assert.ts";
import { withDirectory } from "../../support/directory.ts";
import { startServer } from "../../support/http/server.ts";

async function makeStore(path: string): Promise<void> {
  const kv = await Deno.openKv(path);
  for (let i = 0; i < 200; i++) await kv.set(["task", i], new Uint8Array(500));
  kv.close();
}

const unix = Deno.build.os !== "windows";

Deno.test({
  name: "a new store and its folder are for their owner alone, and an older store becomes so",
  ignore: !unix,
  async fn() {
    await withDirectory(async (directory) => {
      const path = `${directory}/data/store.db`;
      await prepareStore(path);
      const modeOf = async (name: string) => (await Deno.stat(name)).mode! & 0o777;
      assertEquals([await modeOf(`${directory}/data`), await modeOf(path)], [0o700, 0o600]);
      const lock = await lockStore(path);
      assertEquals(await modeOf(`${path}.lock`), 0o600);
      lock.release();
      const old = `${directory}/old.db`;
      await makeStore(old);
      await Deno.chmod(old, 0o644);
      await prepareStore(old);
      assertEquals(await modeOf(old), 0o600);
    });
  },
});

Deno.test("random bytes, a truncated file, damaged pages and the database of another program are refused, and are left as they are", async () => {
  await withDirectory(async (directory) => {
    const good = `${directory}/good.db`;
    await makeStore(good);
    const bytes = await Deno.readFile(good);
    const damaged = bytes.slice();
    damaged.fill(0xff, 2 * 4_096 + 5, 2 * 4_096 + 300);
    const random = crypto.getRandomValues(new Uint8Array(5_000));
    const foreign = `${directory}/foreign.db`;
    const database = new DatabaseSync(foreign);
    database.exec("CREATE TABLE users (name TEXT)");
    database.close();
    const files: [name: string, content: Uint8Array, why: RegExp][] = [
      ["random", random, /is not an SQLite file/],
      ["short", bytes.slice(0, bytes.length - 8_192), /is truncated/],
      ["damaged", damaged, /is damaged/],
      ["foreign", await Deno.readFile(foreign), /another program \(tables: users\)/],
    ];
    for (const [name, content, why] of files) {
      const path = `${directory}/${name}-copy.db`;
      await Deno.writeFile(path, content);
      await assertRejects(prepareStore(path), (error: unknown) => {
        assertMatch((error as Error).message, why);
        return error instanceof StoreFileError;
      });
      assertEquals(await Deno.readFile(path), new Uint8Array(content));
    }
    await prepareStore(good);
  });
});

Deno.test("a service on a file that is no store ends with its own line and code, without a stack", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/text.db`;
    await Deno.writeTextFile(path, "This is no store.");
    await assertRejects(startServer({ KV_PATH: path }), ({ message }: Error) => {
      assertMatch(message, /Millrace did not start\. .*text\.db is not a store/);
      return !/ at .*\.ts/.test(message);
    });
    assertEquals(await Deno.readTextFile(path), "This is no store.");
  });
});

Deno.test({
  name: "a folder that takes no files ends the start with one line and the code for a store",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await assertRejects(startServer({ KV_PATH: "/proc/millrace/store.db" }), ({ message }: Error) => {
      assertMatch(message, /Millrace did not start\. \/proc\/millrace\/store\.db cannot be written: /);
      return !/ at .*\.ts/.test(message);
    });
  },
});

Deno.test({
  name: "a store that may only be read is refused and left as it is",
  // Whoever may do everything may write it.
  ignore: !unix || Deno.uid() === 0,
  async fn() {
    await withDirectory(async (directory) => {
      const path = `${directory}/store.db`;
      await makeStore(path);
      await Deno.chmod(path, 0o400);
      const before = await Deno.readFile(path);
      await assertRejects(prepareStore(path), ({ message }: Error) => /store\.db cannot be written: /.test(message));
      assertEquals(await Deno.readFile(path), before);
    });
  },
});

Deno.test({
  name: "one store has one owner by whatever name: a path, a symbolic link or a hard link",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await withDirectory(async (directory) => {
      const path = `${directory}/store.db`;
      await prepareStore(path);
      await Deno.mkdir(`${directory}/other`);
      const links = [`${directory}/other/symbolic.db`, `${directory}/other/hard.db`];
      await Deno.symlink(path, links[0]);
      await Deno.link(path, links[1]);
      const first = await lockStore(path);
      for (const name of [path, ...links]) await assertRejects(lockStore(name), OwnedError);
      first.release();
      for (const name of links) (await lockStore(name)).release();
    });
  },
});
