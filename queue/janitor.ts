/**
 * The janitor removes what is no longer needed: ended tasks after their retention, old entries of the change feed,
 * uploads that no task needs, and files that were never finished.
 *
 * @module
 */

import { type Blobs } from "./blobs.ts";
import { type Clock, repeat, type Repeating } from "./clock.ts";
import { decode, encode } from "./codec.ts";
import type { ChangeRecord, Committer } from "./commit.ts";
import { readCounts } from "./counts.ts";
import { firstIdAt } from "./ids.ts";
import type { CheckpointRecord } from "./checkpoint.ts";
import { keys } from "./keys.ts";
import type { Logger } from "./log.ts";
import { readTasks, type StoredFile } from "./reads.ts";
import { foldSeries } from "./series.ts";
import type { Upload } from "./submit.ts";
import { isTerminal, type Retention, type TaskState } from "./task.ts";
import { decodeTask, emptyWrite, entriesOf } from "./write.ts";

const EVERY_MS = 60_000;
/** The change feed is kept this long … */
const CHANGES_KEPT_MS = 15 * 60_000;
/** … or for this many commits, whichever is less. */
const CHANGES_KEPT = 100_000;
/** An upload that no task names is kept this long. */
export const UPLOAD_KEPT_MS = 24 * 3_600_000;
/** A file whose writer has been silent this long will not be finished. */
const PENDING_MS = 15 * 60_000;
const BATCH = 200;

/** Removes what is no longer needed. */
export class Janitor {
  #job: Repeating | null = null;
  #trimmedAt = 0;
  #stopped = false;

  constructor(
    private readonly kv: Deno.Kv,
    private readonly committer: Committer,
    private readonly blobs: Blobs,
    private readonly clock: Clock,
    private readonly retention: Retention,
    private readonly log: Logger,
  ) {}

  /** Cleans once a minute. */
  start(): void {
    this.#job = repeat(
      this.clock,
      EVERY_MS,
      () => this.clean(),
      (error) => this.log.warn("Cleaning failed; tried again in a minute.", { error }),
    );
  }

  /** Stops and waits for a run under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#job?.stop();
  }

  /** Cleans once. */
  async clean(): Promise<void> {
    const now = this.clock.now();
    await this.#removeTasks(now);
    await this.#dropTasks(now);
    await this.#clearRemoved();
    await this.#trimChanges(now - CHANGES_KEPT_MS);
    await this.#removeUploads(now);
    await this.#removeUnfinished(now - PENDING_MS);
    await this.#foldSeries(now);
  }

  async #foldSeries(now: number): Promise<void> {
    const { puts, deletes } = await foldSeries(this.kv, now);
    // The hours go first: minutes are deleted long after they were summed up.
    for (const write of [{ puts, deletes: [] }, { puts: [], deletes }]) {
      for (let i = 0; i < Math.max(write.puts.length, write.deletes.length); i += BATCH) {
        const part = { puts: write.puts.slice(i, i + BATCH), deletes: write.deletes.slice(i, i + BATCH) };
        await this.committer.commit({ ...emptyWrite("series"), ...part });
      }
    }
  }

  /** Removes ended tasks whose time, by their status, is over. */
  async #removeTasks(now: number): Promise<void> {
    const types = Object.keys(await readCounts(this.kv));
    for (const status of ["SUCCESS", "FAILED", "CANCELLED"] as const) {
      const endedBefore = now - this.retention[status];
      for (const prefix of types.map((type) => keys.indexOf(status, type))) {
        const ids: string[] = [];
        // A task that was made later has also ended later.
        const old = { prefix, end: [...prefix, firstIdAt(endedBefore)] };
        for await (const entry of this.kv.list(old, { batchSize: 500 })) {
          const ended = decode<number>(entry.value);
          if (ended > 0 && ended < endedBefore) ids.push(entry.key[3] as string);
        }
        await this.#removeAll(ids);
      }
    }
  }

  /** Removes ended tasks with a retention of their own. */
  async #dropTasks(now: number): Promise<void> {
    const due: Deno.KvEntry<unknown>[] = [];
    for await (const entry of this.kv.list({ prefix: keys.drops(), end: [...keys.drops(), now] }, { batchSize: 500 })) {
      due.push(entry);
    }
    await this.#removeAll(due.map(({ key }) => key[2] as string));
  }

  async #removeAll(ids: string[]): Promise<void> {
    for (let i = 0; i < ids.length; i += BATCH) {
      const states = await readTasks(this.kv, ids.slice(i, i + BATCH));
      for (const state of states) {
        if (this.#stopped) return;
        if (!state) continue;
        await this.remove(state).catch((error) =>
          this.log.error("A task was not deleted; tried again.", { error, id: state.task.id })
        );
      }
    }
  }

  /**
   * Deletes an ended task with everything that is kept for it.
   *
   * @returns Whether it is gone, is needed by tasks that depend on it, or has moved on since it was read.
   */
  async remove({ task, run }: TaskState): Promise<"removed" | "needed" | "moved"> {
    const { id, task_type, status, version } = task;
    const [cold, checkpoint] = await this.kv.getMany<[unknown, unknown]>([keys.task(id), keys.checkpoint(id)]);
    if (run || !isTerminal(status) || !cold.value || decodeTask(cold.value).version !== version) return "moved";
    if (await this.#hasAny(keys.childrenOf(id))) return "needed";
    const unique = task.unique_key === null ? null : await this.kv.get(keys.unique(task_type, task.unique_key));
    const write = emptyWrite(id);
    write.checks.push({ key: cold.key, versionstamp: cold.versionstamp });
    write.puts.push({ key: keys.removed(id), value: encode(0) });
    write.deletes.push(keys.task(id), keys.result(id), keys.checkpoint(id), keys.index(status, task_type, id));
    write.deletes.push(...entriesOf({ task, run }));
    for (const upload of task.uploads) write.deletes.push(keys.uploadRef(upload, id));
    if (unique?.value && decode<string>(unique.value) === id) {
      write.checks.push({ key: unique.key, versionstamp: unique.versionstamp });
      write.deletes.push(unique.key);
    }
    const kept = checkpoint.value ? decode<CheckpointRecord>(checkpoint.value) : null;
    if (kept?.blob) this.blobs.disown(write, kept.blob.blob);
    write.counts.push({ task_type, status, delta: -1 });
    write.changes.push({ id, before: { task, run }, after: null });
    if (!await this.committer.commitUnlessConflict(write)) return "moved";
    await this.#clear(id);
    return "removed";
  }

  /** Deletes what was kept for a task that is gone: there may be more of it than one atomic takes. */
  async #clear(id: string): Promise<void> {
    await this.#removePieces(keys.logOf(id), () => null);
    await this.#removePieces(keys.stepsOf(id), () => null);
    await this.#removePieces(keys.allRetriedAs(id), () => null);
    // The chunks go with the next round of unfinished files.
    await this.#removePieces(keys.artifactsOf(id), (value) => decode<StoredFile>(value).blob);
    await this.committer.commit({ ...emptyWrite(id), deletes: [keys.removed(id)] });
  }

  /** Goes on where a removal was cut short. */
  async #clearRemoved(): Promise<void> {
    for await (const { key } of this.kv.list({ prefix: keys.allRemoved() }, { batchSize: 100 })) {
      if (this.#stopped) return;
      await this.#clear(key[1] as string);
    }
  }

  /** Deletes the entries of a prefix in pieces that fit; `blobOf` names the file that an entry owns. */
  async #removePieces(prefix: Deno.KvKey, blobOf: (value: unknown) => string | null): Promise<void> {
    let write = emptyWrite(prefix.join("/"));
    for await (const { key, value } of this.kv.list({ prefix }, { batchSize: 20 })) {
      write.deletes.push(key);
      const blob = blobOf(value);
      if (blob !== null) this.blobs.disown(write, blob);
      if (write.deletes.length < BATCH) continue;
      await this.committer.commit(write);
      write = emptyWrite(prefix.join("/"));
    }
    if (write.deletes.length > 0) await this.committer.commit(write);
  }

  async #trimChanges(before: number): Promise<void> {
    let old: Deno.KvKey[] = [];
    for await (const entry of this.kv.list({ prefix: keys.changes() }, { batchSize: 500 })) {
      if (decode<ChangeRecord>(entry.value).at >= before) break;
      if (this.#stopped) return;
      old.push(entry.key);
      if (old.length === 500) {
        await this.#forget(old);
        old = [];
      }
    }
    if (old.length > 0) await this.#forget(old);
    if (this.committer.stats.atomics - this.#trimmedAt < CHANGES_KEPT) return;
    this.#trimmedAt = this.committer.stats.atomics;
    let kept = 0;
    old = [];
    for await (const { key } of this.kv.list({ prefix: keys.changes() }, { reverse: true, batchSize: 500 })) {
      if (++kept > CHANGES_KEPT) old.push(key);
    }
    old.reverse();
    for (let i = 0; i < old.length; i += 500) await this.#forget(old.slice(i, i + 500));
  }

  async #forget(changes: Deno.KvKey[]): Promise<void> {
    const write = emptyWrite("change_floor");
    const newest = changes[changes.length - 1][1] as string;
    const floor = await this.kv.get(keys.changeFloor());
    // Another instance may have trimmed further: the floor only rises.
    if (!floor.value || decode<string>(floor.value) < newest) {
      write.checks.push({ key: floor.key, versionstamp: floor.versionstamp });
      write.puts.push({ key: keys.changeFloor(), value: encode(newest) });
    }
    write.deletes.push(...changes);
    await this.committer.commitUnlessConflict(write);
  }

  /** Bytes of uploads that no task and no schedule names. */
  async unusedUploadBytes(): Promise<number> {
    let bytes = 0;
    for await (const { key, value } of this.kv.list({ prefix: keys.uploads() }, { batchSize: 200 })) {
      if (!await this.#hasAny(keys.uploadRefsOf(key[1] as string))) bytes += decode<Upload>(value).size;
    }
    return bytes;
  }

  async #removeUploads(now: number): Promise<void> {
    for await (const entry of this.kv.list({ prefix: keys.uploads() }, { batchSize: 100 })) {
      const id = entry.key[1] as string;
      if (this.#stopped) return;
      if (decode<Upload>(entry.value).used_at + UPLOAD_KEPT_MS > now) continue;
      if (!await this.#hasAny(keys.uploadRefsOf(id))) await this.removeUpload(entry);
    }
  }

  /** Deletes an upload with its chunks, unless a task has come to need it since it was read. */
  async removeUpload({ key, value, versionstamp }: Deno.KvEntry<unknown>): Promise<void> {
    const { blob } = decode<Upload>(value);
    // A submit that names the upload rewrites it: then this check fails, and the upload stays.
    const write = emptyWrite(`upload:${key[1] as string}`, "upload_fence");
    write.checks.push({ key, versionstamp });
    write.deletes.push(key);
    write.puts.push({ key: keys.uploadFence(), value: encode(0) });
    this.blobs.disown(write, blob);
    if (await this.committer.commitUnlessConflict(write)) await this.blobs.delete(blob);
  }

  async #hasAny(prefix: Deno.KvKey): Promise<boolean> {
    for await (const _ of this.kv.list({ prefix }, { limit: 1 })) return true;
    return false;
  }

  async #removeUnfinished(silentSince: number): Promise<void> {
    for await (const entry of this.kv.list({ prefix: keys.allBlobPending() }, { batchSize: 100 })) {
      if (this.#stopped) return;
      if (decode<{ at: number }>(entry.value).at >= silentSince) continue;
      // Marked anew first: whoever still writes the file finds that it is lost, and nobody adopts half of it.
      const write = emptyWrite(`blob:${entry.key[1] as string}`);
      write.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
      this.blobs.disown(write, entry.key[1] as string);
      if (await this.committer.commitUnlessConflict(write)) await this.blobs.delete(entry.key[1] as string);
    }
  }
}
