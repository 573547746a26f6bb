/**
 * Counters of tasks by type and status. Each lane of commits keeps its own part, changed in the same atomic as the
 * tasks that it counts; the total is the sum over all lanes.
 *
 * @module
 */

import { decode } from "./codec.ts";
import { keys } from "./keys.ts";
import type { Count } from "./write.ts";

/** How many tasks there are, by type and status. */
export type Counts = Record<string, Partial<Record<Count["status"], number>>>;

/** What stands in a lane: its last operation and its part of the counters. */
export interface LaneRecord {
  op: string;
  counts: Counts;
}

/** Adds changes to counters; what comes to zero is left out. */
export function addCounts(counts: Counts, changes: Count[]): Counts {
  if (changes.length === 0) return counts;
  const sum: Counts = { ...counts };
  const copied = new Set<string>();
  for (const { task_type, status, delta } of changes) {
    if (!copied.has(task_type)) {
      sum[task_type] = { ...sum[task_type] };
      copied.add(task_type);
    }
    const value = (sum[task_type][status] ?? 0) + delta;
    if (value === 0) delete sum[task_type][status];
    else sum[task_type][status] = value;
  }
  return sum;
}

/** The sum of counters. */
export function sumCounts(all: Counts[]): Counts {
  const sum: Counts = {};
  for (const counts of all) {
    for (const [type, byStatus] of Object.entries(counts)) {
      const into = sum[type] ??= {};
      for (const [status, value] of Object.entries(byStatus) as [Count["status"], number][]) {
        into[status] = (into[status] ?? 0) + value;
      }
    }
  }
  return sum;
}

/** Reads the exact counters: all lanes and the base, in one snapshot. */
export async function readCounts(kv: Deno.Kv): Promise<Counts> {
  const all: Counts[] = [];
  for await (const entry of kv.list({ prefix: keys.lanes() }, { batchSize: 500 })) {
    all.push(decode<LaneRecord>(entry.value).counts);
  }
  return sumCounts(all);
}
