/**
 * Reading artifacts from outside their task.
 *
 * @module
 */

import type { OpenedFile } from "../../define.ts";
import { NotFoundError } from "../../task/errors.ts";
import { isId } from "../../task/ids.ts";
import type { ArtifactInfo } from "../../task/summary.ts";
import type { Blobs } from "./blobs.ts";
import { decode } from "../codec.ts";
import { keys } from "../keys.ts";
import { readArtifacts, type StoredFile } from "../reads.ts";

/** A stored file that can be read. */
export interface ArtifactFile extends Omit<OpenedFile, "stream"> {
  /** Hexadecimal. */
  sha256: string;
  /** Milliseconds since the epoch. */
  created_at: number;
  /** Opens it from byte `from` to before byte `until`. */
  read(from?: number, until?: number): ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** Lists and opens the artifacts of tasks. */
export class StoredArtifacts {
  /** @ignore */
  constructor(private readonly kv: Deno.Kv, private readonly blobs: Blobs) {}

  /** The artifacts of a task, by name. */
  async list(id: string): Promise<ArtifactInfo[]> {
    return (await readArtifacts(this.kv, id)).map(({ blob: _, chunks: __, created_at, ...rest }) => ({
      ...rest,
      created_at: new Date(created_at).toISOString(),
    }));
  }

  /**
   * Opens an artifact; `read` returns bytes `from` (default 0) to `until` (exclusive; default its end).
   *
   * @throws {NotFoundError} If there is none.
   */
  async open(id: string, name: string): Promise<ArtifactFile> {
    const entry = isId(id) && name.length <= 200 ? await this.kv.get(keys.artifact(id, name)) : null;
    if (!entry?.value) throw new NotFoundError(`Artifact ${name.slice(0, 64)} of task ${id.slice(0, 64)}`);
    const { blob, chunks, ...file } = decode<StoredFile>(entry.value);
    return { ...file, read: (from, until) => this.blobs.read(blob, chunks, from, until) };
  }
}
