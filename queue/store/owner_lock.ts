/**
 * A store on a file has one owner: a second process on it would run into "database is locked" at every turn. The
 * lock is the operating system's, on a file beside the store, so it is free again however the owner ends.
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
 * Takes the lock beside the store at `path`.
 *
 * @returns What gives it back.
 * @throws {OwnedError} If another process has it.
 */
export async function lockStore(path: string): Promise<{ release(): void }> {
  const file = await Deno.open(`${path}.lock`, { create: true, write: true });
  if (!await file.tryLock(true)) {
    file.close();
    throw new OwnedError(path);
  }
  return { release: () => file.close() };
}
