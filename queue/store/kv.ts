/**
 * KV helpers that every module needs: batched reads and retries.
 *
 * @module
 */

import { type Clock, delay } from "../task/clock.ts";

const FIRST_BACKOFF_MS = 4;
const LAST_BACKOFF_MS = 1_000;

/** Reads the keys of a prefix. */
export async function listKeys(kv: Deno.Kv, prefix: Deno.KvKey): Promise<Deno.KvKey[]> {
  const found: Deno.KvKey[] = [];
  for await (const entry of kv.list({ prefix }, { batchSize: 500 })) found.push(entry.key);
  return found;
}

/** KV reads at most ten keys in one call. */
const GET_MANY = 10;

/** Reads any number of keys, ten in a call. Keys of one call are of one snapshot. */
export async function getAll(kv: Deno.Kv, wanted: readonly Deno.KvKey[]): Promise<Deno.KvEntryMaybe<unknown>[]> {
  const calls: Promise<Deno.KvEntryMaybe<unknown>[]>[] = [];
  for (let i = 0; i < wanted.length; i += GET_MANY) {
    calls.push(kv.getMany(wanted.slice(i, i + GET_MANY)) as Promise<Deno.KvEntryMaybe<unknown>[]>);
  }
  return (await Promise.all(calls)).flat();
}

/** Whether the file was locked by another connection. */
export function isLocked(error: unknown): boolean {
  return /database is locked/.test(String(error));
}

/** KV checks its limits before it writes anything, and says so; a KV Connect server answers so. */
export function isLimitError(error: unknown): boolean {
  return error instanceof Error && /too large|too many (checks|mutations)|exceed|cannot be empty/i.test(error.message);
}

/** Exponential, capped at a second, with full jitter. */
export function backoff(failures: number): number {
  return Math.random() * Math.min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** failures);
}

/** Retries an idempotent call until it succeeds. Gives up after about half a minute of failures. */
export async function persist<T>(clock: Clock, call: () => Promise<T>): Promise<T> {
  for (let failures = 1;; failures++) {
    try {
      return await call();
    } catch (error) {
      if (failures >= 40) throw error;
      await delay(clock, backoff(failures));
    }
  }
}
