/**
 * The committer: the only place that writes to KV. It coalesces the changesets of this instance into few KV atomics (a
 * group commit), because each atomic costs an fsync and KV runs them one after another.
 *
 * @module
 */

import { nextTick } from "node:process";
import { setImmediate } from "node:timers";
import { type Clock, delay, within } from "../../task/clock.ts";
import { ClosedError, ConflictError, FencedError, OutcomeUnknownError, RefusedWriteError } from "../../task/errors.ts";
import type { Logger } from "../../log.ts";
import { type Change, type Changeset, emptyChangeset, sizeOf } from "../changeset.ts";
import { decode, encode } from "../codec.ts";
import type { LaneRecord } from "../counts.ts";
import { assertFormat, FORMAT } from "./format.ts";
import { keys } from "../keys.ts";
import { backoff, persist } from "../kv.ts";
import { type AtomicLimits, AtomicSize } from "./atomic_size.ts";
import { retire } from "./instances.ts";
import { Lane, type LaneOwner, Operation, type Outcome, type Wakeups } from "./lane.ts";
import { annotationPut } from "./lane_series.ts";

const SWEEP_MS = 1_000;
/** A queue is divided among idle lanes into parts of at least so many operations. */
const SMALLEST_PART = 50;

/** Options of a {@linkcode Committer}. */
export interface CommitterOptions {
  kv: Deno.Kv;
  clock: Clock;
  log: Logger;
  limits: AtomicLimits;
  /** Number of lanes, and so of atomics in flight. */
  lanes: number;
  /** Whether tasks run in this instance. Default false. */
  worker?: boolean;
  /** Whether other instances share the store, so that each commit writes a wake-up. */
  distributed: boolean;
  /** Which atomics carry a message that wakes the queue. Default: none does. */
  wakeups?: Wakeups;
  /** Milliseconds after which a commit fails with an unknown outcome. */
  deadlineMs: number;
  /** Called after each commit that moved tasks, before its callers go on. */
  onCommitted(changes: Change[]): void;
  /** Called after each atomic with the milliseconds that it took and its number of changesets. Default: nothing. */
  onAtomic?(ms: number, changesets: number): void;
  /** Called once when this instance was found to be fenced. */
  onFenced(): void;
}

/** The value of `instance, instance`. */
export interface InstanceRecord {
  /** When it was written. Milliseconds since the epoch. */
  beat_at: number;
  /** Whether tasks run there. */
  worker: boolean;
  /** Whether it holds no task: then it has no heartbeat, and nothing needs to be recovered. Default false. */
  idle?: boolean;
}

/** Coalesces the writes of one instance into atomics. */
export class Committer implements LaneOwner {
  readonly options: CommitterOptions;
  #instance = "";
  #beat: string | null = null;
  #lanes: Lane[] = [];
  #queue: Operation[] = [];
  #inFlight = new Set<Promise<void>>();
  #locked = new Set<string>();
  #outstanding = new Set<Operation>();
  #sequence = 0;
  readonly #scheduled = new Set<unknown>();
  #fenced = false;
  #closing = false;
  #idle: (() => void)[] = [];
  #cancelSweep: (() => void) | null = null;
  /** Atomics committed and mutations in them, since the start. */
  readonly stats = { atomics: 0, mutations: 0 };
  /** When the last atomic was committed: a monotonic time in milliseconds. */
  lastCommitAt = -Infinity;

  constructor(options: CommitterOptions) {
    this.options = options;
  }

  /** The id under which this committer writes. */
  get instance(): string {
    return this.#instance;
  }

  /** Whether the instance has lost its lanes. */
  get fenced(): boolean {
    return this.#fenced;
  }

  /** Whether it is closed, or about to be. */
  get closing(): boolean {
    return this.#closing;
  }

  /** An id for the next operation of a lane. */
  nextOp(): string {
    return `${this.#instance}:${++this.#sequence}`;
  }

  /**
   * Registers `instance` with fresh lanes. Called again, with a new id, after the instance was fenced.
   *
   * @throws {StoreFormatError} If the store is not of this version's format.
   */
  async open(instance: string): Promise<void> {
    const { kv, clock, lanes } = this.options;
    // A commit of the old lanes may still land: new commits must not overtake it.
    await Promise.all(this.#inFlight);
    const opened = Array.from({ length: lanes }, (_, n) => keys.lane(instance, n));
    const register = async () => {
      // Once a newer version has migrated the store, this one must not write to it any more.
      const format = await persist(clock, () => kv.get(keys.format()));
      if (format.value) assertFormat(decode<number>(format.value));
      const mark = annotationPut(clock.now(), instance, { kind: "start", task_type: null });
      const atomic = kv.atomic().check(format).set(keys.instance(instance), encode(this.#instanceRecord(true)))
        .set(mark.key, mark.value);
      if (!format.value) atomic.set(format.key, encode(FORMAT));
      for (const key of opened) atomic.set(key, encode({ op: "open", counts: {} } satisfies LaneRecord));
      return await persist(clock, () => atomic.commit());
    };
    let result = await register();
    // Another instance has registered at the same time, as the first on this store, or answers were lost.
    for (let tries = 1; !result.ok; tries++) {
      if (tries === 10) throw new ConflictError();
      await delay(clock, backoff(tries));
      result = await register();
    }
    this.#instance = instance;
    this.#beat = result.versionstamp;
    this.#lanes = opened.map((_, n) => new Lane(n, result.versionstamp, this));
    this.#fenced = false;
    this.#pump();
  }

  #instanceRecord(idle: boolean): InstanceRecord {
    return { beat_at: this.options.clock.now(), worker: this.options.worker ?? false, idle };
  }

  /**
   * Renews this instance's heartbeat.
   *
   * @param idle Whether it holds no task. Default false.
   * @throws {FencedError} If the instance was recovered.
   */
  async heartbeat(idle = false): Promise<void> {
    const { kv } = this.options;
    const key = keys.instance(this.#instance);
    while (true) {
      const result = await kv.atomic().check({ key, versionstamp: this.#beat })
        .set(key, encode(this.#instanceRecord(idle))).commit();
      if (result.ok) {
        this.#beat = result.versionstamp;
        return;
      }
      // The answer to an earlier beat was lost, or this one was sent twice: what is stored may say something else.
      const entry = await kv.get(key);
      if (entry.versionstamp === null) {
        this.fence();
        throw new FencedError();
      }
      this.#beat = entry.versionstamp;
    }
  }

  /**
   * Commits a changeset.
   *
   * @param options.asTaskOwner Whether the task's owner writes: then it is retried until it is committed or the
   * instance is fenced. Default false.
   * @param options.first Whether it goes before the changesets that wait already. Default false.
   * @returns The versionstamp of the commit.
   * @throws {ConflictError} If one of the write's checks failed. Nothing was written.
   * @throws {FencedError} If the instance was recovered (only with `asTaskOwner`). Nothing was written.
   * @throws {OutcomeUnknownError} If there was no answer before the deadline (never with `asTaskOwner`).
   * @throws {RefusedWriteError} If KV refuses the write itself, for example for its size. Nothing was written.
   * @throws {ClosedError} If the committer is closed. Nothing was written.
   */
  commit(changeset: Changeset, { asTaskOwner = false, first = false } = {}): Promise<string> {
    if (this.#closing) return Promise.reject(new ClosedError());
    if (this.#fenced && asTaskOwner) return Promise.reject(new FencedError());
    const size = sizeOf(changeset);
    // The lane needs one check itself.
    if (size.checks >= this.options.limits.checks) return Promise.reject(new RefusedWriteError());
    return new Promise((resolve, reject) => {
      const deadline = this.options.clock.monotonic() + this.options.deadlineMs;
      const onSettled = (operation: Operation, outcome: Outcome) => {
        this.#outstanding.delete(operation);
        if ("error" in outcome) reject(outcome.error);
        else resolve(outcome.versionstamp);
        if (this.#outstanding.size === 0) { for (const done of this.#idle.splice(0)) done(); }
      };
      const operation = new Operation(changeset, size, asTaskOwner, deadline, onSettled);
      if (first) this.#queue.unshift(operation);
      else this.#queue.push(operation);
      this.#outstanding.add(operation);
      this.#cancelSweep ??= this.options.clock.after(SWEEP_MS, () => this.#sweep());
      // An idle committer writes at once, with the other commits of the same turn; a busy one, on an idle lane, with
      // those of all requests that have arrived by now.
      this.#schedule(this.#inFlight.size === 0 ? queueMicrotask : setImmediate);
    });
  }

  /** Pumps at a time that is near, once. */
  #schedule(at: (pump: () => void) => void): void {
    if (this.#scheduled.has(at)) return;
    this.#scheduled.add(at);
    at(() => {
      this.#scheduled.delete(at);
      this.#pump();
    });
  }

  /** Commits a changeset; false if one of its checks failed, so that the caller retries. */
  async commitUnlessConflict(changeset: Changeset): Promise<boolean> {
    try {
      await this.commit(changeset);
      return true;
    } catch (error) {
      if (error instanceof ConflictError) return false;
      throw error;
    }
  }

  /** Deletes an obsolete entry, if it is unchanged. */
  async deleteIfUnchanged({ key, versionstamp }: Deno.KvEntry<unknown>): Promise<void> {
    const changeset = { ...emptyChangeset(key.join("/")), checks: [{ key, versionstamp }], deletes: [key] };
    await this.commitUnlessConflict(changeset);
  }

  /** Number of commits that have not settled. */
  get pending(): number {
    return this.#outstanding.size;
  }

  /** Waits until all pending commits have settled, or `ms` have passed. */
  async drain(ms: number): Promise<void> {
    if (this.#outstanding.size === 0) return;
    await within(this.options.clock, ms, new Promise<void>((resolve) => this.#idle.push(resolve)));
  }

  /** Rejects new writes, waits up to `ms` for pending ones and folds this instance's lanes into the base. */
  async close(ms: number): Promise<void> {
    await this.drain(ms);
    this.#closing = true;
    for (const operation of [...this.#outstanding]) {
      operation.settle({ error: operation.attempted ? new OutcomeUnknownError() : new ClosedError() });
    }
    this.#cancelSweep?.();
    if (!this.#fenced && this.#instance) {
      await retire(this.options.kv, this.options.clock, this.#instance);
    }
  }

  #sweep(): void {
    const now = this.options.clock.monotonic();
    for (const operation of this.#outstanding) {
      if (operation.asTaskOwner || operation.deadline > now) continue;
      operation.settle({ error: new OutcomeUnknownError() });
    }
    // Queued operations that have already settled need not be committed.
    this.#queue = this.#queue.filter((operation) => !operation.settled);
    this.#cancelSweep = this.#outstanding.size > 0 ? this.options.clock.after(SWEEP_MS, () => this.#sweep()) : null;
  }

  #release(operations: Operation[]): void {
    for (const { changeset } of operations) {
      for (const lock of changeset.locks) this.#locked.delete(lock);
    }
  }

  #pump(): void {
    if (this.#fenced) return;
    const idle = this.#lanes.filter(({ busy }) => !busy);
    // One atomic is written while the answers to another lead to new writes: so a long queue is divided, like cards.
    let parts = Math.max(1, Math.min(idle.length, Math.floor(this.#queue.length / SMALLEST_PART)));
    for (const lane of idle) {
      const batch = this.#take(parts);
      parts = Math.max(1, parts - 1);
      if (batch.length === 0) return;
      lane.busy = true;
      const commit = lane.commit(batch).catch((error) => {
        // Only a closing committer gives up on a store that does not answer at all.
        for (const operation of batch) operation.settle({ error: new OutcomeUnknownError({ cause: error }) });
      }).finally(() => {
        lane.busy = false;
        this.#inFlight.delete(commit);
        this.#release(batch);
        // What was committed leads to new writes within this turn of the event loop: they share the next atomic.
        this.#schedule(nextTick);
      });
      this.#inFlight.add(commit);
    }
  }

  /** Takes one of `parts` operations, from the head of the queue on, that fit into one atomic and whose locks are free. */
  #take(parts: number): Operation[] {
    const batch: Operation[] = [];
    const passed: Operation[] = [];
    const passedLocks = new Set<string>();
    const size = new AtomicSize(this.options.limits);
    let i = 0;
    for (; i < this.#queue.length; i++) {
      const operation = this.#queue[i];
      const { locks } = operation.changeset;
      if (i % parts > 0 || locks.some((lock) => this.#locked.has(lock) || passedLocks.has(lock))) {
        for (const lock of locks) passedLocks.add(lock);
        passed.push(operation);
        continue;
      }
      size.add(operation.changeset, operation.size);
      if (size.excess && batch.length > 0) break;
      for (const lock of locks) this.#locked.add(lock);
      operation.attempted = true;
      batch.push(operation);
    }
    this.#queue = passed.length > 0 ? passed.concat(this.#queue.slice(i)) : this.#queue.slice(i);
    return batch;
  }

  /** The lanes are gone: task owners can no longer write. */
  fence(): void {
    if (this.#fenced) return;
    this.#fenced = true;
    const owned = this.#queue.filter((operation) => operation.asTaskOwner);
    this.#queue = this.#queue.filter((operation) => !operation.asTaskOwner);
    for (const operation of owned) operation.settle({ error: new FencedError() });
    this.options.onFenced();
  }
}
