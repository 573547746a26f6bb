/**
 * The releaser lets go what waits for another task: tasks that depend on one that has ended, and tasks whose
 * concurrency key has become free. Whoever moves a task leaves a `follow` entry in the same atomic when something may
 * wait for that; the entry is removed only when it has been dealt with, so nothing is forgotten in a crash, and a
 * task with thousands of dependents need not fit into one atomic.
 *
 * @module
 */

import { type Clock, repeat, type Repeating } from "./clock.ts";
import { decode, encode } from "./codec.ts";
import type { Committer } from "./commit.ts";
import type { Registry } from "./define.ts";
import { keys } from "./keys.ts";
import type { Logger } from "./log.ts";
import type { Notifier } from "./notifier.ts";
import { guard, readTask, readTasks } from "./reads.ts";
import {
  cancel,
  expectDependents,
  isTerminal,
  meet,
  occupies,
  place,
  statusOf,
  type TaskError,
  type TaskState,
} from "./task.ts";
import { type Change, emptyWrite, followsOf, merge, transition, type Write } from "./write.ts";

/** How often `follow` entries are looked at where no news came, in milliseconds. */
const POLL_MS = 5_000;
/** Entries and dependents that are dealt with at once. */
const BATCH = 100;
/** Tasks that are let in by one write: with the slot and the entry itself, within the ten checks of KV Connect. */
const LET_IN = 4;

/** Value of a `child` entry whose parent has succeeded. */
const MET = 1;

/** Lets go what waits for another task. */
export class Releaser {
  #job: Repeating | null = null;
  #unlisten: () => void = () => {};
  #stopped = false;
  /** Running tasks whose end is waited for: their holder does not know of their dependents. */
  #watched = new Set<string>();

  constructor(
    private readonly kv: Deno.Kv,
    private readonly committer: Committer,
    private readonly registry: Registry,
    private readonly notifier: Notifier,
    private readonly clock: Clock,
    private readonly log: Logger,
  ) {}

  /** Starts. */
  start(): void {
    this.#unlisten = this.notifier.on("anything", () => this.#job?.kick());
    this.#job = repeat(
      this.clock,
      POLL_MS,
      () => this.#run(),
      (error) => this.log.warn("Waiting tasks could not be released; tried again.", { error }),
    );
  }

  /** Stops and waits for a run under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unlisten();
    await this.#job?.stop();
  }

  /** Takes what this instance has committed. */
  committed(changes: Change[]): void {
    const concerns = ({ id, before, after }: Change) =>
      after !== null && (followsOf(before, after).length > 0 || this.#watched.has(id) && !after.run ||
        before === null && after.task.placement?.kind === "blocked");
    if (changes.some(concerns)) this.#job?.kick();
  }

  async #run(): Promise<void> {
    this.#watched.clear();
    let entries: Deno.KvEntry<unknown>[] = [];
    for await (const entry of this.kv.list({ prefix: keys.follows() }, { batchSize: BATCH })) {
      entries.push(entry);
      if (entries.length < BATCH) continue;
      await this.#followAll(entries);
      entries = [];
      if (this.#stopped) return;
    }
    await this.#followAll(entries);
  }

  async #followAll(entries: Deno.KvEntry<unknown>[]): Promise<void> {
    await Promise.all(entries.map((entry) => {
      const [, kind, name, key] = entry.key as string[];
      return kind === "task" ? this.#followTask(entry, name) : this.#followSlot(entry, name, key);
    }));
  }

  /** Lets tasks in while the concurrency key has room, and forgets those that have left. */
  async #followSlot(entry: Deno.KvEntry<unknown>, type: string, key: string): Promise<void> {
    const limit = this.registry.get(type)?.concurrencyPerKey ?? 1;
    while (!this.#stopped) {
      const slot = await this.kv.get(keys.slot(type, key));
      const known = slot.value ? decode<string[]>(slot.value) : [];
      const states = await readTasks(this.kv, known);
      const holders = known.filter((_, i) => states[i] && occupies(states[i]));
      const room = Math.max(0, limit - holders.length);
      const write = emptyWrite(`slot:${type}:${key}`);
      const wanted = Math.min(room, LET_IN);
      const next = await this.#head(keys.limitedOf(type, key), wanted);
      for (const { at, state } of next) {
        write.checks.push({ key: at.key, versionstamp: at.versionstamp });
        const placement = state?.task.placement;
        if (state && !state.run && placement?.kind === "limited" && placement.score === at.key[3]) {
          holders.push(state.task.id);
          merge(write, transition(state, place(state, this.clock.now())));
        } else write.deletes.push(at.key);
      }
      write.checks.push({ key: slot.key, versionstamp: slot.versionstamp });
      if (holders.length > 0) write.puts.push({ key: slot.key, value: encode(holders) });
      else write.deletes.push(slot.key);
      const done = next.length < wanted || wanted === room;
      if (done) remove(write, entry);
      if (await this.committer.commitUnlessConflict(write)) {
        if (done) return;
      } else if ((await this.kv.get(entry.key)).versionstamp !== entry.versionstamp) {
        // Someone has dealt with it, or left a newer one, which comes with the next run.
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
    const entries: Deno.KvEntry<unknown>[] = [];
    for await (const entry of this.kv.list({ prefix }, { limit })) entries.push(entry);
    const states = await readTasks(this.kv, entries.map(({ key }) => key[4] as string));
    return entries.map((at, i) => ({ at, state: states[i] }));
  }

  /** Tells the tasks that depend on this one what has become of it. */
  async #followTask(entry: Deno.KvEntry<unknown>, id: string): Promise<void> {
    const parent = await readTask(this.kv, id);
    if (parent && !isTerminal(statusOf(parent))) return await this.#expect(entry, parent);
    let conflicts = 0;
    do {
      conflicts = 0;
      let children: Deno.KvEntry<unknown>[] = [];
      const tellAll = async () => {
        const told = await Promise.all(children.map((child) => this.#tell(child, id, parent)));
        conflicts += told.filter((ok) => !ok).length;
        children = [];
      };
      for await (const child of this.kv.list({ prefix: keys.childrenOf(id) }, { batchSize: BATCH })) {
        if (this.#stopped) return;
        if (decode<number>(child.value) !== MET) children.push(child);
        if (children.length === BATCH) await tellAll();
      }
      await tellAll();
    } while (conflicts > 0 && !this.#stopped);
    // Whoever has not been told yet is told after the next start.
    if (conflicts === 0) await this.committer.discard(entry);
  }

  /** The task has not ended: see to it that its end will be followed. */
  async #expect(entry: Deno.KvEntry<unknown>, parent: TaskState): Promise<void> {
    const { task, run } = parent;
    if (task.has_dependents) return await this.committer.discard(entry);
    // Its holder alone writes the record of a running task: until it ends, the entry stays.
    if (run) return void this.#watched.add(task.id);
    const write = await guard(this.kv, parent, transition(parent, expectDependents(parent)));
    if (!write) return this.#job?.kick();
    remove(write, entry);
    if (!await this.committer.commitUnlessConflict(write)) this.#job?.kick();
  }

  /** Tells one dependent; false if it has changed meanwhile. */
  async #tell(child: Deno.KvEntry<unknown>, id: string, parent: TaskState | null): Promise<boolean> {
    const state = await readTask(this.kv, child.key[2] as string);
    if (!state || isTerminal(statusOf(state))) {
      await this.committer.discard(child);
      return true;
    }
    if (state.task.placement?.kind !== "blocked") return true;
    const now = this.clock.now();
    const succeeded = parent !== null && parent.task.status === "SUCCESS";
    const after = succeeded ? meet(state, now) : cancel(state, now, whyNot(id, parent));
    const write = await guard(this.kv, state, transition(state, after));
    if (!write) return false;
    write.checks.push({ key: child.key, versionstamp: child.versionstamp });
    if (succeeded) write.puts.push({ key: child.key, value: encode(MET) });
    return await this.committer.commitUnlessConflict(write);
  }
}

function whyNot(id: string, parent: TaskState | null): TaskError {
  const what = parent ? `is ${parent.task.status}` : "is not kept any more";
  return { code: "dependency_failed", message: `Task ${id}, which this one depends on, ${what}.` };
}

function remove(write: Write, { key, versionstamp }: Deno.KvEntry<unknown>): void {
  write.checks.push({ key, versionstamp });
  write.deletes.push(key);
}
