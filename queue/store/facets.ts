/**
 * How many tasks of a filter have each status: the numbers beside a list.
 *
 * @module
 */

import { looksInside } from "../task/content_filter.ts";
import { type Status, STATUSES, statusOf } from "../task/record.ts";
import { readCounts } from "./counts.ts";
import { type Filter, hasContent, lookThrough, totalOf } from "./listing.ts";

/**
 * Counts the tasks of a filter by status, whatever statuses the filter names.
 *
 * @returns The counts, and whether they stopped where a search does.
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
  const rest = await lookThrough(kv, { ...filter, statuses: undefined }, counts, (state) => {
    if (hasContent(state, filter)) by_status[statusOf(state)]++;
  });
  return { by_status, capped: rest !== null };
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
  const filter: Filter = { statuses: ["FAILED"], ended_from: from };
  const tasks: Failures["tasks"] = [];
  const rest = await lookThrough(kv, filter, await readCounts(kv), (state) => {
    const { id, task_type, completed_at } = state.task;
    if (hasContent(state, filter)) tasks.push({ id, task_type, at: completed_at! });
  });
  return { tasks, capped: rest !== null };
}
