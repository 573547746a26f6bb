/**
 * The committer: the only place that writes to KV. It coalesces the logical writes of this instance into few KV
 * atomics (a group commit), because each atomic costs an fsync and KV runs them one after another.
 *
 * **Lanes.** A lane is one stream of atomics with one in flight. Each atomic checks and rewrites the lane's own
 * record, which holds the id of the operation and the counters. That one check does three things:
 *
 * - it fences: an instance whose lanes were deleted by a recoverer can write nothing more;
 * - it makes a resend harmless: KV Connect may send a commit twice, and the second finds the lane moved;
 * - it keeps the counters exact: they change in the same atomic as the tasks they count.
 *
 * **Failed checks.** KV never says which check failed. The committer reads the lane: if it has the operation's id,
 * the commit happened after all; if the lane is gone, the instance is fenced; otherwise it reads the checked keys
 * again, rejects only the writes whose own check fails, and commits the rest.
 *
 * @module
 */

import { type Clock, delay, within } from "../task/clock.ts";
import { decode, encode } from "./codec.ts";
import { addWrites, type LaneRecord, sumTallies, type Tally } from "./counts.ts";
import { ClosedError, ConflictError, FencedError, OutcomeUnknownError, RefusedWriteError } from "../task/errors.ts";
import { keys } from "./keys.ts";
import type { Logger } from "../log.ts";
import { addChanges, type LaneSeries, NO_SERIES, putMark, SAMPLE_BYTES, seriesPuts } from "../watch/series.ts";
import { statusOf, versionOf } from "../task/task.ts";
import { type Change, emptyWrite, sizeOf, type Write, type WriteSize } from "./changeset.ts";

/** What one KV atomic may hold. */
export interface AtomicLimits {
  checks: number;
  mutations: number;
  keyBytes: number;
  bytes: number;
}

/** The limits of Deno KV on a file, measured on 2.9.6: 100 checks, 1,000 mutations, 81,920 bytes of keys, 819,200 in all. */
export const FILE_LIMITS: AtomicLimits = { checks: 100, mutations: 1_000, keyBytes: 80_000, bytes: 800_000 };

/** The limits of a KV Connect server: as on a file, but for 10 checks. */
export const CONNECT_LIMITS: AtomicLimits = { ...FILE_LIMITS, checks: 10 };

/** The change feed's record of one commit: when, and what it did to which task. */
export interface ChangeRecord {
  at: number;
  /** `from` is null for a new task, `to` for a deleted one. */
  changes: [id: string, version: number, type: string, from: string | null, to: string | null][];
}

/** How a {@linkcode Committer} is made. */
export interface CommitterOptions {
  kv: Deno.Kv;
  clock: Clock;
  log: Logger;
  limits: AtomicLimits;
  /** Lanes, and so atomics in flight. */
  lanes: number;
  /** Whether other instances share the store, so that each commit rings the bell. */
  distributed: boolean;
  /** Milliseconds after which a caller is told that the outcome is unknown. */
  deadlineMs: number;
  /** Called after each commit that moved tasks, before its callers go on. */
  onCommitted(versionstamp: string, changes: Change[]): void;
  /** Called once when this instance was found to be fenced. */
  onFenced(): void;
}

interface Operation {
  write: Write;
  size: WriteSize;
  /** A write of the task's holder: it has no deadline, and is void once the instance is fenced. */
  holder: boolean;
  deadline: number;
  /** Whether it has been in an atomic: from then on it may have happened. */
  flown: boolean;
  settled: boolean;
  resolve(versionstamp: string): void;
  reject(error: unknown): void;
}

interface Lane {
  n: number;
  key: Deno.KvKey;
  versionstamp: string;
  tally: Tally;
  series: LaneSeries;
  busy: boolean;
}

/** Mutations that each atomic has beside its writes: lane, change, bell. */
export const LANE_MUTATIONS = 3;
/** Bytes that each atomic keeps for the lane's record. */
export const LANE_BYTES = 32_000;
/** Bytes that a task takes in the change entry beside the name of its type: id, version, two statuses. */
const CHANGE_BYTES = 80;
/** Bytes of the change entry: it is one value. */
const MAX_RECORD_BYTES = 60_000;
const FIRST_BACKOFF_MS = 4;
const LAST_BACKOFF_MS = 1_000;

/** Coalesces the writes of one instance into atomics. */
export class Committer {
  readonly #options: CommitterOptions;
  #instance = "";
  #beat: string | null = null;
  #lanes: Lane[] = [];
  #queue: Operation[] = [];
  #flights = new Set<Promise<void>>();
  #locked = new Set<string>();
  #outstanding = new Set<Operation>();
  #sequence = 0;
  #scheduled = false;
  #fenced = false;
  #closing = false;
  #idle: (() => void)[] = [];
  #cancelSweep: (() => void) | null = null;
  /** Atomics committed and mutations in them, since the start. */
  readonly stats = { atomics: 0, mutations: 0 };

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  /** The id under which this committer writes. */
  get instance(): string {
    return this.#instance;
  }

  /** Registers `instance` with fresh lanes. Called again, with a new id, after the instance was fenced. */
  async open(instance: string): Promise<void> {
    const { kv, clock, lanes } = this.#options;
    // A flight of the old lanes may still land: what it holds must not be overtaken.
    await Promise.all(this.#flights);
    const opened = Array.from({ length: lanes }, (_, n) => keys.lane(instance, n));
    const result = await persist(clock, () => {
      const mark = putMark(clock.now(), instance, { kind: "start", task_type: null });
      const atomic = kv.atomic().set(keys.instance(instance), encode({ started_at: clock.now() }))
        .set(mark.key, mark.value);
      for (const key of opened) atomic.set(key, encode({ op: "open", counts: {} } satisfies LaneRecord));
      return atomic.commit();
    });
    if (!result.ok) throw new ConflictError();
    this.#instance = instance;
    this.#beat = result.versionstamp;
    this.#lanes = opened.map((key, n) => ({
      n,
      key,
      versionstamp: result.versionstamp,
      tally: { counts: {} },
      series: NO_SERIES,
      busy: false,
    }));
    this.#fenced = false;
    this.#pump();
  }

  /**
   * Renews this instance's heartbeat.
   *
   * @throws {FencedError} If the instance was recovered.
   */
  async heartbeat(): Promise<void> {
    const { kv, clock } = this.#options;
    const key = keys.instance(this.#instance);
    const result = await kv.atomic().check({ key, versionstamp: this.#beat })
      .set(key, encode({ beat_at: clock.now() })).commit();
    if (result.ok) {
      this.#beat = result.versionstamp;
      return;
    }
    // A resent heartbeat fails its own check: the entry is there, only newer than we knew.
    const entry = await kv.get(key);
    if (entry.versionstamp === null) {
      this.#fence();
      throw new FencedError();
    }
    this.#beat = entry.versionstamp;
  }

  /**
   * Commits a write.
   *
   * @param holder Whether the task's holder writes: then it is tried until it is committed or the instance fenced.
   * @returns The versionstamp of the commit.
   * @throws {ConflictError} If one of the write's checks failed. Nothing was written.
   * @throws {FencedError} If the instance was recovered (only for `holder`). Nothing was written.
   * @throws {OutcomeUnknownError} If there was no answer before the deadline (never for `holder`).
   * @throws {RefusedWriteError} If KV refuses the write itself, for example for its size. Nothing was written.
   * @throws {ClosedError} If the committer is closed. Nothing was written.
   */
  commit(write: Write, holder = false): Promise<string> {
    if (this.#closing) return Promise.reject(new ClosedError());
    if (this.#fenced && holder) return Promise.reject(new FencedError());
    const size = sizeOf(write);
    // The lane has a check of its own.
    if (size.checks >= this.#options.limits.checks) return Promise.reject(new RefusedWriteError());
    return new Promise((resolve, reject) => {
      const operation: Operation = {
        write,
        size,
        holder,
        deadline: this.#options.clock.monotonic() + this.#options.deadlineMs,
        flown: false,
        settled: false,
        resolve,
        reject,
      };
      this.#queue.push(operation);
      this.#outstanding.add(operation);
      this.#cancelSweep ??= this.#options.clock.after(1_000, () => this.#sweep());
      if (!this.#scheduled) {
        // Let whatever else happens in this turn join the same atomic.
        this.#scheduled = true;
        queueMicrotask(() => {
          this.#scheduled = false;
          this.#pump();
        });
      }
    });
  }

  /** Commits a write; false if one of its checks failed, so that the caller looks again. */
  async commitUnlessConflict(write: Write): Promise<boolean> {
    try {
      await this.commit(write);
      return true;
    } catch (error) {
      if (error instanceof ConflictError) return false;
      throw error;
    }
  }

  /** Deletes an entry that says nothing any more, if it is still the same. */
  async discard({ key, versionstamp }: Deno.KvEntry<unknown>): Promise<void> {
    const write = { ...emptyWrite(key.join("/")), checks: [{ key, versionstamp }], deletes: [key] };
    await this.commitUnlessConflict(write);
  }

  /** Writes that were handed in and have not been answered. */
  get pending(): number {
    return this.#outstanding.size;
  }

  /** Waits until everything handed in so far was answered, or `ms` passed. */
  async drain(ms: number): Promise<void> {
    if (this.#outstanding.size === 0) return;
    await within(this.#options.clock, ms, new Promise<void>((resolve) => this.#idle.push(resolve)));
  }

  /** Refuses new writes, waits up to `ms` for those under way and folds this instance's lanes into the base. */
  async close(ms: number): Promise<void> {
    await this.drain(ms);
    this.#closing = true;
    for (const operation of [...this.#outstanding]) {
      this.#settle(operation, { error: operation.flown ? new OutcomeUnknownError() : new ClosedError() });
    }
    this.#cancelSweep?.();
    if (!this.#fenced && this.#instance) {
      await retire(this.#options.kv, this.#options.clock, this.#instance);
    }
  }

  #sweep(): void {
    const now = this.#options.clock.monotonic();
    for (const operation of this.#outstanding) {
      if (operation.holder || operation.deadline > now) continue;
      this.#settle(operation, { error: new OutcomeUnknownError() });
    }
    // What has been answered and does not fly need not fly any more.
    this.#queue = this.#queue.filter((operation) => !operation.settled);
    this.#cancelSweep = this.#outstanding.size > 0 ? this.#options.clock.after(1_000, () => this.#sweep()) : null;
  }

  #settle(operation: Operation, outcome: { versionstamp: string } | { error: unknown }): void {
    if (operation.settled) return;
    operation.settled = true;
    this.#outstanding.delete(operation);
    if ("error" in outcome) operation.reject(outcome.error);
    else operation.resolve(outcome.versionstamp);
    if (this.#outstanding.size === 0) {
      for (const done of this.#idle.splice(0)) done();
    }
  }

  #release(operations: Operation[]): void {
    for (const { write } of operations) {
      for (const lock of write.locks) this.#locked.delete(lock);
    }
  }

  #pump(): void {
    if (this.#fenced) return;
    for (const lane of this.#lanes) {
      if (lane.busy) continue;
      const batch = this.#take();
      if (batch.length === 0) return;
      lane.busy = true;
      const flight = this.#fly(lane, batch).catch((error) => {
        // Only a closing committer gives up on a store that does not answer at all.
        for (const operation of batch) this.#settle(operation, { error: new OutcomeUnknownError({ cause: error }) });
      }).finally(() => {
        lane.busy = false;
        this.#flights.delete(flight);
        this.#release(batch);
        this.#pump();
      });
      this.#flights.add(flight);
    }
  }

  /** Takes from the head of the queue what fits into one atomic and shares no lock with what flies. */
  #take(): Operation[] {
    const { limits } = this.#options;
    const batch: Operation[] = [];
    const passed: Operation[] = [];
    const passedLocks = new Set<string>();
    let checks = 1;
    let mutations = LANE_MUTATIONS;
    let keyBytes = 200;
    let bytes = LANE_BYTES;
    let recordBytes = 0;
    const types = new Set<string>();
    let i = 0;
    for (; i < this.#queue.length; i++) {
      const operation = this.#queue[i];
      const { locks } = operation.write;
      if (locks.some((lock) => this.#locked.has(lock) || passedLocks.has(lock))) {
        for (const lock of locks) passedLocks.add(lock);
        passed.push(operation);
        continue;
      }
      const { size } = operation;
      checks += size.checks;
      mutations += size.mutations;
      keyBytes += size.keyBytes;
      bytes += size.bytes;
      for (const type of typesOf(operation.write)) {
        if (types.has(type)) continue;
        types.add(type);
        mutations++;
        bytes += SAMPLE_BYTES;
      }
      const changed = changeBytes(operation.write);
      recordBytes += changed;
      bytes += changed;
      const full = checks > limits.checks || mutations > limits.mutations || keyBytes > limits.keyBytes ||
        bytes > limits.bytes || recordBytes > MAX_RECORD_BYTES;
      if (full && batch.length > 0) break;
      for (const lock of locks) this.#locked.add(lock);
      operation.flown = true;
      batch.push(operation);
    }
    this.#queue = passed.length > 0 ? passed.concat(this.#queue.slice(i)) : this.#queue.slice(i);
    return batch;
  }

  async #fly(lane: Lane, batch: Operation[]): Promise<void> {
    let operations = batch;
    let op = this.#nextOp();
    let series = this.#seriesOf(lane, operations);
    let failures = 0;
    while (operations.length > 0 && !this.#fenced && !this.#closing) {
      const tally = addWrites(lane.tally, operations.map(({ write }) => write));
      let error: unknown;
      try {
        const result = await this.#atomic(lane, operations, op, tally, series).commit();
        if (result.ok) return this.#landed(lane, operations, result.versionstamp, tally, series);
      } catch (thrown) {
        error = thrown;
      }

      // A check failed, or the call did. Only the lane's record tells what happened.
      const entry = await this.#untilAnswered(() => this.#options.kv.get<unknown>(lane.key));
      if (entry.versionstamp === null) {
        this.#fence();
        break;
      }
      const stored = decode<LaneRecord>(entry.value);
      if (stored.op === op) return this.#landed(lane, operations, entry.versionstamp, tallyOf(stored), series);
      lane.versionstamp = entry.versionstamp;
      lane.tally = tallyOf(stored);

      if (error === undefined) {
        const refused = await this.#refused(operations);
        for (const operation of refused) this.#settle(operation, { error: new ConflictError() });
        if (refused.size > 0) {
          operations = operations.filter((operation) => !refused.has(operation));
          op = this.#nextOp();
          series = this.#seriesOf(lane, operations);
          continue;
        }
      } else if (isLimitError(error)) {
        if (operations.length === 1) {
          this.#settle(operations[0], { error: new RefusedWriteError({ cause: error }) });
          return;
        }
        for (const operation of operations) await this.#fly(lane, [operation]);
        return;
      } else if (!isLocked(error) && Number.isInteger(Math.log2(failures + 1))) {
        this.#options.log.warn("A commit failed and is tried again.", { error, lane: lane.n, tries: failures + 1 });
      }
      failures++;
      // Whoever was told that the outcome is unknown need not have it tried for ever: this try has not happened.
      const left = operations.filter((operation) => !operation.settled);
      if (left.length < operations.length) series = this.#seriesOf(lane, left);
      operations = left;
      await delay(this.#options.clock, backoff(failures));
    }
    // Fenced (or closing) in the middle of it. With the lane gone nobody can tell whether the last try happened: a
    // holder's write is void either way, everyone else is told the truth.
    for (const operation of operations) {
      this.#settle(operation, { error: operation.holder ? new FencedError() : new OutcomeUnknownError() });
    }
  }

  /** Asks the store until it answers: a lane cannot go on without knowing where it stands. */
  async #untilAnswered<T>(call: () => Promise<T>): Promise<T> {
    while (true) {
      try {
        return await persist(this.#options.clock, call);
      } catch (error) {
        if (this.#closing) throw error;
        this.#options.log.error("The store does not answer; tried again.", { error });
      }
    }
  }

  #nextOp(): string {
    return `${this.#instance}:${++this.#sequence}`;
  }

  #seriesOf({ series }: Lane, operations: Operation[]): LaneSeries {
    return addChanges(series, operations.flatMap(({ write }) => write.changes), this.#options.clock.now());
  }

  #atomic(
    lane: Lane,
    operations: Operation[],
    op: string,
    tally: Tally,
    series: LaneSeries,
  ): Deno.AtomicOperation {
    const { kv, clock, distributed } = this.#options;
    const atomic = kv.atomic().check({ key: lane.key, versionstamp: lane.versionstamp });
    const record: ChangeRecord = { at: clock.now(), changes: [] };
    // All deletes go first. Writes that need no lock against each other may put a key that another one, which checks
    // what it has read, deletes: what is put must then stay.
    for (const { write } of operations) {
      atomic.check(...write.checks);
      for (const key of write.deletes) atomic.delete(key);
    }
    for (const { write } of operations) {
      for (const { key, value, expireIn } of write.puts) atomic.set(key, value, expireIn ? { expireIn } : undefined);
      for (const change of write.changes) record.changes.push(toEntry(change));
    }
    atomic.set(lane.key, encode({ op, ...tally } satisfies LaneRecord));
    for (const { key, value } of seriesPuts(series, this.#instance, lane.n)) atomic.set(key, value);
    if (record.changes.length > 0) {
      atomic.set([...keys.changes(), kv.commitVersionstamp()] as unknown as Deno.KvKey, encode(record));
    }
    if (distributed) atomic.set(keys.bell(), encode(op));
    return atomic;
  }

  #landed(
    lane: Lane,
    operations: Operation[],
    versionstamp: string,
    tally: Tally,
    series: LaneSeries,
  ): void {
    lane.versionstamp = versionstamp;
    lane.tally = tally;
    lane.series = series;
    this.stats.atomics++;
    const changes: Change[] = [];
    for (const { write, size } of operations) {
      this.stats.mutations += size.mutations;
      changes.push(...write.changes);
    }
    try {
      if (changes.length > 0) this.#options.onCommitted(versionstamp, changes);
    } catch (error) {
      // It is committed, whoever fails to hear of it.
      this.#options.log.error("News of a commit was not handed on.", { error });
    }
    for (const operation of operations) {
      // An answer that comes after the fence: what it tells of may have been taken over already.
      if (this.#fenced && operation.holder) this.#settle(operation, { error: new FencedError() });
      else this.#settle(operation, { versionstamp });
    }
  }

  /** Which of these writes have a check that does not hold now. */
  async #refused(operations: Operation[]): Promise<Set<Operation>> {
    const checks = operations.flatMap((operation) => operation.write.checks.map((check) => ({ operation, check })));
    const refused = new Set<Operation>();
    const entries = await this.#untilAnswered(
      () => getAll(this.#options.kv, checks.map(({ check }) => check.key)),
    );
    entries.forEach((entry, i) => {
      const { operation, check } = checks[i];
      if (entry.versionstamp !== check.versionstamp) refused.add(operation);
    });
    return refused;
  }

  #fence(): void {
    if (this.#fenced) return;
    this.#fenced = true;
    const holders = this.#queue.filter((operation) => operation.holder);
    this.#queue = this.#queue.filter((operation) => !operation.holder);
    for (const operation of holders) this.#settle(operation, { error: new FencedError() });
    this.#options.onFenced();
  }
}

/** Bytes that a write takes of the change entry at most. */
export function changeBytes({ changes }: Write): number {
  return changes.reduce((sum, { before, after }) => sum + CHANGE_BYTES + (after ?? before)!.task.task_type.length, 0);
}

function tallyOf({ counts, open }: LaneRecord): Tally {
  return { counts, open };
}

/** The types whose tasks a write moves. */
export function typesOf({ changes }: Write): Set<string> {
  return new Set(changes.map(({ before, after }) => (after ?? before)!.task.task_type));
}

function toEntry({ id, before, after }: Change): ChangeRecord["changes"][number] {
  const state = (after ?? before)!;
  const version = versionOf(state) + (after ? 0 : 1);
  return [id, version, state.task.task_type, before && statusOf(before), after && statusOf(after)];
}

/**
 * Ends an instance: deletes its lanes, which fences it, and adds their counters to the base; then deletes its
 * heartbeat. Any instance may do this again after a crash in the middle: what was folded is gone.
 *
 * @param beat The versionstamp of the heartbeat that was judged dead. If it has moved, nothing is done.
 * @returns Whether the instance is ended.
 */
export async function retire(kv: Deno.Kv, clock: Clock, instance: string, beat?: string): Promise<boolean> {
  const heartbeat = keys.instance(instance);
  const lanes = await persist(clock, () => listKeys(kv, keys.lanesOf(instance)));
  let alive = beat !== undefined;
  for (const key of lanes) {
    for (let tries = 1;; tries++) {
      const [lane, base] = await persist(clock, () => kv.getMany<[unknown, unknown]>([key, keys.baseLane()]));
      if (lane.versionstamp === null) break;
      const tally = sumTallies([
        base.value ? decode<LaneRecord>(base.value) : { counts: {} },
        decode<LaneRecord>(lane.value),
      ]);
      const atomic = kv.atomic().check(lane, base).delete(key)
        .set(keys.baseLane(), encode({ op: `fold:${instance}`, ...tally } satisfies LaneRecord));
      // The first fold decides: an instance that still beats is not touched.
      if (alive) atomic.check({ key: heartbeat, versionstamp: beat! });
      const ok = await atomic.commit().then((result) => result.ok, () => false);
      if (ok) {
        alive = false;
        break;
      }
      if (alive && (await persist(clock, () => kv.get(heartbeat))).versionstamp !== beat) return false;
      await delay(clock, backoff(tries));
    }
  }
  await persist(clock, () => kv.delete(heartbeat));
  return true;
}

/** Replaces all counters by a full count. Only while no instance is open. */
export async function resetCounts(kv: Deno.Kv, tally: Tally): Promise<void> {
  const atomic = kv.atomic();
  for (const key of await listKeys(kv, keys.lanes())) atomic.delete(key);
  await atomic.commit();
  await kv.set(keys.baseLane(), encode({ op: "count", ...tally } satisfies LaneRecord));
}

/** Reads the keys of a prefix. */
async function listKeys(kv: Deno.Kv, prefix: Deno.KvKey): Promise<Deno.KvKey[]> {
  const found: Deno.KvKey[] = [];
  for await (const entry of kv.list({ prefix }, { batchSize: 500 })) found.push(entry.key);
  return found;
}

/** KV reads at most ten keys in one call. */
const GET_MANY = 10;

/** Reads any number of keys, ten in a call. Keys of one call are of one snapshot. */
export async function getAll(kv: Deno.Kv, wanted: readonly Deno.KvKey[]): Promise<Deno.KvEntryMaybe<unknown>[]> {
  const calls: Promise<Deno.KvEntryMaybe<unknown>[]>[] = [];
  for (let i = 0; i < wanted.length; i += GET_MANY) {
    calls.push(kv.getMany(wanted.slice(i, i + GET_MANY)) as Promise<Deno.KvEntryMaybe<unknown>[]>);
  }
  return (await Promise.all(calls)).flat();
}

function isLocked(error: unknown): boolean {
  return /database is locked/.test(String(error));
}

/** KV checks its limits before it writes anything, and says so; a KV Connect server answers so. */
function isLimitError(error: unknown): boolean {
  return error instanceof Error && /too large|too many (checks|mutations)|exceed|cannot be empty/i.test(error.message);
}

/** Exponential, capped at a second, with full jitter. */
function backoff(failures: number): number {
  return Math.random() * Math.min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** failures);
}

/** Tries something harmless to repeat until it answers. Gives up after about half a minute of failures. */
async function persist<T>(clock: Clock, call: () => Promise<T>): Promise<T> {
  for (let failures = 1;; failures++) {
    try {
      return await call();
    } catch (error) {
      if (failures >= 40) throw error;
      await delay(clock, backoff(failures));
    }
  }
}
