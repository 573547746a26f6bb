/**
 * The artifacts that one attempt writes and reads.
 *
 * @module
 */

import type { OpenedFile } from "../define.ts";
import type { Blobs, WrittenBlob } from "../store/files/blobs.ts";
import { type Changeset, emptyChangeset } from "../store/changeset.ts";
import { decode, encode } from "../store/codec.ts";
import { keys } from "../store/keys.ts";
import type { StoredFile } from "../store/reads.ts";
import type { Clock } from "../task/clock.ts";
import { InvalidInputError } from "../task/errors.ts";

/** Bytes of an artifact: 4 GiB. */
const MAX_ARTIFACT_BYTES = 4 * 1024 ** 3;

/** An artifact that is written with the end of an attempt. */
export interface FinalArtifact {
  name: string;
  content: () => string;
  mediaType: string;
}

/** Writes and reads the artifacts of one attempt. */
export class Artifacts {
  /** By name, the latest write in progress. */
  readonly #writes = new Map<string, Promise<void>>();

  constructor(
    private readonly kv: Deno.Kv,
    private readonly blobs: Blobs,
    private readonly clock: Clock,
    private readonly id: string,
  ) {}

  /** Stores the bytes; they have no owner until {@linkcode put} has named them. */
  async write(content: ReadableStream<Uint8Array> | Uint8Array | string): Promise<WrittenBlob> {
    const stream = content instanceof ReadableStream ? content : new Blob([content as BlobPart]).stream();
    return await this.blobs.write(stream, MAX_ARTIFACT_BYTES, { asTaskOwner: true });
  }

  /** Deletes stored bytes that were not named. */
  async discard({ blob }: WrittenBlob): Promise<void> {
    await this.blobs.delete(blob);
  }

  /** Commits stored bytes as an artifact, after all earlier commits of the same name. */
  async put(
    name: string,
    written: WrittenBlob,
    mediaType: string,
    commit: (changeset: Changeset) => Promise<unknown>,
  ): Promise<void> {
    const changeset = (this.#writes.get(name) ?? Promise.resolve()).then(async () => {
      const changeset = emptyChangeset();
      const key = keys.artifact(this.id, name);
      const earlier = await this.kv.get(key);
      const { pendingVersion, ...rest } = written;
      const file: StoredFile = { ...rest, name, media_type: mediaType, created_at: this.clock.now() };
      changeset.puts.push({ key, value: encode(file) });
      this.blobs.attach(changeset, { blob: rest.blob, pendingVersion });
      // In the same atomic, so that the janitor always finds the chunks of the replaced file.
      if (earlier.value) this.blobs.scheduleDeletion(changeset, decode<StoredFile>(earlier.value).blob);
      await commit(changeset);
    });
    this.#writes.set(name, changeset.catch(() => {}));
    await changeset;
  }

  /** Opens a stored file from byte `from` on; null if there is none under the key. */
  async open(key: Deno.KvKey, from?: number): Promise<OpenedFile | null> {
    const entry = await this.kv.get(key);
    if (!entry.value) return null;
    const { name, size, media_type, blob, chunks } = decode<StoredFile>(entry.value);
    return { name, size, media_type, stream: this.blobs.read(blob, chunks, from) };
  }
}

/** @throws {InvalidInputError} If it is not a valid name: 1 to 200 characters, no slash, no control character. */
export function assertArtifactName(name: string): void {
  // deno-lint-ignore no-control-regex
  if (!/^[^/\\\u0000-\u001f]{1,200}$/.test(name) || name === "." || name === "..") {
    throw new InvalidInputError([{ pointer: "", detail: `"${name}" is not a valid artifact name.` }]);
  }
}
