/**
 * Counters of tasks by type and status. Each lane of commits keeps its own part, changed in the same atomic as the
 * tasks that it counts; the total is the sum over all lanes.
 *
 * @module
 */

import { decode } from "./codec.ts";
import { keys } from "./keys.ts";
import type { Changeset, Count, OpenChange } from "./changeset.ts";

/** How many tasks there are, by type and status. */
export type Counts = Record<string, Partial<Record<Count["status"], number>>>;

/** Open work by caller: number of tasks that have not ended, and bytes of their parameters. */
export type OpenWork = Record<string, Partial<Record<OpenChange["of"], number>>>;

/** What a lane counts. */
export interface Tally {
  counts: Counts;
  /** Missing in records of the previous version. */
  open?: OpenWork;
}

/** The record of a lane: its last operation and its part of the counters. */
export interface LaneRecord extends Tally {
  op: string;
}

type Table<K extends string> = Record<string, Partial<Record<K, number>>>;

/** Adds changes to a table; zeros are dropped. */
function add<K extends string>(table: Table<K>, changes: [row: string, column: K, delta: number][]): Table<K> {
  if (changes.length === 0) return table;
  const sum: Table<K> = { ...table };
  const copied = new Set<string>();
  for (const [row, column, delta] of changes) {
    if (!copied.has(row)) {
      sum[row] = { ...sum[row] };
      copied.add(row);
    }
    const value = (sum[row][column] ?? 0) + delta;
    if (value === 0) delete sum[row][column];
    else sum[row][column] = value;
  }
  return sum;
}

/** The sum of tables. */
function sumOf<K extends string>(all: Table<K>[]): Table<K> {
  const sum: Table<K> = {};
  for (const table of all) {
    for (const [row, columns] of Object.entries(table)) {
      const into = sum[row] ??= {};
      for (const [column, value] of Object.entries(columns) as [K, number][]) {
        into[column] = (into[column] ?? 0) + value;
      }
    }
  }
  return sum;
}

/** Adds changes to counters; zeros are dropped. */
export function addCounts(counts: Counts, changes: Count[]): Counts {
  return add(counts, changes.map(({ task_type, status, delta }) => [task_type, status, delta]));
}

/** A tally plus the changes of some changesets. */
export function addChangesets({ counts, open = {} }: Tally, writes: Pick<Changeset, "counts" | "open">[]): Tally {
  return {
    counts: addCounts(counts, writes.flatMap((changeset) => changeset.counts)),
    open: add(open, writes.flatMap((changeset) => changeset.open).map(({ caller, of, delta }) => [caller, of, delta])),
  };
}

/** The sum of tallies. */
export function sumTallies(all: Tally[]): Required<Tally> {
  return { counts: sumOf(all.map(({ counts }) => counts)), open: sumOf(all.map(({ open = {} }) => open)) };
}

/** Reads the exact counters: all lanes and the base, in one snapshot. */
export async function readTally(kv: Deno.Kv): Promise<Required<Tally>> {
  const all: Tally[] = [];
  for await (const entry of kv.list({ prefix: keys.lanes() }, { batchSize: 500 })) {
    all.push(decode<LaneRecord>(entry.value));
  }
  return sumTallies(all);
}

/** Reads how many tasks there are, by type and status. */
export async function readCounts(kv: Deno.Kv): Promise<Counts> {
  return (await readTally(kv)).counts;
}
