/**
 * Files of any size in a store with 64 KiB per value. A file is written in chunks behind a marker; the marker
 * goes away in the same atomic that gives the file an owner, so that the janitor finds whatever was left half-written.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { Clock } from "../../task/clock.ts";
import { encode } from "../codec.ts";
import type { Committer } from "../commit/committer.ts";
import { TooLargeError } from "../../task/errors.ts";
import { keys } from "../keys.ts";
import { newId } from "../../task/ids.ts";
import { type Changeset, emptyChangeset } from "../changeset.ts";

/** Bytes in a chunk. */
const CHUNK_BYTES = 60 * 1024;

/** Chunks in one atomic: 480 KiB, well inside its limit. */
const CHUNKS_PER_WRITE = 8;

/** Chunks that are read at once: 240 KiB, which is what a slow reader holds in memory. */
const CHUNKS_PER_READ = 4;

/** Keys deleted in one atomic. */
const DELETES_PER_WRITE = 500;

/** A file that is written but has no owner yet. */
export interface WrittenBlob {
  blob: string;
  size: number;
  chunks: number;
  /** Hexadecimal. */
  sha256: string;
  /** Versionstamp of the marker as it was last written. */
  pendingVersion: string;
}

/** Cuts a byte stream into pieces of exactly `size` bytes; the last may be shorter. */
async function* rechunk(stream: ReadableStream<Uint8Array>, size: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let piece = new Uint8Array(size);
  let filled = 0;
  for await (const bytes of stream) {
    for (let at = 0; at < bytes.length;) {
      const taken = Math.min(size - filled, bytes.length - at);
      piece.set(bytes.subarray(at, at + taken), filled);
      at += taken;
      filled += taken;
      if (filled === size) {
        yield piece;
        piece = new Uint8Array(size);
        filled = 0;
      }
    }
  }
  if (filled > 0) yield piece.slice(0, filled);
}

/** Writes, reads and deletes files. */
export class Blobs {
  readonly #kv: Deno.Kv;
  readonly #committer: Committer;
  readonly #clock: Clock;

  constructor(kv: Deno.Kv, committer: Committer, clock: Clock) {
    this.#kv = kv;
    this.#committer = committer;
    this.#clock = clock;
  }

  /**
   * Stores a stream. If it fails midway, what was stored is deleted again.
   *
   * @param maxBytes Refuse more than this.
   * @param options.asTaskOwner Whether the instance that runs a task writes. Default false.
   * @throws {TooLargeError} As soon as the stream is longer than `maxBytes`.
   */
  async write(
    stream: ReadableStream<Uint8Array>,
    maxBytes: number,
    options: { asTaskOwner?: boolean } = {},
  ): Promise<WrittenBlob> {
    const blob = newId(this.#clock.now());
    const hash = createHash("sha256");
    let size = 0;
    let chunks = 0;
    let changeset = this.#startWrite(blob);
    let inFlight: Promise<string> = Promise.resolve("");
    try {
      for await (const chunk of rechunk(stream, CHUNK_BYTES)) {
        size += chunk.length;
        if (size > maxBytes) throw new TooLargeError("The file", maxBytes);
        hash.update(chunk);
        changeset.puts.push({ key: keys.blob(blob, chunks++), value: chunk });
        if (chunks % CHUNKS_PER_WRITE === 0) {
          // One write is in flight while the next is filled: this bounds memory and keeps the disk busy.
          await inFlight;
          inFlight = this.#committer.commit(changeset, options);
          inFlight.catch(() => {});
          changeset = this.#startWrite(blob);
        }
      }
      let pendingVersion = await inFlight;
      if (changeset.puts.length > 1 || chunks === 0) pendingVersion = await this.#committer.commit(changeset, options);
      return { blob, size, chunks, sha256: hash.digest("hex"), pendingVersion };
    } catch (error) {
      await inFlight.catch(() => {});
      // The janitor deletes what remains: it is marked as unfinished.
      await this.delete(blob).catch(() => {});
      throw error;
    }
  }

  #startWrite(blob: string): Changeset {
    const changeset = emptyChangeset(`blob:${blob}`);
    changeset.puts.push({ key: keys.blobPending(blob), value: encode({ at: this.#clock.now() }) });
    return changeset;
  }

  /**
   * Adds to `changeset` what gives a written file its owner. Its check fails if the janitor has given the file up as
   * abandoned because no data had arrived for too long.
   */
  attach(changeset: Changeset, { blob, pendingVersion }: Pick<WrittenBlob, "blob" | "pendingVersion">): void {
    // Under the file's lock: in one atomic with the janitor's write both would pass their checks.
    changeset.locks.push(`blob:${blob}`);
    changeset.checks.push({ key: keys.blobPending(blob), versionstamp: pendingVersion });
    changeset.deletes.push(keys.blobPending(blob));
  }

  /** Marks a file that loses its owner in `changeset`, so that the janitor deletes it on its next run. */
  scheduleDeletion(changeset: Changeset, blob: string): void {
    if (!changeset.locks.includes(`blob:${blob}`)) changeset.locks.push(`blob:${blob}`);
    changeset.puts.push({ key: keys.blobPending(blob), value: encode({ at: 0 }) });
  }

  /** Reads bytes `from` to `until` (exclusive) as a stream of chunks, without reading ahead of a slow reader. */
  read(blob: string, chunks: number, from = 0, until = Infinity): ReadableStream<Uint8Array<ArrayBuffer>> {
    const kv = this.#kv;
    let next = Math.floor(from / CHUNK_BYTES);
    let skip = from % CHUNK_BYTES;
    // A range is read three times as fast as the same keys one by one.
    const end = Math.min(chunks, Math.ceil(until / CHUNK_BYTES));
    const range = { start: keys.blob(blob, next), end: keys.blob(blob, end) };
    const entries = next < end ? kv.list<Uint8Array<ArrayBuffer>>(range, { batchSize: CHUNKS_PER_READ }) : null;
    return new ReadableStream({
      async pull(controller) {
        if (!entries || next >= end) return controller.close();
        const { value: entry, done } = await entries.next();
        if (done || entry.key[2] !== next) return controller.error(new Error(`A part of file ${blob} is missing.`));
        controller.enqueue(entry.value.subarray(skip, until - next * CHUNK_BYTES));
        skip = 0;
        next++;
      },
    }, { highWaterMark: 0 });
  }

  /** Deletes a file's chunks and marker. */
  async delete(blob: string): Promise<void> {
    let changeset = emptyChangeset(`blob:${blob}`);
    for await (const { key } of this.#kv.list({ prefix: keys.blobOf(blob) }, { batchSize: 10 })) {
      changeset.deletes.push(key);
      if (changeset.deletes.length === DELETES_PER_WRITE) {
        await this.#committer.commit(changeset);
        changeset = emptyChangeset(`blob:${blob}`);
      }
    }
    changeset.deletes.push(keys.blobPending(blob));
    await this.#committer.commit(changeset);
  }
}
