/**
 * The janitor removes what is no longer needed: ended tasks after their retention, old entries of the change feed,
 * uploads that no task needs, and files that were never finished.
 *
 * @module
 */

import { UPLOAD_KEPT_HOURS } from "../task/limits.ts";
import type { Core } from "../core.ts";
import { repeat, type Repeating } from "../task/clock.ts";
import { decode, encode } from "../store/codec.ts";
import type { ChangeRecord } from "../store/commit/lane.ts";
import { getAll } from "../store/kv.ts";
import { readCounts } from "../store/counts.ts";
import { firstIdAt } from "../task/ids.ts";
import type { Upload } from "../store/reads.ts";
import { keys } from "../store/keys.ts";
import { PIECES } from "../store/removal.ts";
import type { RoleLease } from "./role_lease.ts";
import { foldSeries } from "../watch/series.ts";
import { emptyChangeset } from "../store/changeset.ts";

/** The change feed is kept this long … */
const CHANGES_KEPT_MS = 15 * 60_000;
/** … or for this many commits, whichever is less. */
const CHANGES_KEPT = 100_000;
/** An upload that no task refers to is kept this long. */
const UPLOAD_KEPT_MS = UPLOAD_KEPT_HOURS * 3_600_000;
/** A file whose writer has been silent this long will not be finished. */
const PENDING_MS = 15 * 60_000;

/** How one job of the janitor works. */
export interface JanitorJob {
  /** Pause after a run that has left nothing to do, in milliseconds. */
  intervalMs: number;
  /** Entries that are processed at once. */
  batch: number;
  /** Most entries of a run, not counting those that must stay; if there are more, the next run follows at once. */
  limit: number;
}

/** The jobs of the janitor. They run concurrently: none waits for another. */
export interface JanitorOptions {
  /** Removes ended tasks after their retention. Default: each minute, 200 at once, 100,000 a run. */
  tasks: JanitorJob;
  /** Removes what removed tasks left behind: logs, steps, files. Default: each minute, 50 at once, 10,000 a run. */
  pieces: JanitorJob;
  /** Trims the change feed. Default: each minute, 500 commits at once, 200,000 a run. */
  changes: JanitorJob;
  /** Removes uploads that no task needs. Default: each minute, 20 at once, 1,000 a run. */
  uploads: JanitorJob;
  /** Removes files that were never finished, or have lost their owner. Default: each minute, 20 at once, 1,000 a run. */
  files: JanitorJob;
  /** Sums up the time series by the hour. Default: every ten minutes, 200 entries at once, 5,000 a run. */
  series: JanitorJob;
}

const DEFAULTS: JanitorOptions = {
  tasks: { intervalMs: 60_000, batch: 200, limit: 100_000 },
  pieces: { intervalMs: 60_000, batch: 50, limit: 10_000 },
  changes: { intervalMs: 60_000, batch: 500, limit: 200_000 },
  uploads: { intervalMs: 60_000, batch: 20, limit: 1_000 },
  files: { intervalMs: 60_000, batch: 20, limit: 1_000 },
  series: { intervalMs: 600_000, batch: 200, limit: 5_000 },
};

type JobName = keyof JanitorOptions;
type Entry = Deno.KvEntry<unknown>;

/** Removes what is no longer needed. */
export class Janitor {
  readonly #options: JanitorOptions;
  /** What each job does; returns whether it has stopped at its limit. */
  readonly #work: Record<JobName, (job: JanitorJob, now: number) => Promise<boolean>> = {
    tasks: (job, now) => this.#removeTasks(job, now),
    pieces: (job) => this.#clearRemoved(job),
    changes: (job, now) => this.#trimChanges(job, now - CHANGES_KEPT_MS),
    uploads: (job, now) => this.#removeUploads(job, now),
    files: (job, now) => this.#removeUnfinished(job, now - PENDING_MS),
    series: (job, now) => this.#foldSeries(job, now),
  };
  readonly #jobs = new Map<JobName, Repeating>();
  #trimmedAt = 0;
  #stopped = false;

  constructor(private readonly core: Core, private readonly lease: RoleLease, options: Partial<JanitorOptions> = {}) {
    this.#options = { ...DEFAULTS, ...options };
  }

  /** Starts all jobs. */
  start(): void {
    for (const name of Object.keys(this.#work) as JobName[]) {
      const job = repeat(
        this.core.clock,
        this.#options[name].intervalMs,
        async () => {
          if (await this.lease.isMine() && await this.#run(name)) job.kick();
        },
        (error) => this.core.log.warn(`Cleaning failed (${name}); will retry.`, { error }),
      );
      this.#jobs.set(name, job);
    }
  }

  /** Stops and waits for the runs under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#jobs.values()].map((job) => job.stop()));
  }

  /** Does every job until there is nothing left to do. */
  async clean(): Promise<void> {
    for (const name of Object.keys(this.#work) as JobName[]) while (await this.#run(name));
  }

  async #run(name: JobName): Promise<boolean> {
    if (this.#stopped) return false;
    return await this.#work[name](this.#options[name], this.core.clock.now()) && !this.#stopped;
  }

  async #foldSeries({ batch, limit }: JanitorJob, now: number): Promise<boolean> {
    const { puts, deletes } = await foldSeries(this.core.kv, now, limit);
    // Hours are written first: minutes are deleted long after they were summed up.
    for (const changeset of [{ puts, deletes: [] }, { puts: [], deletes }]) {
      for (let i = 0; i < Math.max(changeset.puts.length, changeset.deletes.length); i += batch) {
        const part = { puts: changeset.puts.slice(i, i + batch), deletes: changeset.deletes.slice(i, i + batch) };
        await this.core.committer.commit({ ...emptyChangeset("series"), ...part });
      }
    }
    return deletes.length >= limit;
  }

  /** Removes ended tasks whose retention has passed: that of their status or their own. */
  async #removeTasks({ batch, limit }: JanitorJob, now: number): Promise<boolean> {
    const types = Object.keys(await readCounts(this.core.kv));
    let left = limit;
    const removeFrom = async (selector: Deno.KvListSelector, isDue: (entry: Entry) => boolean) => {
      const remove = (due: Entry[]) =>
        this.core.removal.removeTasks(due.map(({ key }) => key[key.length - 1] as string));
      left -= await this.#removeDue(selector, { batch, limit: left }, isDue, remove);
    };
    for (const status of ["SUCCESS", "FAILED", "CANCELLED"] as const) {
      const endedBefore = now - this.core.retention[status];
      for (const prefix of types.map((type) => keys.indexOf(status, type))) {
        if (left <= 0 || this.#stopped) return true;
        // A task that was created later has also ended later.
        const old = { prefix, end: [...prefix, firstIdAt(endedBefore)] };
        await removeFrom(old, ({ value }) => decode<number>(value) > 0 && decode<number>(value) < endedBefore);
      }
    }
    if (left > 0) await removeFrom({ prefix: keys.retentionDues(), end: [...keys.retentionDues(), now] }, () => true);
    return left <= 0;
  }

  /**
   * Removes the due entries of a list in batches, until `limit` of them are gone. `remove` returns how many it removed.
   * Those that must stay do not count: they would block all others forever.
   */
  async #removeDue(
    selector: Deno.KvListSelector,
    { batch, limit }: Pick<JanitorJob, "batch" | "limit">,
    isDue: (entry: Entry) => boolean,
    remove: (due: Entry[]) => Promise<number>,
  ): Promise<number> {
    let removed = 0;
    let due: Entry[] = [];
    for await (const entry of this.core.kv.list(selector, { batchSize: 500 })) {
      if (this.#stopped) return removed;
      if (!isDue(entry)) continue;
      due.push(entry);
      if (due.length < Math.min(batch, limit - removed)) continue;
      removed += await remove(due);
      due = [];
      if (removed >= limit) return removed;
    }
    return this.#stopped ? removed : removed + await remove(due);
  }

  /** Deletes what removed tasks left behind. */
  async #clearRemoved(job: JanitorJob): Promise<boolean> {
    const clear = each(async ({ key }) => {
      await this.core.removal.clear(key[1] as string);
      return true;
    });
    const cleared = await this.#removeDue({ prefix: keys.tombstones() }, job, () => true, clear);
    if (this.#stopped) return false;
    await this.#removeOrphans(job.limit);
    return cleared >= job.limit;
  }

  /** Deletes references to removed tasks: a submit may have added one after the removal. */
  async #removeOrphans(limit: number): Promise<void> {
    const entries: Deno.KvKey[] = [];
    for await (const { key } of this.core.kv.list({ prefix: keys.allRetriedAs() }, { limit, batchSize: 500 })) {
      entries.push(key);
    }
    const olds = [...new Set(entries.map((key) => key[1] as string))];
    const tasks = await getAll(this.core.kv, olds.map((old) => keys.task(old)));
    const gone = new Set(olds.filter((_, i) => !tasks[i].value));
    const orphans = entries.filter((key) => gone.has(key[1] as string));
    for (let i = 0; i < orphans.length; i += PIECES) {
      await this.core.committer.commit({ ...emptyChangeset("retried_as"), deletes: orphans.slice(i, i + PIECES) });
    }
  }

  async #trimChanges({ batch, limit }: JanitorJob, before: number): Promise<boolean> {
    let trimmed = 0;
    let old: Deno.KvKey[] = [];
    const forget = async () => {
      if (old.length > 0) await this.#forget(old);
      trimmed += old.length;
      old = [];
    };
    // The newest commit stays, however old: whatever was read since then refers to it.
    let last: Deno.KvKey | null = null;
    for await (const entry of this.core.kv.list({ prefix: keys.changes() }, { limit, batchSize: 500 })) {
      if (last) old.push(last);
      if (old.length >= batch) await forget();
      if (this.#stopped || decode<ChangeRecord>(entry.value).at >= before) break;
      last = entry.key;
    }
    await forget();
    if (trimmed >= limit - 1) return true;
    // Commits of other instances are not reported here: with other instances, they are counted each time.
    const own = this.core.committer.stats.atomics - this.#trimmedAt;
    if (!this.core.distributed && own < CHANGES_KEPT) return false;
    this.#trimmedAt = this.core.committer.stats.atomics;
    let kept = 0;
    for await (const { key } of this.core.kv.list({ prefix: keys.changes() }, { reverse: true, batchSize: 500 })) {
      if (++kept > CHANGES_KEPT) old.push(key);
    }
    const all = old.toReversed();
    for (let i = 0; i < all.length; i += batch) await this.#forget(all.slice(i, i + batch));
    return false;
  }

  async #forget(changes: Deno.KvKey[]): Promise<void> {
    const changeset = emptyChangeset("change_floor");
    const newest = changes[changes.length - 1][1] as string;
    const floor = await this.core.kv.get(keys.changeFloor());
    // Another instance may have trimmed further: the floor only rises.
    if (!floor.value || decode<string>(floor.value) < newest) {
      changeset.checks.push({ key: floor.key, versionstamp: floor.versionstamp });
      changeset.puts.push({ key: keys.changeFloor(), value: encode(newest) });
    }
    changeset.deletes.push(...changes);
    await this.core.committer.commitUnlessConflict(changeset);
  }

  async #removeUploads(job: JanitorJob, now: number): Promise<boolean> {
    const isDue = ({ value }: Entry) => decode<Upload>(value).used_at + UPLOAD_KEPT_MS <= now;
    const remove = each((entry) => this.core.removal.removeUpload(entry));
    return await this.#removeDue({ prefix: keys.uploads() }, job, isDue, remove) >= job.limit;
  }

  async #removeUnfinished(job: JanitorJob, silentSince: number): Promise<boolean> {
    const isSilent = ({ value }: Entry) => decode<{ at: number }>(value).at < silentSince;
    const remove = each((entry) => this.core.removal.removeUnfinished(entry));
    return await this.#removeDue({ prefix: keys.allBlobPending() }, job, isSilent, remove) >= job.limit;
  }
}

/** Removes entries concurrently, and counts those that were removed. */
function each(remove: (entry: Entry) => Promise<boolean>): (entries: Entry[]) => Promise<number> {
  return async (entries) => (await Promise.all(entries.map(remove))).filter(Boolean).length;
}
