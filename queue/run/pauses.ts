/**
 * Pauses: while a type is paused, none of its tasks is started; running tasks continue. A pause is durable. On a
 * store with one owner it is in effect once the call returns; where instances share a store, each checks before it
 * claims, so a claim that was already in flight may still start.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { decode, encode } from "../store/codec.ts";
import { NotFoundError } from "../task/errors.ts";
import { keys } from "../store/keys.ts";
import { annotationPut } from "../store/commit/lane_series.ts";
import type { PauseInfo } from "../task/api_types.ts";
import { type Changeset, emptyChangeset } from "../store/changeset.ts";

/** Pauses and resumes task types. */
export class Pauses {
  /** The pauses as last read; complete where this instance is the store's sole owner. */
  #known = new Map<string, PauseInfo>();
  /** By type, how many pauses and resumes are in progress: the known state of the type is about to change. */
  readonly #moving = new Map<string, number>();
  /** Pauses and resumes that have ended. */
  #changes = 0;
  #unlisten: () => void = () => {};

  constructor(private readonly core: Core) {}

  /** Reads all pauses, then again with each poll: a commit may still land after it was given up. */
  async start(): Promise<void> {
    if (this.core.distributed) return;
    await this.#refresh();
    this.#unlisten = this.core.notifier.on("anything", () => {
      this.#refresh().catch((error) => this.core.log.warn("The pauses could not be read; retrying.", { error }));
    });
  }

  /** Stops reading. */
  stop(): void {
    this.#unlisten();
  }

  async #refresh(): Promise<void> {
    const changes = this.#changes;
    const stored = await this.read();
    // A pause or resume in the meantime may have made it stale.
    if (changes !== this.#changes) return await this.#refresh();
    for (const type of new Set([...stored.keys(), ...this.#known.keys()])) {
      if (this.#moving.has(type)) continue;
      const info = stored.get(type);
      if (info) this.#known.set(type, info);
      else if (this.#known.delete(type)) this.core.notifier.ready(type);
    }
  }

  /** All pauses. */
  async read(): Promise<Map<string, PauseInfo>> {
    const known = new Map<string, PauseInfo>();
    for await (const entry of this.core.kv.list({ prefix: keys.pauses() })) {
      known.set(entry.key[1] as string, decode<PauseInfo>(entry.value));
    }
    return known;
  }

  /** Whether this instance knows of a pause; always exact where it is the store's sole owner. */
  isKnown(type: string): boolean {
    return this.#known.has(type);
  }

  /** Whether tasks of a type may not be started. */
  async isPaused(type: string): Promise<boolean> {
    if (!this.core.distributed) return this.isKnown(type);
    return (await this.core.kv.get(keys.pause(type))).value !== null;
  }

  /**
   * Pauses a type.
   *
   * @throws {NotFoundError} If there is no such type.
   */
  async pause(type: string, by: string, reason: string): Promise<PauseInfo> {
    this.#assertType(type);
    const info: PauseInfo = { by, at: new Date(this.core.clock.now()).toISOString(), reason };
    const changeset = this.#emptyChangeset(type);
    changeset.puts.push(
      { key: keys.pause(type), value: encode(info) },
      annotationPut(this.core.clock.now(), type, { kind: "pause", task_type: type }),
    );
    await this.#moved(type, async () => {
      // Start nothing from here on, so that nothing starts once the call has returned.
      this.#known.set(type, info);
      await this.core.committer.commit(changeset);
      // A resume that was committed before this pause may just have removed it.
      this.#known.set(type, info);
    });
    return info;
  }

  /**
   * Resumes a type.
   *
   * @throws {NotFoundError} If there is no such type.
   */
  async resume(type: string): Promise<void> {
    this.#assertType(type);
    const changeset = this.#emptyChangeset(type);
    changeset.deletes.push(keys.pause(type));
    changeset.puts.push(annotationPut(this.core.clock.now(), type, { kind: "resume", task_type: type }));
    await this.#moved(type, async () => {
      await this.core.committer.commit(changeset);
      // A pause in progress comes after this resume: both share a lock and are committed in order.
      if (this.#moving.get(type) === 1) this.#known.delete(type);
    });
  }

  /** Applies a change to a type. If it fails, the pauses are read again. */
  async #moved(type: string, change: () => Promise<void>): Promise<void> {
    this.#moving.set(type, (this.#moving.get(type) ?? 0) + 1);
    const settle = () => {
      this.#changes++;
      const left = this.#moving.get(type)! - 1;
      if (left > 0) this.#moving.set(type, left);
      else this.#moving.delete(type);
    };
    try {
      await change();
      settle();
    } catch (error) {
      settle();
      // The store may still not respond: the next poll reads again.
      await this.#refresh().catch(() => {});
      throw error;
    }
  }

  /** The commit may land after it was given up: its wake-up has the pauses read then. */
  #emptyChangeset(type: string): Changeset {
    return { ...emptyChangeset(`pause:${type}`), due: this.core.clock.now() };
  }

  #assertType(type: string): void {
    const definition = this.core.registry.get(type);
    if (!definition || definition.internal) throw new NotFoundError(`Task type ${type.slice(0, 64)}`);
  }
}
