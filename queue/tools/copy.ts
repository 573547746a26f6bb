/**
 * Copies a store while a server uses it, by SQLite's online backup: the copy is a consistent snapshot, and can be
 * opened as a store.
 *
 * @module
 */

import { backup, DatabaseSync } from "node:sqlite";
import { assertStore, StoreFileError } from "./store_file.ts";

/** Where the store is: `KV_PATH` as the service reads it. */
export function storePath(): string {
  return Deno.env.get("KV_PATH")?.trim() || "./data/millrace.db";
}

/** Why a store cannot be copied or checked; null if it can. */
export async function whyNotAFile(path: string): Promise<string | null> {
  if (/^https?:/.test(path)) return "KV_PATH is a KV Connect server; run this on the server's own file.";
  if (path === ":memory:") return "KV_PATH is :memory:, which exists only in the server's process.";
  const isFile = await Deno.stat(path).then(({ isFile }) => isFile, () => false);
  return isFile ? null : `There is no store at ${path}.`;
}

/** Ends a tool, with the reason why it did not do its work. */
export function fail(reason: string): never {
  console.error(reason);
  Deno.exit(2);
}

/** The path of the store; ends the tool if it is not an intact file. */
export async function intactStorePath(): Promise<string> {
  const path = storePath();
  const problem = await whyNotAFile(path);
  if (problem) fail(problem);
  await assertStore(path, Infinity).catch((error) => {
    if (!(error instanceof StoreFileError)) throw error;
    fail(error.message);
  });
  return path;
}

/** Copies the store at `from` to a new file that only its owner can read: it holds all data of the store. */
export async function copyStore(from: string, to: string): Promise<void> {
  (await Deno.open(to, { createNew: true, write: true, mode: 0o600 })).close();
  const source = new DatabaseSync(from, { readOnly: true });
  try {
    // Pins a snapshot: without it the copy restarts whenever the server writes, and may never finish.
    source.exec("BEGIN");
    source.prepare("SELECT count(*) FROM sqlite_master").get();
    await backup(source, to);
  } finally {
    source.close();
  }
}

/**
 * Copies a store so that a file with the final name is always a complete copy.
 *
 * @param unfinished The name until then. A file of that name is removed if the copy fails.
 * @param copy How it is copied. Default: in this thread.
 */
export async function copyWhole(from: string, to: string, unfinished: string, copy = copyStore): Promise<void> {
  try {
    await copy(from, unfinished);
    await Deno.rename(unfinished, to);
  } catch (error) {
    // On a full disk, the store itself needs this room.
    await Deno.remove(unfinished).catch(() => {});
    throw error;
  }
}
