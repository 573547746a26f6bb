/**
 * The stream tells its listeners what every commit changed, in order and on every instance. It follows the change
 * feed of the store, so its token (`since`, the versionstamp of a commit) means the same everywhere and survives a
 * restart. The store is read only while there are listeners, at most twenty times a second.
 *
 * @module
 */

import type { Clock } from "../task/clock.ts";
import { decode } from "../store/codec.ts";
import type { ChangeRecord } from "../store/commit/lane.ts";
import { keys } from "../store/keys.ts";
import type { Logger } from "../log.ts";
import type { Notifier } from "./notifier.ts";
import { RecentMap } from "../recent_map.ts";
import { readTasks } from "../store/reads.ts";
import { type Status, type TaskState, versionOf } from "../task/record.ts";
import type { Change } from "../store/changeset.ts";

/** One task that changed; several changes of it in one batch are one. */
export interface TaskChange {
  /** The task. */
  id: string;
  /** Its type. */
  task_type: string;
  /** Its version after the change. */
  version: number;
  /** The commit of its newest change. */
  at: string;
  /** Statuses that it left within the batch. */
  left: Status[];
  /** The status that it had after its newest change; null if it was deleted. */
  to: Status | null;
  /** Its newest state; null if it was deleted. */
  state: TaskState | null;
}

/** What changed, up to and including the commit `since`. */
export interface Batch {
  /** The token to come back with: everything up to it is in here or before. */
  since: string;
  /** In the order of their commits, each task once. */
  changes: TaskChange[];
}

/** Pause between two batches in milliseconds: twenty a second. */
const FRAME_MS = 50;
/** States remembered so that they need not be read again. */
const REMEMBERED = 5_000;
/** Commits read at once. */
const READ = 500;
/** Most tasks in a replay. */
const REPLAYED = 2_000;
/** Most tasks, and most commits, that a replay searches for matching changes. */
const LOOKED_THROUGH = 20_000;
/** The token before the first commit. */
const BEGINNING = "0".repeat(20);

/** Follows the change feed. */
export class ChangeStream {
  #listeners = new Set<(batch: Batch) => void>();
  #remembered = new RecentMap<string, TaskState>(REMEMBERED);
  /** The tasks that are being read for a replay. */
  readonly #readingStates = new Map<string, Promise<Map<string, TaskState | null>>>();
  #cursor: string | null = null;
  #cancelTimer: (() => void) | null = null;
  #reading: Promise<void> = Promise.resolve();
  /** By `since`, feeds that are being read for replays. */
  readonly #feeds = new Map<string, Promise<Batch | null>>();
  #dirty = false;
  #stopped = false;
  #unlisten: () => void = () => {};

  /** @ignore */
  constructor(
    private readonly kv: Deno.Kv,
    private readonly notifier: Notifier,
    private readonly clock: Clock,
    private readonly log: Logger,
  ) {}

  /** Starts listening for news. */
  start(): void {
    this.#unlisten = this.notifier.on("changed", () => this.#schedule());
  }

  /** Stops. Listeners are no longer called. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unlisten();
    this.#cancelTimer?.();
    await this.#reading;
  }

  /** Receives what this instance has committed, so that it need not be read back. */
  committed(changes: Change[]): void {
    if (this.#listeners.size === 0) return;
    for (const { id, after } of changes) {
      if (after) this.#remembered.set(id, after);
      else this.#remembered.delete(id);
    }
  }

  /** The token of the newest commit: later reads include at least everything up to it. */
  async head(): Promise<string> {
    for await (const entry of this.kv.list({ prefix: keys.changes() }, { reverse: true, limit: 1 })) {
      return entry.key[1] as string;
    }
    return await this.#floor();
  }

  async #floor(): Promise<string> {
    const entry = await this.kv.get(keys.changeFloor());
    return entry.value ? decode<string>(entry.value) : BEGINNING;
  }

  /**
   * Listens from the newest commit on.
   *
   * @returns A function that unsubscribes.
   */
  async subscribe(listener: (batch: Batch) => void): Promise<() => void> {
    if (this.#listeners.size === 0) {
      await this.#reading;
      this.#remembered.clear();
      const head = await this.head();
      this.#cursor ??= head;
    }
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) {
        this.#cursor = null;
        this.#remembered.clear();
      }
    };
  }

  /**
   * What changed after `since`, in the order of the newest change of each task, or null if that is no longer known and
   * the client must start over.
   *
   * @param accepts Whether a change is wanted. The tasks of others are not read.
   */
  async replay(since: string, accepts: (change: TaskChange) => boolean = () => true): Promise<Batch | null> {
    // After a restart all clients resume at once, most from the same commit: the feed is read once for all of them.
    const known = this.#feeds.get(since);
    const feed = known ?? this.#feedSince(since).finally(() => this.#feeds.delete(since));
    if (!known) this.#feeds.set(since, feed);
    const read = await feed;
    if (!read) return null;
    // Each caller gets its own copies, so that none changes another's.
    const changes = read.changes.filter(accepts).map((change) => ({ ...change }));
    // Reloading a list of this length costs no more.
    if (changes.length > REPLAYED) return null;
    await this.#addStates(changes);
    return { since: read.since, changes };
  }

  /** What changed after `since`, without the task states; null if part of it was trimmed or it is too much. */
  async #feedSince(since: string): Promise<Batch | null> {
    if (!/^[0-9a-f]{20}$/.test(since) || since > await this.head()) return null;
    const byId = new Map<string, TaskChange>();
    let from = since;
    let commits = 0;
    while (true) {
      const part = await this.#readFeed(from);
      for (const change of part.changes) addChange(byId, change);
      from = part.since;
      commits += part.commits;
      if (byId.size > LOOKED_THROUGH || commits > LOOKED_THROUGH) return null;
      if (part.commits < READ) break;
    }
    // Checked after reading: changes that were trimmed meanwhile are missing.
    return since < await this.#floor() ? null : { since: from, changes: [...byId.values()] };
  }

  #schedule(): void {
    if (this.#stopped || this.#listeners.size === 0) return;
    this.#dirty = true;
    this.#cancelTimer ??= this.clock.after(FRAME_MS, () => {
      this.#reading = this.#tick()
        .catch((error) => {
          this.#dirty = true;
          this.log.warn("The change feed could not be read; will retry.", { error });
        })
        .finally(() => {
          this.#cancelTimer = null;
          if (this.#dirty) this.#schedule();
        });
    });
  }

  async #tick(): Promise<void> {
    this.#dirty = false;
    while (this.#cursor !== null && !this.#stopped) {
      const { since, changes, commits } = await this.#read(this.#cursor);
      if (commits === 0 || this.#cursor === null) return;
      this.#cursor = since;
      for (const listener of this.#listeners) {
        try {
          listener({ since, changes });
        } catch (error) {
          // The other listeners are still called.
          this.log.error("A listener of the change feed failed.", { error });
        }
      }
      if (commits < READ) return;
    }
  }

  async #read(after: string): Promise<Batch & { commits: number }> {
    const part = await this.#readFeed(after);
    await this.#addStates(part.changes);
    return part;
  }

  /** Reads some commits of the feed. The states of the tasks are not read yet. */
  async #readFeed(after: string): Promise<Batch & { commits: number }> {
    const byId = new Map<string, TaskChange>();
    let since = after;
    let commits = 0;
    const start = [...keys.changes(), `${after}\u0000`];
    for await (
      const entry of this.kv.list({ prefix: keys.changes(), start }, { limit: READ, batchSize: READ })
    ) {
      const at = entry.key[1] as string;
      since = at;
      commits++;
      for (const [id, version, task_type, from, to] of decode<ChangeRecord>(entry.value).changes) {
        const left = from !== null && from !== to ? [from as Status] : [];
        addChange(byId, { id, version, task_type, at, left, to: to as Status | null, state: null });
      }
    }
    return { since, commits, changes: [...byId.values()] };
  }

  async #addStates(changes: TaskChange[]): Promise<void> {
    const isCurrent = (state: TaskState | null | undefined, { version }: TaskChange) =>
      state && versionOf(state) >= version;
    const missing: TaskChange[] = [];
    for (const change of changes) {
      const state = this.#remembered.get(change.id);
      if (isCurrent(state, change)) change.state = state!;
      else missing.push(change);
    }
    // After a restart all clients resume at once: states that are already being read are not read again.
    const own = new Set(missing.map(({ id }) => id).filter((id) => !this.#readingStates.has(id)));
    const read = this.#readStates([...own]);
    for (const id of own) this.#readingStates.set(id, read);
    try {
      const parts = await Promise.all(missing.map(({ id }) => this.#readingStates.get(id)!));
      missing.forEach((change, i) => change.state = parts[i].get(change.id)!);
    } finally {
      for (const id of own) this.#readingStates.delete(id);
    }
    // That read began before this change was made.
    const older = missing.filter((change) => !own.has(change.id) && !isCurrent(change.state, change));
    const again = await this.#readStates(older.map(({ id }) => id));
    for (const change of older) change.state = again.get(change.id)!;
  }

  async #readStates(ids: string[]): Promise<Map<string, TaskState | null>> {
    const states = await readTasks(this.kv, ids);
    states.forEach((state, i) => {
      if (state) this.#remembered.set(ids[i], state);
    });
    return new Map(ids.map((id, i) => [id, states[i]]));
  }
}

/** Adds a change; a task takes the position of its newest change. */
function addChange(byId: Map<string, TaskChange>, change: TaskChange): void {
  const earlier = byId.get(change.id);
  byId.delete(change.id);
  byId.set(change.id, earlier ? { ...change, left: [...earlier.left, ...change.left] } : change);
}
