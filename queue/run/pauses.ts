/**
 * Pauses: while a type is paused, no task of it is started; those that run go on. A pause is durable. On a store with
 * one owner it holds from the answer on; where instances share a store, each looks before it claims, so a claim
 * that was already on its way may still start.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { decode, encode } from "../store/codec.ts";
import { NotFoundError } from "../task/errors.ts";
import { keys } from "../store/keys.ts";
import { annotationPut } from "../store/commit/lane_series.ts";
import type { PauseInfo } from "../task/api_types.ts";
import { emptyChangeset } from "../store/changeset.ts";

/** Pauses and resumes task types. */
export class Pauses {
  /** What the store said when it was last read; complete where this instance is its sole owner. */
  #known = new Map<string, PauseInfo>();
  /** By type, how many pauses and resumes are under way: what this instance knows of the type is about to change. */
  readonly #moving = new Map<string, number>();
  /** Pauses and resumes that have ended. */
  #changes = 0;
  #unlisten: () => void = () => {};

  constructor(private readonly core: Core) {}

  /** Reads all pauses, and from then on again with each poll: a commit may come to pass after it was given up. */
  async start(): Promise<void> {
    if (this.core.distributed) return;
    await this.#refresh();
    this.#unlisten = this.core.notifier.on("anything", () => {
      this.#refresh().catch((error) => this.core.log.warn("The pauses could not be read; tried again.", { error }));
    });
  }

  /** Reads no more. */
  stop(): void {
    this.#unlisten();
  }

  async #refresh(): Promise<void> {
    const changes = this.#changes;
    const stored = await this.read();
    // It may be older than what has been paused or resumed meanwhile.
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

  /** Whether this instance knows of a pause: all there is to know where it is the sole owner of the store. */
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
    const write = emptyChangeset(`pause:${type}`);
    write.puts.push(
      { key: keys.pause(type), value: encode(info) },
      annotationPut(this.core.clock.now(), type, { kind: "pause", task_type: type }),
    );
    await this.#moved(type, async () => {
      // Nothing is started from here on, so that nothing is once it is answered.
      this.#known.set(type, info);
      await this.core.committer.commit(write);
      // A resume that was committed before it has just forgotten it.
      this.#known.set(type, info);
    });
    return info;
  }

  /**
   * Lets a type be started again.
   *
   * @throws {NotFoundError} If there is no such type.
   */
  async resume(type: string): Promise<void> {
    this.#assertType(type);
    const write = emptyChangeset(`pause:${type}`);
    write.deletes.push(keys.pause(type));
    write.puts.push(annotationPut(this.core.clock.now(), type, { kind: "resume", task_type: type }));
    await this.#moved(type, async () => {
      await this.core.committer.commit(write);
      // A pause that is on its way comes after it: their writes are committed in the order in which they came.
      if (this.#moving.get(type) === 1) this.#known.delete(type);
    });
  }

  /** Does what changes a type. If it fails, the store says what is so. */
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
      // The store may not answer even now: the next poll asks again.
      await this.#refresh().catch(() => {});
      throw error;
    }
  }

  #assertType(type: string): void {
    const definition = this.core.registry.get(type);
    if (!definition || definition.internal) throw new NotFoundError(`Task type ${type.slice(0, 64)}`);
  }
}
