/**
 * The scheduler processes what becomes due at a time: delayed tasks and waits between attempts become ready, tasks that
 * were not started in time expire, cron schedules tick. Several instances may do it at once: each checks the entries
 * that it moves.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { repeat, type Repeating } from "../task/clock.ts";
import { keys } from "../store/keys.ts";
import { addUnchangedChecks, readTasks } from "../store/reads.ts";
import type { Schedules } from "../actions/schedules.ts";
import type { TaskState } from "../task/record.ts";
import { becomeDue, expire, mayExpire } from "../task/transitions.ts";
import { emptyChangeset, transition } from "../store/changeset.ts";

const BATCH = 200;
const LONGEST_WAIT_MS = 60_000;

type Entry = Deno.KvEntry<unknown>;

/** Processes what becomes due. */
export class Scheduler {
  #job: Repeating | null = null;
  #unlisten: () => void = () => {};
  #cancelTimer: () => void = () => {};
  #next = Infinity;
  #stopped = false;

  constructor(private readonly core: Core, private readonly schedules: Schedules) {}

  /** Starts. */
  start(): void {
    this.#unlisten = this.core.notifier.on("due", (at) => this.#arm(at));
    this.#job = repeat(
      this.core.clock,
      LONGEST_WAIT_MS,
      () => this.#run(),
      (error) => this.core.log.warn("Due entries could not be processed; will retry.", { error }),
    );
  }

  /** Stops and waits for a run under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unlisten();
    await this.#job?.stop();
    // A run under way may have armed it.
    this.#cancelTimer();
  }

  #arm(at: number): void {
    const { alarm, clock, committer, log } = this.core;
    if (at <= clock.now()) return this.#job?.kick();
    if (alarm) {
      // What was committed has its message; what was found in the store may have lost it.
      if (alarm.covers(at)) return;
      committer.commit({ ...emptyChangeset("wakeup"), due: at }).catch((error) => {
        if (!this.#stopped) log.warn("No wake-up could be enqueued; the poll will do.", { error });
      });
      return;
    }
    if (at >= this.#next) return;
    this.#next = at;
    this.#cancelTimer();
    this.#cancelTimer = clock.after(at - clock.now(), () => {
      this.#next = Infinity;
      this.#job?.kick();
    });
  }

  async #run(): Promise<void> {
    const now = this.core.clock.now();
    await this.#each(keys.allScheduled(), now, (entries) => this.#place(entries, now));
    await this.#each(keys.expiries(), now, (entries) => this.#expire(entries, now));
    await this.#each(keys.ticks(), now, async (entries) => {
      await Promise.all(entries.map((entry) => this.schedules.tick(entry)));
    });
  }

  /** Passes the due entries of `[prefix, time, id]` to `work`, and arms the timer for the next one. */
  async #each(prefix: Deno.KvKey, now: number, work: (entries: Entry[]) => Promise<void>): Promise<void> {
    while (!this.#stopped) {
      const due: Entry[] = [];
      let later: number | null = null;
      for await (const entry of this.core.kv.list({ prefix }, { limit: BATCH, batchSize: BATCH })) {
        if ((entry.key[1] as number) <= now) due.push(entry);
        else {
          later = entry.key[1] as number;
          break;
        }
      }
      if (due.length > 0) await work(due);
      if (later !== null) this.#arm(later);
      if (due.length < BATCH) return;
    }
  }

  async #place(entries: Entry[], now: number): Promise<void> {
    await this.#withTasks(entries, async (entry, state) => {
      const placement = state?.task.placement;
      if (!state || state.run || placement?.kind !== "scheduled" || placement.due !== entry.key[1]) {
        return await this.core.committer.deleteIfUnchanged(entry);
      }
      const changeset = transition(state, becomeDue(state, now));
      changeset.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
      await this.core.committer.commitUnlessConflict(changeset);
    });
  }

  async #expire(entries: Entry[], now: number): Promise<void> {
    await this.#withTasks(entries, async (entry, state) => {
      if (!state || !mayExpire(state) || state.task.expires_at !== entry.key[1]) {
        return await this.core.committer.deleteIfUnchanged(entry);
      }
      const changeset = await addUnchangedChecks(this.core.kv, state, transition(state, expire(state, now)));
      if (changeset) await this.core.committer.commitUnlessConflict(changeset);
    });
  }

  async #withTasks(entries: Entry[], work: (entry: Entry, state: TaskState | null) => Promise<void>): Promise<void> {
    const states = await readTasks(this.core.kv, entries.map((entry) => entry.key[2] as string));
    await Promise.all(entries.map((entry, i) => work(entry, states[i])));
  }
}
