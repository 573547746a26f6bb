/**
 * A store file has one owner: a second process would keep getting "database is locked". The lock is the operating
 * system's, on a file next to the store and on the file that the path resolves to. So it is released however the owner
 * ends, and covers every name of the store.
 *
 * @module
 */

/** Another process owns the store. */
export class OwnedError extends Error {
  constructor(path: string) {
    super(`${path} is in use by another Millrace process. One process owns a store file; see KV_PATH in the README.`);
    this.name = "OwnedError";
  }
}

/**
 * Takes the lock of the store at `path`, which must exist.
 *
 * @returns An object that releases it.
 * @throws {OwnedError} If another process has it.
 */
export async function lockStore(path: string): Promise<{ release(): void }> {
  const real = await Deno.realPath(path);
  const files = [await Deno.open(`${real}.lock`, { create: true, write: true, mode: 0o600 })];
  // A hard link is the same file under another name. On Linux a flock(2) lock belongs to the file, and does not affect
  // SQLite, which locks ranges by fcntl(2). Elsewhere the two would conflict.
  if (Deno.build.os === "linux") files.push(await Deno.open(real));
  const release = () => files.forEach((file) => file.close());
  for (const file of files) {
    if (await file.tryLock(true)) continue;
    release();
    throw new OwnedError(path);
  }
  return { release };
}
