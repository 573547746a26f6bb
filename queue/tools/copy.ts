/**
 * Copies a store while a server works on it, by SQLite's online backup: the copy is the store at one moment, and opens
 * as a store.
 *
 * @module
 */

import { backup, DatabaseSync } from "node:sqlite";

/** Where the store is: `KV_PATH` as the service reads it. */
export function storePath(): string {
  return Deno.env.get("KV_PATH")?.trim() || "./data/millrace.db";
}

/** Why a store cannot be copied or checked; null if it can. */
export async function whyNotAFile(path: string): Promise<string | null> {
  if (/^https?:/.test(path)) return "KV_PATH is a KV Connect server; this works on the file that it keeps.";
  if (path === ":memory:") return "KV_PATH is :memory:, which is nowhere but in its process.";
  const isFile = await Deno.stat(path).then(({ isFile }) => isFile, () => false);
  return isFile ? null : `There is no store at ${path}.`;
}

/** Copies the store at `from` to a new file, which nobody but its owner reads: it has all that the store has. */
export async function copyStore(from: string, to: string): Promise<void> {
  (await Deno.open(to, { createNew: true, write: true, mode: 0o600 })).close();
  const source = new DatabaseSync(from, { readOnly: true });
  try {
    // Holds on to this moment: without it the copy begins anew whenever the server writes, and may never end.
    source.exec("BEGIN");
    source.prepare("SELECT count(*) FROM sqlite_master").get();
    await backup(source, to);
  } finally {
    source.close();
  }
}
