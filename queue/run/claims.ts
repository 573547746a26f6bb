/**
 * Claims of ready tasks. A claim reads the head of a type's queue together with the fences of the shards that it is
 * in, then deletes the entries of all its tasks in one atomic that checks and rewrites these fences. Whoever else
 * changes or deletes a ready entry rewrites its fence too: so one check proves that nothing which the claim has read
 * has changed. Whoever adds an entry leaves the fence alone.
 *
 * @module
 */

import type { Core } from "../core.ts";
import type { AnyTaskDefinition } from "../define.ts";
import { type Changeset, emptyChangeset, merge, move, putFence, transition } from "../store/changeset.ts";
import { decode, encode } from "../store/codec.ts";
import { excessOf } from "../store/commit/atomic_size.ts";
import { isFence, keys, sameKey } from "../store/keys.ts";
import { readReady } from "../store/reads.ts";
import { ConflictError } from "../task/errors.ts";
import { MAX_SHARDS } from "../task/ids.ts";
import type { Pauses } from "./pauses.ts";
import { allowance, type Rate } from "../task/rate_limit.ts";
import type { RunningState, TaskState } from "../task/record.ts";
import { claim, expire, mayExpire } from "../task/transitions.ts";

/** The most tasks of one claim. */
export const CLAIM_BATCH = 400;
/** Checks of a claim besides its fences: those of the lane and of the rate limit. */
const OTHER_CHECKS = 2;
/**
 * After so many refused claims of a type in a row, its next claim checks each entry instead of the fences: it takes
 * fewer tasks, but fails only if one of these tasks was taken, however many others are cancelled meanwhile.
 */
const REFUSALS = 2;

/** Called with a task whose claim is committed. */
export type OnClaimed = (state: RunningState) => void;

type Entry = Deno.KvEntry<unknown>;

/** The first ready tasks of a type. */
interface Head {
  /** By score within each shard. */
  entries: Entry[];
  /** The versionstamps of the fences of their shards; null: never written. */
  fences: Map<number, string | null>;
  /** Whether these are all the ready tasks of the type. */
  complete: boolean;
}

/** A head and its tasks; null: there is none for this entry. */
interface Read {
  head: Head;
  states: (TaskState | null)[];
}

/** The result of a claim. */
export interface Claimed {
  /** How many tasks were claimed. */
  count: number;
  /** Whether there may be more to claim at once. */
  more: boolean;
  /** Milliseconds until the rate limit allows the next start. */
  again?: number;
}

/** One in so many claims begins with any shard, the others with a shard of the instance's own. */
const COMMON_TURN = 16;
/** With so many tasks, a claim does not go on to the next shard, where it could meet another instance. */
const ENOUGH = 16;
/** From so many tasks on, a claim reads ahead of the next one. */
const READ_AHEAD = 100;

const NONE: Claimed = { count: 0, more: false };

/** Claims tasks for one instance. */
export class Claims {
  /** Claims that were committed, and those that were refused because others changed what they had read. */
  readonly stats = { committed: 0, refused: 0 };
  /** By type, how many reads of its head there were, and the shard that the next round goes on with. */
  readonly #turns = new Map<string, number>();
  readonly #next = new Map<string, number>();
  /** Types with tasks in shards that new tasks no longer go to. */
  readonly #spread = new Set<string>();
  /** By type, what was read ahead. */
  readonly #ahead = new Map<string, Promise<Read | null>>();
  /** By type, the lowest score of a task that has become ready here since the head was last read. */
  readonly #lowest = new Map<string, number>();
  /** By type, how many claims were refused in a row. */
  readonly #refusals = new Map<string, number>();

  #committing = 0;

  /** @param wake Tells other instances that this one may hold tasks. */
  constructor(
    private readonly core: Core,
    private readonly pauses: Pauses,
    private readonly wake: () => Promise<void>,
  ) {}

  /** Whether a claim is being committed. */
  get committing(): boolean {
    return this.#committing > 0;
  }

  /** Looks for tasks that were stored with more shards. */
  async open(types: string[]): Promise<void> {
    const { kv, shards } = this.core;
    await Promise.all(types.map(async (type) => {
      const beyond = { prefix: keys.readyOf(type), start: keys.fence(type, shards) };
      for await (const _ of kv.list(beyond, { limit: 1 })) this.#spread.add(type);
    }));
  }

  /** A task has become ready here. */
  arrived(state: TaskState): void {
    const { task_type } = state.task;
    this.#lowest.set(task_type, Math.min(this.#lowest.get(task_type) ?? Infinity, scoreOf(state)));
  }

  /**
   * Claims tasks of a type, as many as are wanted; each is handed to `onClaimed` once all are committed.
   *
   * @param wanted How many tasks to claim: asked before the queue is read and again before anything is claimed.
   * @param free How many of these have a slot; the others will wait for one.
   * @param rate The type's rate limit: the starts are counted in the same atomic.
   * @param onRead Called with the number of ready tasks, if all of them were read.
   */
  async claim(
    { type }: AnyTaskDefinition,
    wanted: () => number,
    free: () => number,
    rate: Rate | null,
    onClaimed: OnClaimed,
    onRead: (ready: number) => void = () => {},
  ): Promise<Claimed> {
    const { committer, clock, limits, distributed } = this.core;
    // Where instances share a store, the pause is read beside the queue.
    if (!distributed && this.pauses.isKnown(type)) return NONE;
    const window = rate && await this.#window(type, rate);
    if (window && window.free <= 0) return { ...NONE, again: window.again };
    const checksEach = (this.#refusals.get(type) ?? 0) >= REFUSALS;
    const most = Math.min(wanted(), window?.free ?? Infinity, checksEach ? limits.checks - OTHER_CHECKS : CLAIM_BATCH);
    if (most <= 0) return NONE;
    const [paused, ahead] = await Promise.all([
      distributed && this.pauses.isPaused(type),
      this.#takeAhead(type, window || checksEach ? Infinity : READ_AHEAD).then((read) =>
        read ?? this.#read(type, most)
      ),
    ]);
    if (paused) return NONE;
    const { head, states } = ahead;
    if (head.complete) onRead(head.entries.length);
    if (await this.#clear(head.entries, states)) return { ...NONE, more: true };
    if (states.length === 0) return NONE;
    this.#committing++;
    try {
      if (distributed) await this.wake();
      // No await from here to the commit: the claims must be made under the current instance id.
      const now = clock.now();
      const slots = free();
      const claimed = (states as TaskState[]).slice(0, wanted())
        .map((state, i) => claim(state, committer.instance, now, i >= slots));
      if (claimed.length === 0) return NONE;
      const write = () => {
        const changeset = emptyChangeset();
        claimed.forEach((after, i) => move(changeset, states[i], after));
        for (const [shard, versionstamp] of head.fences) {
          if (!checksEach) changeset.checks.push({ key: keys.fence(type, shard), versionstamp });
          putFence(changeset, type, shard);
        }
        if (checksEach) changeset.checks.push(...head.entries.slice(0, claimed.length));
        if (window) merge(changeset, window.count(claimed.map(() => now)));
        return changeset;
      };
      let changeset = write();
      // Tasks with long keys, or that could have expired, take more room.
      while (claimed.length > 1 && excessOf(changeset, limits)) {
        claimed.length = Math.ceil(claimed.length / 2);
        changeset = write();
      }
      try {
        const versionstamp = await committer.commit(changeset, { asTaskOwner: true, first: true });
        if (claimed.length >= READ_AHEAD && claimed.length === states.length) this.#readAhead(type, head, versionstamp);
      } catch (error) {
        if (!(error instanceof ConflictError)) throw error;
        this.stats.refused++;
        this.#refusals.set(type, (this.#refusals.get(type) ?? 0) + 1);
        return { ...NONE, more: true };
      }
      this.stats.committed++;
      this.#refusals.delete(type);
      claimed.forEach(onClaimed);
      return { count: claimed.length, more: true };
    } finally {
      this.#committing--;
    }
  }

  /** How many starts a rate limit allows now, and the changeset that counts some. */
  async #window(type: string, rate: Rate) {
    const { kv, clock, committer } = this.core;
    const stored = await kv.get(keys.rate(type));
    const now = clock.now();
    const window = allowance(stored.value ? decode<number[]>(stored.value) : [], rate, now);
    if (window.free <= 0 && window.setBack) {
      await committer.commitUnlessConflict(rewriteStarts(stored, window.counting, rate));
    }
    return {
      free: window.free,
      again: Math.max(1, window.nextAt - now),
      count: (starts: number[]) => rewriteStarts(stored, [...window.counting, ...starts], rate),
    };
  }

  /**
   * While the tasks of a claim are started, reads what comes after it. Not before the claim is committed: the same atomic
   * may hold another change of the fence, such as a cancel, and pass.
   */
  #readAhead(type: string, claimed: Head, versionstamp: string): void {
    const after = this.core.shards === 1 && !this.#spread.has(type) ? claimed.entries.at(-1) : undefined;
    const read = async () => {
      const { head, states } = await this.#read(type, CLAIM_BATCH, after);
      // The claim has rewritten this fence: whatever has changed since then refuses the next claim.
      if (after) head.fences.set(after.key[2] as number, versionstamp);
      else if ([...head.fences.keys()].some((shard) => claimed.fences.has(shard))) return null;
      return { head: { ...head, complete: false }, states };
    };
    // If it fails, the next claim reads for itself.
    this.#ahead.set(type, read().catch(() => null));
  }

  /** What was read ahead, if it is at least `least` tasks and none has become ready that goes before one of them. */
  async #takeAhead(type: string, least: number): Promise<Read | null> {
    const read = await this.#ahead.get(type);
    this.#ahead.delete(type);
    if (!read || read.states.length < least) return null;
    const lowest = this.#lowest.get(type) ?? Infinity;
    return read.states.every((state) => state && scoreOf(state) <= lowest) ? read : null;
  }

  /** Reads the tasks at the head of a type, or after an entry. */
  async #read(type: string, wanted: number, after?: Entry): Promise<Read> {
    const head = await this.#head(type, wanted, after);
    return { head, states: await readReady(this.core.kv, head.entries) };
  }

  /** Reads the head of a type, from the shard whose turn it is. Each list is a snapshot, of entries and fences. */
  async #head(type: string, wanted: number, after?: Entry): Promise<Head> {
    const { kv, limits, shards } = this.core;
    const all = this.#spread.has(type) ? MAX_SHARDS : shards;
    const own = this.#ownShard(type, all);
    const first = own ?? this.#next.get(type) ?? (this.core.distributed ? Math.floor(Math.random() * all) : 0);
    const prefix = keys.readyOf(type);
    const from = after ? after.key : keys.fence(type, first);
    const head: Head = { entries: [], fences: new Map(), complete: false };
    const found = new Map<number, string>();
    if (!after) this.#lowest.delete(type);
    for (
      const selector of after || first === 0
        ? [{ prefix, start: from }]
        : [{ prefix, start: from }, { prefix, end: from }]
    ) {
      const limit = wanted - head.entries.length + MAX_SHARDS;
      for await (const entry of kv.list(selector, { limit, batchSize: limit })) {
        const shard = entry.key[2] as number;
        if (after && sameKey(entry.key, after.key)) continue;
        if (isFence(entry.key)) {
          found.set(shard, entry.versionstamp);
          continue;
        }
        const isNew = !head.fences.has(shard);
        const mostShards = head.entries.length >= ENOUGH ? head.fences.size : limits.checks - OTHER_CHECKS;
        if (head.entries.length === wanted || isNew && head.fences.size === mostShards) return head;
        if (isNew) head.fences.set(shard, found.get(shard) ?? null);
        head.entries.push(entry);
        if (own === null) this.#next.set(type, (shard + 1) % all);
      }
    }
    head.complete = true;
    return head;
  }

  /**
   * The shard of the instance's own whose turn it is; null: any shard's. Instances mostly go round shards of their own,
   * so that they seldom meet, and now and then round all of them, so that no task is left out.
   */
  #ownShard(type: string, all: number): number | null {
    const { index, count } = this.core.peers;
    const turn = this.#turns.get(type) ?? 0;
    this.#turns.set(type, turn + 1);
    if (count === 1 || count > all || turn % COMMON_TURN === 0) return null;
    return index + count * (turn % Math.ceil((all - index) / count));
  }

  /** Deletes entries that place no task, and expires tasks whose time is over; false if there are none of these. */
  async #clear(entries: Entry[], states: (TaskState | null)[]): Promise<boolean> {
    const { committer, clock } = this.core;
    const now = clock.now();
    const work = entries.flatMap((entry, i): Promise<unknown>[] => {
      const state = states[i];
      if (!state || !hasPlacement(state, entry)) return [committer.deleteIfUnchanged(entry)];
      if (!mayExpire(state) || state.task.expires_at! > now) return [];
      const changeset = transition(state, expire(state, now));
      changeset.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
      return [committer.commitUnlessConflict(changeset)];
    });
    await Promise.all(work);
    return work.length > 0;
  }
}

function scoreOf({ task: { placement } }: TaskState): number {
  return placement?.kind === "ready" ? placement.score : Infinity;
}

function hasPlacement({ task }: TaskState, { key }: Entry): boolean {
  return task.placement?.kind === "ready" && task.shard === key[2] && task.placement.score === key[3];
}

/** The changeset that replaces the starts counted by a rate limit, unless someone else has. */
function rewriteStarts(
  { key, versionstamp }: Deno.KvEntryMaybe<unknown>,
  starts: number[],
  { windowMs }: Rate,
): Changeset {
  const changeset = emptyChangeset(`rate:${key[1] as string}`);
  changeset.checks.push({ key, versionstamp });
  changeset.puts.push({ key, value: encode(starts), expireIn: 2 * windowMs });
  return changeset;
}
