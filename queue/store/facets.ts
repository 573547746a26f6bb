/**
 * How many tasks of a filter have each status: the numbers beside a list.
 *
 * @module
 */

import { looksInside } from "../task/content_filter.ts";
import { SEARCH_LIMIT } from "../task/limits.ts";
import { type Status, STATUSES, statusOf } from "../task/record.ts";
import { readCounts } from "./counts.ts";
import { CHUNK, type Filter, hasContent, SEARCH_BYTES, totalOf, walk } from "./listing.ts";

/**
 * Counts the tasks of a filter by status, whatever statuses the filter names.
 *
 * @returns The counts, and whether they stopped at {@linkcode SEARCH_LIMIT} tasks or where a search would.
 */
export async function countByStatus(
  kv: Deno.Kv,
  filter: Filter,
): Promise<{ by_status: Record<Status, number>; capped: boolean }> {
  const counts = await readCounts(kv);
  const by_status = {} as Record<Status, number>;
  const isExact = !looksInside(filter) && filter.created_from === undefined && filter.created_to === undefined;
  for (const status of STATUSES) by_status[status] = isExact ? totalOf(counts, { ...filter, statuses: [status] }) : 0;
  if (isExact) return { by_status, capped: false };
  let bytes = 0;
  let looked = 0;
  const all = { ...filter, statuses: undefined };
  for await (const state of walk(kv, all, counts, "newest", undefined, CHUNK, (read) => bytes += read)) {
    if (looked++ === SEARCH_LIMIT || bytes > SEARCH_BYTES) return { by_status, capped: true };
    if (hasContent(state, filter)) by_status[statusOf(state)]++;
  }
  return { by_status, capped: false };
}

/** Tasks that have failed lately. */
export interface Failures {
  /** Of each: its id, its type, and when it ended in milliseconds since the epoch. */
  tasks: { id: string; task_type: string; at: number }[];
  /** Whether there may be more: only the newest were looked through, as by a list. */
  capped: boolean;
}

/** The FAILED tasks that ended at a time or later. */
export async function failuresSince(kv: Deno.Kv, from: number): Promise<Failures> {
  const filter: Filter = { statuses: ["FAILED"] };
  const tasks: Failures["tasks"] = [];
  let bytes = 0;
  let looked = 0;
  const failed = walk(kv, filter, await readCounts(kv), "newest", undefined, CHUNK, (read) => bytes += read);
  for await (const { task: { id, task_type, completed_at } } of failed) {
    if (looked++ === SEARCH_LIMIT || bytes > SEARCH_BYTES) return { tasks, capped: true };
    if (completed_at !== null && completed_at >= from) tasks.push({ id, task_type, at: completed_at });
  }
  return { tasks, capped: false };
}
