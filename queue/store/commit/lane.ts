/**
 * A lane: one stream of atomics with one in flight. Each atomic checks and rewrites the lane's own record, which holds
 * the id of the operation and the counters. That one check does three things:
 *
 * - it fences: an instance whose lanes were deleted by a recoverer can write nothing more;
 * - it makes a resend harmless: KV Connect may send a commit twice, and the second finds the lane moved;
 * - it keeps the counters exact: they change in the same atomic as the tasks they count.
 *
 * KV never says which check failed. So the lane reads its record: if it has the operation's id, the commit happened
 * after all; if the record is gone, the instance is fenced; otherwise the lane reads the checked keys again, rejects
 * only the changesets whose own check fails, and commits the rest.
 *
 * @module
 */

import { type Clock, delay } from "../../task/clock.ts";
import { ConflictError, FencedError, OutcomeUnknownError, RefusedWriteError } from "../../task/errors.ts";
import { statusOf, versionOf } from "../../task/record.ts";
import type { Logger } from "../../log.ts";
import type { Change, Changeset, ChangesetSize } from "../changeset.ts";
import { decode, encode } from "../codec.ts";
import { addChanges, type LaneRecord, type Tally } from "../counts.ts";
import { keys } from "../keys.ts";
import { backoff, getAll, isLimitError, isLocked, persist } from "../kv.ts";
import { addSamples, type LaneSeries, NO_SERIES, seriesPuts } from "./lane_series.ts";

/** The change feed's record of one commit: when, and what it did to which task. */
export interface ChangeRecord {
  at: number;
  /** `from` is null for a new task, `to` for a deleted one. */
  changes: [id: string, version: number, type: string, from: string | null, to: string | null][];
}

/** A changeset that is being committed. */
export class Operation {
  /** Whether a commit was attempted: from then on it may have been committed. */
  attempted = false;
  settled = false;

  /**
   * @param deadline When it settles with an unknown outcome: a monotonic time in milliseconds.
   * @param onSettled Called once with its outcome.
   */
  constructor(
    readonly changeset: Changeset,
    readonly size: ChangesetSize,
    /** Whether the task's owner writes: then it has no deadline, and is void once the instance is fenced. */
    readonly asTaskOwner: boolean,
    readonly deadline: number,
    private readonly onSettled: (operation: Operation, outcome: Outcome) => void,
  ) {}

  /** Reports the outcome to the caller. Only the first one counts. */
  settle(outcome: Outcome): void {
    if (this.settled) return;
    this.settled = true;
    this.onSettled(this, outcome);
  }
}

/** How an operation ended. */
export type Outcome = { versionstamp: string } | { error: unknown };

/** Decides which atomics carry a message that wakes the queue. Times are milliseconds since the epoch. */
export interface Wakeups {
  /** When an atomic's message is to arrive; null: it needs none. `due` is when something else than a task becomes due. */
  plan(changes: Change[], due: number): number | null;
  /** The atomic of a planned message was not committed. */
  drop(at: number): void;
}

/** The message that wakes the queue. */
export const WAKEUP = "millrace:wakeup";

/** What the lanes of an instance share. */
export interface LaneOwner {
  readonly instance: string;
  /** Whether the instance has lost its lanes. */
  readonly fenced: boolean;
  readonly closing: boolean;
  readonly stats: { atomics: number; mutations: number };
  lastCommitAt: number;
  readonly options: {
    kv: Deno.Kv;
    clock: Clock;
    log: Logger;
    distributed: boolean;
    wakeups?: Wakeups;
    onCommitted(changes: Change[]): void;
    onAtomic?(ms: number, changesets: number): void;
  };
  /** An id for the next operation. */
  nextOp(): string;
  /** The record of a lane is gone: the instance was recovered by another one. */
  fence(): void;
}

/** What the tasks that some operations move add to an atomic. */
interface Part {
  changes: Change[];
  series: LaneSeries;
  /** The encoded {@linkcode ChangeRecord}. */
  record: Uint8Array<ArrayBuffer>;
  /** When the message of the atomic arrives; null: it has none. */
  wakeAt: number | null;
}

/** One stream of atomics. */
export class Lane {
  busy = false;
  readonly #n: number;
  readonly #key: Deno.KvKey;
  readonly #owner: LaneOwner;
  #versionstamp: string;
  #tally: Tally = { counts: {} };
  #series: LaneSeries = NO_SERIES;

  constructor(n: number, versionstamp: string, owner: LaneOwner) {
    this.#n = n;
    this.#key = keys.lane(owner.instance, n);
    this.#versionstamp = versionstamp;
    this.#owner = owner;
  }

  /** Commits operations, or settles each with the reason why not. Rejects only while the committer closes. */
  async commit(batch: Operation[]): Promise<void> {
    let operations = batch;
    let op = this.#owner.nextOp();
    let part = this.#partOf(operations);
    let failures = 0;
    const { clock, onAtomic } = this.#owner.options;
    while (operations.length > 0 && !this.#owner.fenced && !this.#owner.closing) {
      const tally = addChanges(this.#tally, part.changes);
      let error: unknown;
      try {
        const since = clock.monotonic();
        const result = await this.#atomic(operations, op, tally, part).commit();
        if (result.ok) onAtomic?.(clock.monotonic() - since, operations.length);
        if (result.ok) return this.#committed(operations, result.versionstamp, tally, part);
      } catch (thrown) {
        error = thrown;
      }

      // A check failed, or the call did. Only the lane's record tells what happened.
      const entry = await this.#untilAnswered(() => this.#owner.options.kv.get<unknown>(this.#key));
      if (entry.versionstamp === null) {
        this.#owner.fence();
        break;
      }
      const stored = decode<LaneRecord>(entry.value);
      if (stored.op === op) return this.#committed(operations, entry.versionstamp, tallyOf(stored), part);
      this.#versionstamp = entry.versionstamp;
      this.#tally = tallyOf(stored);

      if (error === undefined) {
        const refused = await this.#refused(operations);
        for (const operation of refused) operation.settle({ error: new ConflictError() });
        if (refused.size > 0) {
          operations = operations.filter((operation) => !refused.has(operation));
          op = this.#owner.nextOp();
          part = this.#partOf(operations, part);
          continue;
        }
      } else if (isLimitError(error)) {
        this.#drop(part);
        if (operations.length === 1) {
          operations[0].settle({ error: new RefusedWriteError({ cause: error }) });
          return;
        }
        for (const operation of operations) await this.commit([operation]);
        return;
      } else if (!isLocked(error) && Number.isInteger(Math.log2(failures + 1))) {
        this.#owner.options.log.warn("A commit failed; retrying.", {
          error,
          lane: this.#n,
          tries: failures + 1,
        });
      }
      failures++;
      // Operations settled as unknown need not be retried forever: this attempt was not committed.
      const left = operations.filter((operation) => !operation.settled);
      if (left.length < operations.length) part = this.#partOf(left, part);
      operations = left;
      await delay(this.#owner.options.clock, backoff(failures));
    }
    this.#drop(part);
    // Fenced (or closing) midway. With the lane gone nobody can tell whether the last attempt was committed: a task
    // owner's write is void either way, all others get an unknown outcome.
    for (const operation of operations) {
      operation.settle({ error: operation.asTaskOwner ? new FencedError() : new OutcomeUnknownError() });
    }
  }

  /** Retries until the store responds: a lane cannot continue without knowing its state. */
  async #untilAnswered<T>(call: () => Promise<T>): Promise<T> {
    while (true) {
      try {
        return await persist(this.#owner.options.clock, call);
      } catch (error) {
        if (this.#owner.closing) throw error;
        this.#owner.options.log.error("The store does not respond; retrying.", { error });
      }
    }
  }

  /** A part was not committed: its message was not sent. */
  #drop({ wakeAt }: Part): void {
    if (wakeAt !== null) this.#owner.options.wakeups?.drop(wakeAt);
  }

  #partOf(operations: Operation[], instead?: Part): Part {
    const { clock, wakeups } = this.#owner.options;
    const now = clock.now();
    if (instead) this.#drop(instead);
    const changes = operations.flatMap(({ changeset }) => changeset.changes);
    const record: ChangeRecord = { at: now, changes: changes.map(toEntry) };
    const due = () => operations.reduce((due, { changeset }) => Math.min(due, changeset.due ?? Infinity), Infinity);
    const wakeAt = wakeups ? wakeups.plan(changes, due()) : null;
    return { changes, series: addSamples(this.#series, changes, now), record: encode(record), wakeAt };
  }

  #atomic(
    operations: Operation[],
    op: string,
    tally: Tally,
    { changes, series, record, wakeAt }: Part,
  ): Deno.AtomicOperation {
    const { kv, clock, distributed } = this.#owner.options;
    const atomic = kv.atomic().check({ key: this.#key, versionstamp: this.#versionstamp });
    // All deletes go first. One changeset may put a key that another, which shares no lock but checks what it has
    // read, deletes: then the put must win.
    for (const { changeset } of operations) {
      atomic.check(...changeset.checks);
      for (const key of changeset.deletes) atomic.delete(key);
    }
    for (const { changeset } of operations) {
      for (const { key, value, expireIn } of changeset.puts) {
        atomic.set(key, value, expireIn ? { expireIn } : undefined);
      }
    }
    atomic.set(this.#key, encode({ op, ...tally } satisfies LaneRecord));
    for (const { key, value } of seriesPuts(series, this.#owner.instance, this.#n)) atomic.set(key, value);
    if (changes.length > 0) {
      atomic.set([...keys.changes(), kv.commitVersionstamp()] as unknown as Deno.KvKey, record);
    }
    if (distributed) atomic.set(keys.wakeup(), encode(op));
    if (wakeAt !== null) {
      // Nothing is lost with it: a start looks at everything.
      const once = { keysIfUndelivered: [], backoffSchedule: [] };
      atomic.enqueue(WAKEUP, { delay: Math.max(0, Math.ceil(wakeAt - clock.now())), ...once });
    }
    return atomic;
  }

  #committed(
    operations: Operation[],
    versionstamp: string,
    tally: Tally,
    { changes, series }: Part,
  ): void {
    this.#versionstamp = versionstamp;
    this.#tally = tally;
    this.#series = series;
    this.#owner.stats.atomics++;
    this.#owner.lastCommitAt = this.#owner.options.clock.monotonic();
    for (const { size } of operations) this.#owner.stats.mutations += size.mutations;
    try {
      if (changes.length > 0) this.#owner.options.onCommitted(changes);
    } catch (error) {
      // It is committed, even if a listener fails.
      this.#owner.options.log.error("A listener of a commit failed.", { error });
    }
    for (const operation of operations) {
      // The response came after the instance was fenced: its tasks may already have been taken over.
      if (this.#owner.fenced && operation.asTaskOwner) operation.settle({ error: new FencedError() });
      else operation.settle({ versionstamp });
    }
  }

  /** Which of these operations have a check that fails now. */
  async #refused(operations: Operation[]): Promise<Set<Operation>> {
    const checks = operations.flatMap((operation) => operation.changeset.checks.map((check) => ({ operation, check })));
    const refused = new Set<Operation>();
    const entries = await this.#untilAnswered(
      () => getAll(this.#owner.options.kv, checks.map(({ check }) => check.key)),
    );
    entries.forEach((entry, i) => {
      const { operation, check } = checks[i];
      if (entry.versionstamp !== check.versionstamp) refused.add(operation);
    });
    return refused;
  }
}

function tallyOf({ counts, open }: LaneRecord): Tally {
  return { counts, open };
}

function toEntry({ id, before, after }: Change): ChangeRecord["changes"][number] {
  const state = (after ?? before)!;
  const version = versionOf(state) + (after ? 0 : 1);
  return [id, version, state.task.task_type, before && statusOf(before), after && statusOf(after)];
}
