/**
 * The size of a KV atomic, including what a lane adds to it.
 *
 * @module
 */

import { type Changeset, type ChangesetSize, sizeOf } from "../changeset.ts";
import { SAMPLE_BYTES } from "./lane_series.ts";

/** What one KV atomic may hold. */
export interface AtomicLimits {
  /** Checks. */
  checks: number;
  /** Sets and deletes. */
  mutations: number;
  /** Bytes of all keys. */
  keyBytes: number;
  /** Keys and values. */
  bytes: number;
}

/** The limits of Deno KV on a file, measured on 2.9.6: 100 checks, 1,000 mutations, 81,920 bytes of keys, 819,200 in all. */
export const FILE_LIMITS: AtomicLimits = { checks: 100, mutations: 1_000, keyBytes: 80_000, bytes: 800_000 };

/** The limits of a KV Connect server: as on a file, except 10 checks. */
export const CONNECT_LIMITS: AtomicLimits = { ...FILE_LIMITS, checks: 10 };

/** Mutations that a lane adds to each atomic: its record, the change entry, the wake-up. */
const LANE_MUTATIONS = 3;
/** Bytes that each atomic keeps for the lane's record. */
const LANE_BYTES = 32_000;
/** Bytes of the keys of these entries. */
const LANE_KEY_BYTES = 200;
/** Bytes that a task takes in the change entry beside the name of its type: id, version, two statuses. */
const CHANGE_BYTES = 80;
/** Bytes of the change entry: it is one value. */
const MAX_RECORD_BYTES = 60_000;

/** The first limit that an atomic with this changeset alone would exceed, as {@linkcode AtomicSize.excess} has it. */
export function excessOf(changeset: Changeset, limits: AtomicLimits): AtomicSize["excess"] {
  const size = new AtomicSize(limits);
  size.add(changeset);
  return size.excess;
}

/** The size of an atomic that a lane commits, as changesets are added to it. */
export class AtomicSize {
  readonly #limits: AtomicLimits;
  readonly #types = new Set<string>();
  #checks = 1;
  #mutations = LANE_MUTATIONS;
  #keyBytes = LANE_KEY_BYTES;
  #bytes = LANE_BYTES;
  #recordBytes = 0;

  constructor(limits: AtomicLimits) {
    this.#limits = limits;
  }

  /** Adds a changeset; `size` is its own size, if it has been measured already. */
  add(changeset: Changeset, size: ChangesetSize = sizeOf(changeset)): void {
    this.#checks += size.checks;
    this.#mutations += size.mutations;
    this.#keyBytes += size.keyBytes;
    this.#bytes += size.bytes;
    for (const { before, after } of changeset.changes) {
      const { task_type } = (after ?? before)!.task;
      this.#recordBytes += CHANGE_BYTES + task_type.length;
      this.#bytes += CHANGE_BYTES + task_type.length;
      if (this.#types.has(task_type)) continue;
      // Each type has an entry in the time series.
      this.#types.add(task_type);
      this.#mutations++;
      this.#bytes += SAMPLE_BYTES;
    }
  }

  /** The first limit exceeded: the amount needed, the limit and its unit; null: it fits. */
  get excess(): [needed: number, limit: number, what: string] | null {
    const { checks, mutations, keyBytes, bytes } = this.#limits;
    if (this.#mutations > mutations) return [this.#mutations, mutations, "writes"];
    if (this.#checks > checks) return [this.#checks, checks, "checks"];
    if (this.#keyBytes > keyBytes) return [this.#keyBytes, keyBytes, "bytes of keys"];
    if (this.#bytes > bytes) return [this.#bytes, bytes, "bytes"];
    if (this.#recordBytes > MAX_RECORD_BYTES) return [this.#recordBytes, MAX_RECORD_BYTES, "bytes of changes"];
    return null;
  }
}
