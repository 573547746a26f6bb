/**
 * Counters of tasks by type and status. Each lane of commits keeps its own part, changed in the same atomic as the
 * tasks that it counts; the total is the sum over all lanes.
 *
 * @module
 */

import { decode } from "./codec.ts";
import { keys } from "./keys.ts";
import type { Change } from "./changeset.ts";
import { isTerminal, type Status, statusOf, type TaskState } from "../task/record.ts";

/** How many tasks there are, by type and status. */
export type Counts = Record<string, Partial<Record<Status, number>>>;

/** Open work by caller: number of tasks that have not ended, and bytes of their parameters. */
export type OpenWork = Record<string, Partial<Record<"tasks" | "bytes", number>>>;

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

/** A table to which numbers are added: its rows are copied when they first change, and zeros are dropped. */
class Sums<K extends string> {
  readonly table: Table<K>;
  readonly #copied = new Set<string>();

  constructor(table: Table<K>) {
    this.table = { ...table };
  }

  add(row: string, column: K, delta: number): void {
    if (!this.#copied.has(row)) {
      this.table[row] = { ...this.table[row] };
      this.#copied.add(row);
    }
    const columns = this.table[row];
    const value = (columns[column] ?? 0) + delta;
    if (value === 0) delete columns[column];
    else columns[column] = value;
  }
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

/** A tally after some changes. */
export function addChanges({ counts, open = {} }: Tally, changes: readonly Omit<Change, "id">[]): Required<Tally> {
  const tasks = new Sums<Status>(counts);
  const work = new Sums<"tasks" | "bytes">(open);
  for (const { before, after } of changes) {
    const { task_type, submitted_by, params_bytes } = (after ?? before)!.task;
    const [from, to] = [before && statusOf(before), after && statusOf(after)];
    if (from !== to) {
      if (from) tasks.add(task_type, from, -1);
      if (to) tasks.add(task_type, to, 1);
    }
    if (submitted_by === null || isOpen(before) === isOpen(after)) continue;
    const sign = isOpen(after) ? 1 : -1;
    work.add(submitted_by, "tasks", sign);
    if (params_bytes > 0) work.add(submitted_by, "bytes", sign * params_bytes);
  }
  return { counts: tasks.table, open: work.table };
}

function isOpen(state: TaskState | null): boolean {
  return state !== null && !isTerminal(statusOf(state));
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
