/**
 * The effect worker releases what waits for another task: tasks that depend on one that has ended, tasks whose
 * concurrency key has become free, and callbacks. Code that moves a task adds a pending effect in the same atomic if
 * something may wait for the move. The effect is removed only after it has been processed, so a crash loses nothing,
 * and a task with thousands of dependents need not fit into one atomic.
 *
 * @module
 */

import { DEFAULTS } from "../define.ts";
import type { Core } from "../core.ts";
import type { Callbacks } from "../actions/callbacks.ts";
import { repeat, type Repeating } from "../task/clock.ts";
import { decode, encode } from "../store/codec.ts";
import { getAll } from "../store/kv.ts";
import { keys } from "../store/keys.ts";
import { addUnchangedChecks, readTask, readTasks } from "../store/reads.ts";
import { isTerminal, statusOf, type TaskError, type TaskState } from "../task/record.ts";
import { becomeDue, cancel, dependencySucceeded, markHasDependents, occupies } from "../task/transitions.ts";
import { type Change, type Changeset, effectsOf, emptyChangeset, move, transition } from "../store/changeset.ts";

/** How often pending effects are checked without a wake-up, in milliseconds. */
const POLL_MS = 60_000;
/** Entries that are processed at once. */
const BATCH = 100;
/** Dependencies that are released at once. */
const MAX_DEPENDENCIES_AT_ONCE = 500;
/** Tasks admitted by one changeset: with the key holders and the effect, within the ten checks of KV Connect. */
const ADMITTED_AT_ONCE = 4;

/** Value of a `child` entry whose parent has succeeded. */
const MET = 1;

type Entry = Deno.KvEntry<unknown>;

/** Releases what waits for another task. */
export class EffectWorker {
  #job: Repeating | null = null;
  #unlisten: () => void = () => {};
  #stopped = false;
  /** Running tasks whose end is awaited: the instance that runs them does not know of their dependents. */
  #watched = new Set<string>();

  constructor(private readonly core: Core, private readonly callbacks: Callbacks) {}

  /** Starts. */
  start(): void {
    this.#unlisten = this.core.notifier.on("anything", () => this.#job?.kick());
    this.#job = repeat(
      this.core.clock,
      POLL_MS,
      () => this.#run(),
      (error) => this.core.log.warn("Waiting tasks could not be released; will retry.", { error }),
    );
  }

  /** Stops and waits for a run under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unlisten();
    await this.#job?.stop();
  }

  /** How many running tasks are watched. */
  get watching(): number {
    return this.#watched.size;
  }

  /** Receives what this instance has committed. */
  committed(changes: Change[]): void {
    const concerns = ({ id, before, after }: Change) =>
      after !== null && (effectsOf(before, after).length > 0 || this.#watched.has(id) && !after.run ||
        before === null && after.task.placement?.kind === "blocked");
    if (changes.some(concerns)) this.#job?.kick();
  }

  async #run(): Promise<void> {
    let entries: Entry[] = [];
    const found = new Set<string>();
    for await (const entry of this.core.kv.list({ prefix: keys.effects() }, { batchSize: BATCH })) {
      entries.push(entry);
      if (entry.key[1] === "dependents") found.add(entry.key[2] as string);
      if (entries.length < BATCH) continue;
      await this.#handleAll(entries);
      entries = [];
      if (this.#stopped) return;
    }
    await this.#handleAll(entries);
    // Effects that another instance has processed no longer need watching.
    for (const id of this.#watched) if (!found.has(id)) this.#watched.delete(id);
  }

  async #handleAll(entries: Entry[]): Promise<void> {
    const tasks = entries.filter(({ key }) => key[1] === "dependents");
    const concurrencyKeys = entries.filter(({ key }) => key[1] === "key");
    const callbacks = entries.filter(({ key }) => key[1] === "callback");
    await Promise.all([
      this.#handleParents(tasks),
      ...callbacks.map((entry) => this.callbacks.handle(entry)),
      ...concurrencyKeys.map((entry) =>
        this.#handleConcurrencyKey(entry, entry.key[2] as string, entry.key[3] as string)
      ),
    ]);
  }

  /** Admits tasks while the concurrency key has room, and drops those that have left. */
  async #handleConcurrencyKey(entry: Entry, type: string, key: string): Promise<void> {
    const limit = this.core.registry.get(type)?.concurrencyPerKey ?? DEFAULTS.concurrencyPerKey;
    while (!this.#stopped) {
      const stored = await this.core.kv.get(keys.keyHolders(type, key));
      const ids = stored.value ? decode<string[]>(stored.value) : [];
      const states = await readTasks(this.core.kv, ids);
      const holders = ids.filter((_, i) => states[i] && occupies(states[i]));
      const room = Math.max(0, limit - holders.length);
      const changeset = emptyChangeset(`key_holders:${type}:${key}`);
      const wanted = Math.min(room, ADMITTED_AT_ONCE);
      const next = await this.#head(keys.keyWaitingOf(type, key), wanted);
      for (const { at, state } of next) {
        changeset.checks.push({ key: at.key, versionstamp: at.versionstamp });
        const placement = state?.task.placement;
        if (state && !state.run && placement?.kind === "limited" && placement.score === at.key[3]) {
          if (holders.includes(state.task.id)) continue;
          holders.push(state.task.id);
          move(changeset, state, becomeDue(state, this.core.clock.now()));
        } else changeset.deletes.push(at.key);
      }
      changeset.checks.push({ key: stored.key, versionstamp: stored.versionstamp });
      if (holders.length > 0) changeset.puts.push({ key: stored.key, value: encode(holders) });
      else changeset.deletes.push(stored.key);
      const done = next.length < wanted || wanted === room;
      if (done) remove(changeset, entry);
      if (await this.core.committer.commitUnlessConflict(changeset)) {
        if (done) return;
      } else if ((await this.core.kv.get(entry.key)).versionstamp !== entry.versionstamp) {
        // Another instance has processed it, or added a newer one, which the next run processes.
        this.#job?.kick();
        return;
      }
    }
  }

  async #head(
    prefix: Deno.KvKey,
    limit: number,
  ): Promise<{ at: Deno.KvEntry<unknown>; state: TaskState | null }[]> {
    if (limit === 0) return [];
    const entries: Entry[] = [];
    for await (const entry of this.core.kv.list({ prefix }, { limit })) entries.push(entry);
    const states = await readTasks(this.core.kv, entries.map(({ key }) => key[4] as string));
    return entries.map((at, i) => ({ at, state: states[i] }));
  }

  /** Notifies the tasks that depend on these of their outcomes. */
  async #handleParents(entries: Entry[]): Promise<void> {
    // Watched before they are read: one that ends in between is checked again.
    for (const { key } of entries) this.#watched.add(key[2] as string);
    const parents = await readTasks(this.core.kv, entries.map(({ key }) => key[2] as string));
    const ended: Entry[] = [];
    const open: Promise<void>[] = [];
    entries.forEach((entry, i) => {
      const parent = parents[i];
      if (parent && !isTerminal(statusOf(parent))) open.push(this.#awaitEnd(entry, parent));
      else ended.push(entry);
    });
    await Promise.all(open);
    // A task that depends on many of them is released once.
    let parentsOf = new Map<string, string[]>();
    let waiting = 0;
    const releaseAll = async () => {
      await Promise.all([...parentsOf].map(([id, of]) => this.#release(id, of)));
      parentsOf = new Map();
      waiting = 0;
    };
    for (const { key } of ended) {
      const parent = key[2] as string;
      this.#watched.delete(parent);
      for await (const child of this.core.kv.list({ prefix: keys.childrenOf(parent) }, { batchSize: BATCH })) {
        if (decode<number>(child.value) === MET) continue;
        const id = child.key[2] as string;
        parentsOf.set(id, [...parentsOf.get(id) ?? [], parent]);
        if (++waiting >= MAX_DEPENDENCIES_AT_ONCE) await releaseAll();
        if (this.#stopped) return;
      }
    }
    await releaseAll();
    // What has not been released yet is released after the next start.
    if (!this.#stopped) await Promise.all(ended.map((entry) => this.core.committer.deleteIfUnchanged(entry)));
  }

  /** The task has not ended: makes sure that its end will be processed. */
  async #awaitEnd(entry: Entry, parent: TaskState): Promise<void> {
    const { task, run } = parent;
    if (!task.has_dependents) {
      // Only the instance that runs a task writes its record: until it ends, the effect stays, and it is watched.
      if (run) return;
      const changeset = await addUnchangedChecks(this.core.kv, parent, transition(parent, markHasDependents(parent)));
      if (!changeset) return this.#job?.kick();
      remove(changeset, entry);
      if (!await this.core.committer.commitUnlessConflict(changeset)) return this.#job?.kick();
    } else await this.core.committer.deleteIfUnchanged(entry);
    this.#watched.delete(task.id);
  }

  /** Records in a task the outcomes of some of its dependencies; retries on conflict. */
  async #release(id: string, parents: string[]): Promise<void> {
    while (!this.#stopped) {
      const state = await readTask(this.core.kv, id);
      if (!state || isTerminal(statusOf(state)) || state.task.placement?.kind !== "blocked") return;
      // Read after the task: an entry changes only together with it, so the check of the task is one of them too.
      const changeset = await addUnchangedChecks(this.core.kv, state, emptyChangeset());
      const children = await getAll(this.core.kv, parents.map((parent) => keys.child(parent, id)));
      const unmet = parents.filter((_, i) => children[i].value && decode<number>(children[i].value) !== MET);
      if (unmet.length === 0) return;
      if (!changeset) continue;
      const states = await readTasks(this.core.kv, unmet);
      // A parent that was retried meanwhile has not ended: its next end releases the others.
      const ends = unmet.map((id, i) => ({ id, state: states[i] }))
        .filter(({ state }) => state === null || isTerminal(statusOf(state)));
      if (ends.length === 0) return;
      const failed = ends.find(({ state }) => state?.task.status !== "SUCCESS");
      const now = this.core.clock.now();
      if (failed) move(changeset, state, cancel(state, now, null, whyNot(failed.id, failed.state)));
      else {
        move(changeset, state, dependencySucceeded(state, now, ends.length));
        for (const parent of ends) changeset.puts.push({ key: keys.child(parent.id, id), value: encode(MET) });
      }
      if (await this.core.committer.commitUnlessConflict(changeset)) return;
    }
  }
}

function whyNot(id: string, parent: TaskState | null): TaskError {
  const ended = parent?.task.status === "FAILED" ? "failed" : "was cancelled";
  const what = parent ? `“${parent.task.title}” ${ended}` : `task ${id}, on which it depends, no longer exists`;
  return { code: "dependency_failed", message: `Cancelled because ${what}.` };
}

function remove(changeset: Changeset, { key, versionstamp }: Deno.KvEntry<unknown>): void {
  changeset.checks.push({ key, versionstamp });
  changeset.deletes.push(key);
}
