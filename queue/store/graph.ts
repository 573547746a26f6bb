/**
 * The graph of tasks that depend on each other: what a task waits for, what waits for it, and so on in both directions.
 *
 * @module
 */

import { firstIdAt, timeOfId } from "../task/ids.ts";
import type { TaskState } from "../task/record.ts";
import { readCounts } from "./counts.ts";
import { keys } from "./keys.ts";
import { CHUNK, walk } from "./listing.ts";
import { readTasks } from "./reads.ts";

/** Most tasks of one graph: as many as a batch has. */
const MAX_NODES = 200;

/** Tasks that are looked at for those that depended on one of the graph and have ended. */
const LOOKED_THROUGH = 5_000;

/** The ids of a batch are made within this time, whatever their order. Milliseconds. */
const BATCH_MS = 1_000;

/** Tasks that depend on each other. */
export interface Graph {
  /** The tasks, in the order in which they were submitted. */
  states: TaskState[];
  /** Tasks that others depend on and that have been deleted. */
  deleted: string[];
  /** Whether there may be more: the graph is too large, or its end lies too far behind its beginning. */
  partial: boolean;
}

/** Reads the graph around a task; it is empty if there is no such task. */
export async function readGraph(kv: Deno.Kv, id: string): Promise<Graph> {
  const known = new Map<string, TaskState | null>();
  const later = new LaterTasks(kv);
  let partial = false;
  for (let next = [id]; next.length > 0;) {
    const states = await readTasks(kv, next);
    next.forEach((id, i) => known.set(id, states[i]));
    const found = new Set<string>();
    for (const [i, id] of next.entries()) {
      for (const parent of states[i]?.task.depends_on ?? []) found.add(parent);
      for await (const { key } of kv.list({ prefix: keys.childrenOf(id) }, { limit: MAX_NODES })) {
        found.add(key[2] as string);
      }
      for (const child of await later.dependingOn(id)) found.add(child);
    }
    next = [...found].filter((id) => !known.has(id));
    const room = MAX_NODES - known.size;
    if (next.length > room) partial = true;
    next = next.slice(0, room);
  }
  const states = [...known.values()].filter((state) => state !== null);
  states.sort((a, b) => a.task.id < b.task.id ? -1 : 1);
  const deleted = [...known].flatMap(([id, state]) => state ? [] : [id]);
  return { states, deleted, partial: partial || later.isCut };
}

/**
 * Tasks by what they depend on. A task that has ended is not kept with those that it depended on, but it was submitted
 * after them, or in the same batch. Each task is looked at once.
 */
class LaterTasks {
  /** By task, those that depend on it. */
  readonly #children = new Map<string, Set<string>>();
  /** From here on tasks have been looked at. */
  #from: string | undefined;
  #left = LOOKED_THROUGH;

  constructor(private readonly kv: Deno.Kv) {}

  /** Whether there were too many to look at. */
  get isCut(): boolean {
    return this.#left < 0;
  }

  async dependingOn(id: string): Promise<Iterable<string>> {
    // In a batch, what depends on a task may stand before it.
    const from = firstIdAt(timeOfId(id) - BATCH_MS);
    if (!this.isCut && (this.#from === undefined || from < this.#from)) await this.#look(from);
    return this.#children.get(id) ?? [];
  }

  async #look(from: string): Promise<void> {
    const until = this.#from;
    this.#from = from;
    for await (const { task } of walk(this.kv, {}, await readCounts(this.kv), "oldest", from, CHUNK)) {
      if (until !== undefined && task.id >= until || this.#left-- <= 0) return;
      for (const parent of task.depends_on) {
        const children = this.#children.get(parent) ?? new Set();
        this.#children.set(parent, children.add(task.id));
      }
    }
  }
}
