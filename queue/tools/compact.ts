/**
 * `deno task compact`: gives the room of deleted entries back to the disk, and says how much. Not while a server runs. Deno
 * lets SQLite do it only with all permissions.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { fail, intactStorePath } from "./copy.ts";
import { lockStore, OwnedError } from "./owner_lock.ts";

/** Bytes of the store with what was not written to its file yet. */
async function sizeOf(path: string): Promise<number> {
  const sizes = [path, `${path}-wal`].map((file) => Deno.stat(file).then(({ size }) => size, () => 0));
  return (await Promise.all(sizes)).reduce((a, b) => a + b);
}

const path = await intactStorePath();
try {
  const lock = await lockStore(path);
  const before = await sizeOf(path);
  const database = new DatabaseSync(path);
  try {
    // SQLite writes a second copy first: https://www.sqlite.org/lang_vacuum.html
    database.exec("VACUUM");
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  } catch (error) {
    fail(
      `${path} was not compacted and is unchanged: ${
        (error as Error).message
      }. It takes as much room again on the disk.`,
    );
  } finally {
    database.close();
  }
  const after = await sizeOf(path);
  const bytes = (count: number) => `${count.toLocaleString("en")} bytes`;
  console.log(`${path} had ${bytes(before)} and has ${bytes(after)}: ${bytes(before - after)} were given back.`);
  lock.release();
} catch (error) {
  if (!(error instanceof OwnedError)) throw error;
  fail(error.message);
}
