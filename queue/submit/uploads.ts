/**
 * Uploaded files: stored before the tasks that name them, and kept as long as one of these exists.
 *
 * @module
 */

import { UPLOAD_KEPT_HOURS } from "../task/limits.ts";
import type { Core } from "../core.ts";
import { pointerTo } from "../params.ts";
import { type Changeset, emptyChangeset } from "../store/changeset.ts";
import { decode, encode } from "../store/codec.ts";
import { keys } from "../store/keys.ts";
import { getAll } from "../store/kv.ts";
import type { ArtifactFile } from "../store/files/artifacts.ts";
import type { Upload } from "../store/reads.ts";
import { ConflictError, InvalidInputError, NotFoundError } from "../task/errors.ts";
import { newId } from "../task/ids.ts";
import type { Json } from "../task/record.ts";
import type { FileInfo } from "../task/summary.ts";
import { claimIdempotencyKey, fingerprint, type IdempotencyKey } from "./deduplication.ts";

/** Stores uploads and ties them to tasks. */
export class Uploads {
  /** @ignore */
  constructor(private readonly core: Core) {}

  /**
   * Stores an uploaded file.
   *
   * @param mediaType As it is stored; nothing is derived from it.
   * @param maxBytes Refuse more than this.
   * @returns Its id, and whether it is new (false: the idempotency key stored it before).
   * @throws {TooLargeError} As soon as it is larger than `maxBytes`; nothing is kept.
   * @throws {IdempotencyMismatchError} If the key was used for another file.
   */
  async store(
    name: string,
    mediaType: string,
    stream: ReadableStream<Uint8Array>,
    maxBytes: number,
    idempotency?: IdempotencyKey,
  ): Promise<{ id: string; file: Upload; created: boolean }> {
    const { kv, clock, blobs, committer } = this.core;
    const written = await blobs.write(stream, maxBytes);
    const now = clock.now();
    const id = newId(now);
    const { pendingVersion: _, ...stored } = written;
    const file: Upload = { ...stored, name, media_type: mediaType, created_at: now, used_at: now };
    for (let tries = 1;; tries++) {
      const changeset = emptyChangeset(`upload:${id}`);
      changeset.puts.push({ key: keys.upload(id), value: encode(file) });
      if (idempotency) {
        const body = fingerprint([name, file.sha256]);
        let earlier: string[] | null;
        try {
          earlier = await claimIdempotencyKey(kv, clock, changeset, idempotency, body, [id], keys.upload);
        } catch (error) {
          await blobs.delete(written.blob);
          throw error;
        }
        if (earlier) {
          await blobs.delete(written.blob);
          const entry = await kv.get(keys.upload(earlier[0]));
          if (entry.value) return { id: earlier[0], file: decode<Upload>(entry.value), created: false };
          throw new NotFoundError(`Upload ${earlier[0]}`);
        }
      }
      blobs.attach(changeset, written);
      // On a conflict over the key, retry; a file that the janitor has deleted is lost for good.
      if (await committer.commitUnlessConflict(changeset)) return { id, file, created: true };
      if (!idempotency || tries > 3) throw new ConflictError();
    }
  }

  /** Removes an upload, unless a task names it. */
  async discard(id: string): Promise<void> {
    const entry = await this.core.kv.get(keys.upload(id));
    if (entry.versionstamp !== null) await this.core.removal.removeUpload(entry);
  }

  /** Bytes of uploads that no task and no schedule names. */
  unusedBytes(): Promise<number> {
    return this.core.removal.unusedUploadBytes();
  }

  /** The names of uploads, in their order; those that are gone are left out. */
  async names(ids: string[]): Promise<string[]> {
    const entries = await getAll(this.core.kv, ids.map((id) => keys.upload(id)));
    return entries.flatMap(({ value }) => value ? [decode<Upload>(value).name] : []);
  }

  /** What is known of uploads; those that do not exist are left out. */
  async infos(ids: readonly string[]): Promise<FileInfo[]> {
    const entries = await getAll(this.core.kv, ids.map((id) => keys.upload(id)));
    return entries.flatMap(({ value }, i) => {
      if (!value) return [];
      const { name, size, media_type } = decode<Upload>(value);
      return [{ id: ids[i], name, size, media_type }];
    });
  }

  /**
   * Opens an upload; `read` returns bytes `from` (default 0) to `until` (exclusive; default its end).
   *
   * @throws {NotFoundError} If there is none.
   */
  async open(id: string): Promise<ArtifactFile> {
    const entry = await this.core.kv.get(keys.upload(id));
    if (!entry.value) throw new NotFoundError(`Upload ${id.slice(0, 64)}`);
    const { blob, chunks, used_at: _, ...file } = decode<Upload>(entry.value);
    return { ...file, read: (from, until) => this.core.blobs.read(blob, chunks, from, until) };
  }

  /**
   * Adds references to a changeset that keep uploads as long as their owner exists. Any number takes one check: a
   * delete of an upload rewrites the fence, and checks that the upload is unchanged.
   *
   * @throws {InvalidInputError} If one of them does not exist.
   *
   * @ignore
   */
  async refer(
    changeset: Changeset,
    owners: { id: string; uploads: string[]; input_params: Json }[],
    rootOf: (i: number) => string,
  ): Promise<void> {
    if (owners.every(({ uploads }) => uploads.length === 0)) return;
    const fence = await this.core.kv.get(keys.uploadFence());
    changeset.checks.push({ key: fence.key, versionstamp: fence.versionstamp });
    const wanted = [...new Set(owners.flatMap(({ uploads }) => uploads))];
    const entries = await getAll(this.core.kv, wanted.map((upload) => keys.upload(upload)));
    const stored = new Map(wanted.map((upload, i) => [upload, entries[i]]));
    const seen = new Set<string>();
    for (const [i, { id, uploads, input_params }] of owners.entries()) {
      for (const upload of uploads) {
        changeset.puts.push({ key: keys.uploadRef(upload, id), value: encode(0) });
        if (seen.has(upload)) continue;
        seen.add(upload);
        const entry = stored.get(upload)!;
        const refuse = (detail: string) => {
          const pointer = `${rootOf(i)}/input_params${pointerTo(input_params, upload)}`;
          throw new InvalidInputError([{ pointer, detail }]);
        };
        if (!entry.value) {
          refuse(`Upload ${upload} does not exist. Uploads without a task are kept for ${UPLOAD_KEPT_HOURS} hours.`);
        }
        const used: Upload = { ...decode<Upload>(entry.value), used_at: this.core.clock.now() };
        changeset.locks.push(`upload:${upload}`);
        changeset.puts.push({ key: keys.upload(upload), value: encode(used) });
      }
    }
  }
}
