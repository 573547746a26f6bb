/**
 * Pauses: while a type is paused, no task of it is started; those that run go on. A pause is durable. On a store with
 * one owner it holds from the answer on; where instances share a store, each looks before it claims, so a claim
 * that was already on its way may still start.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import { decode, encode } from "./codec.ts";
import type { Committer } from "./commit.ts";
import type { Registry } from "./define.ts";
import { NotFoundError } from "./errors.ts";
import { keys } from "./keys.ts";
import { putMark } from "./series.ts";
import type { PauseInfo } from "./task.ts";
import { emptyWrite } from "./write.ts";

/** Pauses and resumes task types. */
export class Pauses {
  /** What this instance knows; complete where it is the sole owner of the store. */
  #known = new Map<string, PauseInfo>();

  constructor(
    private readonly kv: Deno.Kv,
    private readonly committer: Committer,
    private readonly registry: Registry,
    private readonly clock: Clock,
    private readonly distributed: boolean,
  ) {}

  /** Reads all pauses, to begin with. */
  async load(): Promise<void> {
    this.#known = await this.read();
  }

  /** All pauses. */
  async read(): Promise<Map<string, PauseInfo>> {
    const known = new Map<string, PauseInfo>();
    for await (const entry of this.kv.list({ prefix: keys.pauses() })) {
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
    if (!this.distributed) return this.isKnown(type);
    return (await this.kv.get(keys.pause(type))).value !== null;
  }

  /**
   * Pauses a type.
   *
   * @throws {NotFoundError} If there is no such type.
   */
  async pause(type: string, by: string, reason: string): Promise<PauseInfo> {
    this.#assertType(type);
    const info: PauseInfo = { by, at: new Date(this.clock.now()).toISOString(), reason };
    this.#known.set(type, info);
    const write = emptyWrite(`pause:${type}`);
    write.puts.push(
      { key: keys.pause(type), value: encode(info) },
      putMark(this.clock.now(), type, { kind: "pause", task_type: type }),
    );
    await this.committer.commit(write);
    return info;
  }

  /**
   * Lets a type be started again.
   *
   * @throws {NotFoundError} If there is no such type.
   */
  async resume(type: string): Promise<void> {
    this.#assertType(type);
    const write = emptyWrite(`pause:${type}`);
    write.deletes.push(keys.pause(type));
    write.puts.push(putMark(this.clock.now(), type, { kind: "resume", task_type: type }));
    await this.committer.commit(write);
    this.#known.delete(type);
  }

  #assertType(type: string): void {
    const definition = this.registry.get(type);
    if (!definition || definition.internal) throw new NotFoundError(`Task type ${type.slice(0, 64)}`);
  }
}
