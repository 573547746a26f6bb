/**
 * The scheduler makes tasks ready when they become due: delayed submits and waits between attempts. Several
 * instances may do it at once; each move checks the entry that it takes.
 *
 * @module
 */

import { type Clock, repeat, type Repeating } from "./clock.ts";
import type { Committer } from "./commit.ts";
import { keys } from "./keys.ts";
import type { Logger } from "./log.ts";
import type { Notifier } from "./notifier.ts";
import { readTasks } from "./reads.ts";
import { place } from "./task.ts";
import { transition } from "./write.ts";

const BATCH = 200;
const LONGEST_WAIT_MS = 60_000;

/** Moves tasks from `scheduled` to `ready`. */
export class Scheduler {
  #job: Repeating | null = null;
  #unlisten: () => void = () => {};
  #cancelTimer: () => void = () => {};
  #next = Infinity;
  #stopped = false;

  constructor(
    private readonly kv: Deno.Kv,
    private readonly committer: Committer,
    private readonly notifier: Notifier,
    private readonly clock: Clock,
    private readonly log: Logger,
  ) {}

  /** Starts. */
  start(): void {
    this.#unlisten = this.notifier.on("scheduled", (due) => this.#arm(due));
    this.#job = repeat(
      this.clock,
      LONGEST_WAIT_MS,
      () => this.#run(),
      (error) => this.log.warn("Scheduled tasks could not be moved; tried again.", { error }),
    );
  }

  /** Stops and waits for a run under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unlisten();
    this.#cancelTimer();
    await this.#job?.stop();
  }

  #arm(due: number): void {
    if (due >= this.#next) return;
    this.#next = due;
    this.#cancelTimer();
    this.#cancelTimer = this.clock.after(Math.max(0, due - this.clock.now()), () => {
      this.#next = Infinity;
      this.#job?.kick();
    });
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const now = this.clock.now();
      const due: Deno.KvEntry<unknown>[] = [];
      let later: number | null = null;
      for await (const entry of this.kv.list({ prefix: keys.allScheduled() }, { limit: BATCH, batchSize: BATCH })) {
        if ((entry.key[1] as number) <= now) due.push(entry);
        else {
          later = entry.key[1] as number;
          break;
        }
      }
      const states = await readTasks(this.kv, due.map((entry) => entry.key[2] as string));
      await Promise.all(due.map(async (entry, i) => {
        const state = states[i];
        const placement = state?.task.placement;
        if (!state || state.run || placement?.kind !== "scheduled" || placement.due !== entry.key[1]) {
          return await this.committer.discard(entry);
        }
        const write = transition(state, place(state, now));
        write.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
        await this.committer.commitUnlessConflict(write);
      }));
      if (later !== null) this.#arm(later);
      if (due.length < BATCH) return;
    }
  }
}
