/**
 * Checks the file of a store before it is opened: whether it is a store, whether it is intact, and who may read it.
 *
 * @module
 */

// Older versions of Deno have no statfs: as a namespace it is only missed where it is called.
import * as fs from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";

/** The store cannot be used; the message says why. */
export class StoreFileError extends Error {
  override name = "StoreFileError";
}

/** A larger store is not fully checked at startup: `deno task check-store` does that. */
const MAX_CHECKED_BYTES = 256 * 1024 ** 2;
/** How every SQLite file begins (https://www.sqlite.org/fileformat.html, 1.3). */
const MAGIC = "SQLite format 3\0";

/**
 * Creates the file of a store and its folder if they do not exist, accessible to their owner only. An existing file
 * must be a writable store.
 *
 * @throws {StoreFileError} If it is not a store, is damaged, or cannot be written.
 */
export async function prepareStore(path: string): Promise<void> {
  const folder = path.replace(/[^/\\]+$/, "") || ".";
  try {
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    const file = await Deno.open(path, { create: true, read: true, write: true, mode: 0o600 });
    file.close();
    await restrict(path);
  } catch (error) {
    throw new StoreFileError(`${path} cannot be written: ${(error as Error).message}`, { cause: error });
  }
  await assertStore(path, MAX_CHECKED_BYTES);
}

/** Removes the permissions of group and others from the files of a store. */
async function restrict(path: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  for (const name of [path, `${path}-wal`, `${path}-shm`]) {
    try {
      const { mode } = await Deno.stat(name);
      if (mode !== null && (mode & 0o077) !== 0) await Deno.chmod(name, 0o600);
    } catch (error) {
      // If there are no modes, or the file has another owner, whoever set it up is responsible for them.
      const { NotFound, NotSupported, NotCapable, PermissionDenied } = Deno.errors;
      if (![NotFound, NotSupported, NotCapable, PermissionDenied].some((kind) => error instanceof kind)) throw error;
    }
  }
}

/**
 * Checks that a file is a store, without changing it. An empty file is a store that nothing was written to yet.
 *
 * @param maxChecked Largest file, in bytes, that is fully checked for damaged pages; a larger one is only opened.
 * @throws {StoreFileError} If it is not a store, or damaged.
 */
export async function assertStore(path: string, maxChecked: number): Promise<void> {
  const refuse = (why: string, cause?: unknown): never => {
    throw new StoreFileError(`${path} ${why}`, { cause });
  };
  const { size } = await Deno.stat(path);
  if (size === 0) return;
  using file = await Deno.open(path);
  const head = new Uint8Array(100);
  await file.read(head);
  if (new TextDecoder("latin1").decode(head.subarray(0, MAGIC.length)) !== MAGIC) {
    refuse("is not a store: it is not an SQLite file. Nothing was written to it.");
  }
  const view = new DataView(head.buffer);
  // 1 stands for 65,536 (file format, 1.3.2).
  const pageSize = view.getUint16(16) === 1 ? 65_536 : view.getUint16(16);
  if (view.getUint32(28) * pageSize > size && !await hasLog(path)) {
    refuse("is truncated: pages are missing. Restore a backup.");
  }
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true });
    const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all()
      .map(({ name }) => name as string);
    if (tables.length > 0 && !(tables.includes("kv") && tables.includes("migration_state"))) {
      refuse(
        `is an SQLite file of another program (tables: ${tables.slice(0, 5).join(", ")}). Nothing was written to it.`,
      );
    }
    if (size > maxChecked) return;
    const found = database.prepare("PRAGMA quick_check(1)").get() as { quick_check: string };
    if (found.quick_check !== "ok") {
      refuse(`is damaged (${found.quick_check.replaceAll(/\s+/g, " ")}). Restore a backup.`);
    }
  } catch (error) {
    if (error instanceof StoreFileError) throw error;
    refuse(`is damaged and cannot be read: ${(error as Error).message}. Restore a backup.`, error);
  } finally {
    database?.close();
  }
}

/** Whether there are pages that were not written to the file yet. */
async function hasLog(path: string): Promise<boolean> {
  return await Deno.stat(`${path}-wal`).then(({ size }) => size > 0, () => false);
}

/** Free bytes and all bytes of the disk that a file is on. */
export async function diskOf(path: string): Promise<{ free: number; total: number }> {
  const { bavail, bsize, blocks } = await fs.statfs(path);
  return { free: Number(bavail) * Number(bsize), total: Number(blocks) * Number(bsize) };
}
