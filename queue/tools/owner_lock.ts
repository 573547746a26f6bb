/**
 * A store on a file has one owner: a second process on it would run into "database is locked" at every turn. The
 * lock is the operating system's, on a file beside the store and on what the path really names, so it is free again
 * however the owner ends, and holds for every name that the store has.
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
 * Takes the lock of the store at `path`, which must be there.
 *
 * @returns What gives it back.
 * @throws {OwnedError} If another process has it.
 */
export async function lockStore(path: string): Promise<{ release(): void }> {
  const real = await Deno.realPath(path);
  const files = [await Deno.open(`${real}.lock`, { create: true, write: true, mode: 0o600 })];
  // Behind a hard link stands the same file under another name. On Linux a lock of flock(2) is the file's own, and
  // SQLite, which locks ranges of it by fcntl(2), does not notice. Elsewhere the two would meet.
  if (Deno.build.os === "linux") files.push(await Deno.open(real));
  const release = () => files.forEach((file) => file.close());
  for (const file of files) {
    if (await file.tryLock(true)) continue;
    release();
    throw new OwnedError(path);
  }
  return { release };
}
