/**
 * Claims of ready tasks: reads the head of a type's queue and claims tasks for this instance, in order of score.
 *
 * @module
 */

import type { Core } from "../core.ts";
import type { AnyTaskDefinition } from "../define.ts";
import { type Changeset, emptyChangeset, merge, transition } from "../store/changeset.ts";
import { decode, encode } from "../store/codec.ts";
import { keys } from "../store/keys.ts";
import { readReady } from "../store/reads.ts";
import { ConflictError } from "../task/errors.ts";
import { allowance, type Rate } from "../task/rate_limit.ts";
import type { RunRecord, TaskState } from "../task/record.ts";
import { claim, expire, mayExpire } from "../task/transitions.ts";
import { RecentMap } from "../recent_map.ts";

/** The most newly placed tasks that are cached, so that a claim need not read them back. */
const REMEMBERED = 4_000;
/** When distributed, a claim picks its tasks from a head of this many times the number it needs. */
const SPREAD = 4;

/** Called with a task whose claim is committed. */
export type OnClaimed = (state: TaskState & { run: RunRecord }) => void;

/** The result of a claim under a rate limit. */
export interface Claimed {
  /** Whether there may be more to claim at once. */
  more: boolean;
  /** Milliseconds until the rate limit allows the next start. */
  again?: number;
}

/** Claims tasks for one instance. */
export class Claims {
  readonly #fresh = new RecentMap<string, { versionstamp: string; state: TaskState }>(REMEMBERED);

  constructor(private readonly core: Core) {}

  /** Caches a task that has just become ready, or drops one that is no longer ready. */
  remember(id: string, versionstamp: string, state: TaskState | null): void {
    if (state) this.#fresh.set(id, { versionstamp, state });
    else this.#fresh.delete(id);
  }

  /** Claims as many tasks as a rate limit allows: the starts are counted in the same atomic. */
  async claimWithin(definition: AnyTaskDefinition, free: number, rate: Rate, onClaimed: OnClaimed): Promise<Claimed> {
    const { kv, clock, committer, limits } = this.core;
    const { type } = definition;
    const stored = await kv.get(keys.rate(type));
    const now = clock.now();
    const window = allowance(stored.value ? decode<number[]>(stored.value) : [], rate, now);
    if (window.free <= 0) {
      if (window.setBack) await committer.commitUnlessConflict(rewriteStarts(stored, window.counting, rate));
      return { more: false, again: Math.max(1, window.nextAt - now) };
    }
    // The lane and the rate window need one check each.
    const entries = await this.head(type, Math.min(free, window.free, limits.checks - 2));
    if (entries.length === 0) return { more: false };
    const states = await this.#read(entries);
    const valid: { entry: Deno.KvEntry<unknown>; state: TaskState }[] = [];
    for (const [i, entry] of entries.entries()) {
      const state = states[i];
      if (!state || !this.#hasPlacement(state, entry)) await committer.deleteIfUnchanged(entry);
      else if (this.#hasExpired(state)) await this.#expire(state, entry);
      else valid.push({ entry, state });
    }
    if (valid.length === 0) return { more: true };
    // No await from here to the commit: the claims must be made under the current instance id.
    const changeset = emptyChangeset();
    const claimed = valid.map(({ state }) => claim(state, committer.instance, now));
    for (const [i, { entry, state }] of valid.entries()) {
      merge(changeset, transition(state, claimed[i]));
      changeset.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
    }
    merge(changeset, rewriteStarts(stored, [...window.counting, ...claimed.map(() => now)], rate));
    try {
      await committer.commit(changeset, { asTaskOwner: true });
    } catch (error) {
      if (error instanceof ConflictError) return { more: true };
      throw error;
    }
    claimed.forEach(onClaimed);
    return { more: true };
  }

  #hasPlacement(state: TaskState, entry: Deno.KvEntry<unknown>): boolean {
    const { placement } = state.task;
    return placement?.kind === "ready" && placement.score === entry.key[2];
  }

  #hasExpired(state: TaskState): boolean {
    return mayExpire(state) && state.task.expires_at! <= this.core.clock.now();
  }

  async #expire(state: TaskState, entry: Deno.KvEntry<unknown>): Promise<void> {
    const changeset = transition(state, expire(state, this.core.clock.now()));
    changeset.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
    await this.core.committer.commitUnlessConflict(changeset);
  }

  /** The first `wanted` entries of a type, or as many as there are. */
  async head(type: string, wanted: number): Promise<Deno.KvEntry<unknown>[]> {
    const { kv, distributed } = this.core;
    const limit = distributed ? wanted * SPREAD : wanted;
    const entries: Deno.KvEntry<unknown>[] = [];
    for await (const entry of kv.list({ prefix: keys.readyOf(type) }, { limit, batchSize: Math.min(limit, 500) })) {
      entries.push(entry);
    }
    if (entries.length <= wanted) return entries;
    // Instances that claimed the same head would mostly conflict with each other.
    const start = Math.floor(Math.random() * (entries.length - wanted + 1));
    return entries.slice(start, start + wanted);
  }

  /** Claims the tasks of some entries; each is handed to `onClaimed` as soon as its claim is committed. */
  async claim(entries: Deno.KvEntry<unknown>[], onClaimed: OnClaimed): Promise<void> {
    const { clock, committer } = this.core;
    const states = await this.#read(entries);
    const { instance } = committer;
    await Promise.all(entries.map(async (entry, i) => {
      const state = states[i];
      if (!state || !this.#hasPlacement(state, entry)) return await committer.deleteIfUnchanged(entry);
      if (this.#hasExpired(state)) return await this.#expire(state, entry);
      const claimed = claim(state, instance, clock.now());
      const changeset = transition(state, claimed);
      changeset.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
      try {
        await committer.commit(changeset, { asTaskOwner: true });
      } catch (error) {
        if (error instanceof ConflictError) return;
        throw error;
      }
      onClaimed(claimed);
    }));
  }

  /** The tasks of `ready` entries. */
  async #read(entries: Deno.KvEntry<unknown>[]): Promise<(TaskState | null)[]> {
    const states = entries.map(({ key, versionstamp }) => {
      const fresh = this.#fresh.get(key[3] as string);
      // An entry and its record are written in one commit: equal versionstamps mean the same record.
      return fresh?.versionstamp === versionstamp ? fresh.state : null;
    });
    const unknown = entries.map(({ key }) => key[3] as string).filter((_, i) => !states[i]);
    const read = await readReady(this.core.kv, unknown);
    return states.map((state) => state ?? read.shift() ?? null);
  }
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
