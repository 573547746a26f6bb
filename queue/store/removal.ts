/**
 * Removal of tasks, uploads and files with everything that belongs to them. A task may have more entries than one
 * atomic takes: a `tombstone` stays until the last of them is gone.
 *
 * @module
 */

import type { Logger } from "../log.ts";
import { ClosedError } from "../task/errors.ts";
import { isTerminal, type TaskState } from "../task/record.ts";
import type { Blobs } from "./files/blobs.ts";
import { type Changeset, emptyChangeset, entriesOf } from "./changeset.ts";
import { decodeTask, type StoredTask } from "./task_codec.ts";
import { decode, encode } from "./codec.ts";
import type { Committer } from "./commit/committer.ts";
import { keys } from "./keys.ts";
import { getAll } from "./kv.ts";
import type { CheckpointRecord, StoredFile, Upload } from "./reads.ts";

/** Entries of a task that are deleted in one atomic. */
export const PIECES = 200;
/** Child and `retried_as` entries that are read at once for a batch of tasks. */
const MAX_NEIGHBOURS = 5_000;

type Entry = Deno.KvEntry<unknown>;

/** Removes tasks, uploads and files. */
export class Removal {
  constructor(
    private readonly kv: Deno.Kv,
    private readonly committer: Committer,
    private readonly blobs: Blobs,
    private readonly log: Logger,
  ) {}

  /** Removes ended tasks that are not needed and have not changed; returns how many. */
  async removeTasks(wanted: string[]): Promise<number> {
    if (wanted.length === 0) return 0;
    const ids = wanted.toSorted();
    const entries = await getAll(this.kv, ids.map((id) => keys.task(id)));
    const related = await this.#related(ids);
    const removed = await Promise.all(entries.map(async (entry): Promise<number> => {
      if (!entry.value) return 0;
      try {
        return await this.#remove(entry, decodeTask(entry.value), related) === "removed" ? 1 : 0;
      } catch (error) {
        if (!(error instanceof ClosedError)) {
          this.log.error("A task was not deleted; retrying.", { error, task_id: entry.key[1] });
        }
        return 0;
      }
    }));
    return removed.reduce((sum, one) => sum + one, 0);
  }

  /** Which of some tasks have children, and the keys of their `retried_as` entries. */
  async #related(ids: string[]): Promise<{ needed: Set<string>; retriedAs: Map<string, Deno.KvKey[]> }> {
    const needed = new Set<string>();
    const retriedAs = new Map<string, Deno.KvKey[]>();
    const among = new Set(ids);
    // Ids created one after another are adjacent: one range covers the entries of all of them.
    const range = (prefix: Deno.KvKey) => ({ start: [...prefix, ids[0]], end: [...prefix, `${ids[ids.length - 1]}0`] });
    const options = { limit: MAX_NEIGHBOURS, batchSize: 500 };
    let found = 0;
    for await (const { key } of this.kv.list(range(keys.children()), options)) {
      found++;
      needed.add(key[1] as string);
    }
    if (found === MAX_NEIGHBOURS) {
      for (const id of ids) if (await this.#hasAny(keys.childrenOf(id))) needed.add(id);
    }
    found = 0;
    const add = (key: Deno.KvKey) => {
      const id = key[1] as string;
      if (among.has(id)) retriedAs.set(id, [...retriedAs.get(id) ?? [], key]);
    };
    for await (const { key } of this.kv.list(range(keys.allRetriedAs()), options)) {
      found++;
      add(key);
    }
    if (found === MAX_NEIGHBOURS) {
      retriedAs.clear();
      for (const id of ids) for await (const { key } of this.kv.list({ prefix: keys.retriedAsOf(id) })) add(key);
    }
    return { needed, retriedAs };
  }

  /**
   * Deletes an ended task with everything that is kept for it.
   *
   * @returns Whether it was removed, is needed by dependents, or has changed since it was read.
   */
  async remove({ task, run }: TaskState): Promise<"removed" | "needed" | "moved"> {
    const { id, version } = task;
    const entry = await this.kv.get(keys.task(id));
    if (run || !entry.value || decodeTask(entry.value).version !== version) return "moved";
    const removed = await this.#remove(entry, decodeTask(entry.value), await this.#related([id]));
    if (removed === "removed" && (await this.kv.get(keys.tombstone(id))).value) await this.clear(id);
    return removed;
  }

  async #remove(
    cold: Deno.KvEntryMaybe<unknown>,
    stored: StoredTask,
    { needed, retriedAs }: { needed: Set<string>; retriedAs: Map<string, Deno.KvKey[]> },
  ): Promise<"removed" | "needed" | "moved"> {
    const { result_apart, ...task } = stored;
    const { id, task_type, status } = task;
    if (!isTerminal(status)) return "moved";
    if (needed.has(id)) return "needed";
    const changeset = emptyChangeset(id);
    changeset.checks.push({ key: cold.key, versionstamp: cold.versionstamp });
    const named = retriedAs.get(id) ?? [];
    const isBare = task.record_only && named.length <= PIECES;
    changeset.deletes.push(keys.task(id), keys.index(status, task_type, id), ...isBare ? named : []);
    if (result_apart) changeset.deletes.push(keys.result(id));
    changeset.deletes.push(...entriesOf({ task, run: null }));
    for (const upload of task.uploads) changeset.deletes.push(keys.uploadRef(upload, id));
    if (!isBare) {
      // It may have more entries than one atomic takes: the tombstone stays until all are gone.
      changeset.puts.push({ key: keys.tombstone(id), value: encode(0) });
      changeset.deletes.push(keys.checkpoint(id));
      const checkpoint = await this.kv.get(keys.checkpoint(id));
      const kept = checkpoint.value ? decode<CheckpointRecord>(checkpoint.value) : null;
      if (kept?.blob) this.blobs.scheduleDeletion(changeset, kept.blob.blob);
    }
    if (task.unique_key !== null) {
      const unique = await this.kv.get(keys.unique(task_type, task.unique_key));
      if (unique.value && decode<string>(unique.value) === id) {
        changeset.checks.push({ key: unique.key, versionstamp: unique.versionstamp });
        changeset.deletes.push(unique.key);
      }
    }
    changeset.changes.push({ id, before: { task, run: null }, after: null });
    return await this.committer.commitUnlessConflict(changeset) ? "removed" : "moved";
  }

  /** Deletes the entries left by a deleted task: there may be more than one atomic takes. */
  async clear(id: string): Promise<void> {
    await this.#removePieces(keys.logOf(id), () => null);
    await this.#removePieces(keys.stepsOf(id), () => null);
    await this.#removePieces(keys.retriedAsOf(id), () => null);
    // The chunks are deleted with the next batch of unfinished files.
    await this.#removePieces(keys.artifactsOf(id), (value) => decode<StoredFile>(value).blob);
    await this.committer.commit({ ...emptyChangeset(id), deletes: [keys.tombstone(id)] });
  }

  /** Deletes the entries of a prefix in batches that fit; `blobOf` names the file that an entry owns. */
  async #removePieces(prefix: Deno.KvKey, blobOf: (value: unknown) => string | null): Promise<void> {
    let changeset = emptyChangeset(prefix.join("/"));
    for await (const { key, value } of this.kv.list({ prefix }, { batchSize: 20 })) {
      changeset.deletes.push(key);
      const blob = blobOf(value);
      if (blob !== null) this.blobs.scheduleDeletion(changeset, blob);
      if (changeset.deletes.length < PIECES) continue;
      await this.committer.commit(changeset);
      changeset = emptyChangeset(prefix.join("/"));
    }
    if (changeset.deletes.length > 0) await this.committer.commit(changeset);
  }

  /** Deletes an upload with its chunks, unless a task needs it now or started to since it was read. */
  async removeUpload({ key, value, versionstamp }: Entry): Promise<boolean> {
    const { blob } = decode<Upload>(value);
    if (await this.#hasAny(keys.uploadRefsOf(key[1] as string))) return false;
    // A submit that names the upload rewrites it: then this check fails, and the upload stays.
    const changeset = emptyChangeset(`upload:${key[1] as string}`, "upload_fence");
    changeset.checks.push({ key, versionstamp });
    changeset.deletes.push(key);
    changeset.puts.push({ key: keys.uploadFence(), value: encode(0) });
    return await this.#removeBlob(changeset, blob);
  }

  /** Commits the removal of a file's owner and deletes its chunks; false if another change came first. */
  async #removeBlob(changeset: Changeset, blob: string): Promise<boolean> {
    this.blobs.scheduleDeletion(changeset, blob);
    if (!await this.committer.commitUnlessConflict(changeset)) return false;
    await this.blobs.delete(blob);
    return true;
  }

  async #hasAny(prefix: Deno.KvKey): Promise<boolean> {
    for await (const _ of this.kv.list({ prefix }, { limit: 1 })) return true;
    return false;
  }

  /** Bytes of uploads that no task and no schedule names. */
  async unusedUploadBytes(): Promise<number> {
    let bytes = 0;
    for await (const { key, value } of this.kv.list({ prefix: keys.uploads() }, { batchSize: 200 })) {
      if (!await this.#hasAny(keys.uploadRefsOf(key[1] as string))) bytes += decode<Upload>(value).size;
    }
    return bytes;
  }

  /** Deletes an unowned file with its chunks; false if its writer is still active. */
  async removeUnfinished({ key, versionstamp }: Entry): Promise<boolean> {
    const blob = key[1] as string;
    // Rewrite the marker first: a writer still at work then fails its check, and nobody attaches a partial file.
    const changeset = emptyChangeset(`blob:${blob}`);
    changeset.checks.push({ key, versionstamp });
    return await this.#removeBlob(changeset, blob);
  }
}
