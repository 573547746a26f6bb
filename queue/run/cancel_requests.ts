/**
 * Requests to the instance that runs a task to cancel it, written by another instance.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { decode } from "../store/codec.ts";
import { keys } from "../store/keys.ts";
import { readTasks } from "../store/reads.ts";
import { repeat, type Repeating } from "../task/clock.ts";
import type { Execution } from "./execution.ts";

/** How often they are polled, in milliseconds. */
const POLL_MS = 1_000;

/** The value of `cancel_request, instance, id`: who requested the cancel, and when. */
export interface CancelRequest {
  at: number;
  by: string | null;
}

/** Who requested a cancel; null: unknown. */
export function requestedBy(stored: unknown): string | null {
  const request = decode<CancelRequest | number>(stored);
  return typeof request === "number" ? null : request.by;
}

/** Carries out other instances' cancel requests for tasks that are held here. */
export class CancelRequests {
  #job: Repeating | null = null;
  #unlisten: () => void = () => {};

  /**
   * @param execution The newest attempt of a task that is held here.
   * @param isHolding Whether any is held here or about to be.
   */
  constructor(
    private readonly core: Core,
    private readonly execution: (id: string) => Execution | undefined,
    private readonly isHolding: () => boolean,
  ) {}

  /** Starts: at each change, and by a poll. */
  start(): void {
    const { clock, log, notifier } = this.core;
    this.#job = repeat(clock, POLL_MS, () => this.#handleAll(), (error) => {
      log.warn("The cancel requests could not be read; trying again.", { error });
    });
    this.#unlisten = notifier.on("changed", () => this.#job?.kick());
  }

  /** Stops and waits for a run under way. */
  async stop(): Promise<void> {
    this.#unlisten();
    await this.#job?.stop();
  }

  async #handleAll(): Promise<void> {
    if (!this.isHolding()) return;
    const { kv, committer } = this.core;
    for await (const entry of kv.list({ prefix: keys.cancelRequestsOf(committer.instance) })) {
      const id = entry.key[2] as string;
      const execution = this.execution(id);
      const by = requestedBy(entry.value);
      const held = execution ?? (await readTasks(kv, [id]))[0]?.run?.instance === committer.instance;
      await execution?.cancel(by);
      // A task whose claim is still in flight is owned but has no execution yet: the cancel request is kept.
      if (execution || !held) await committer.deleteIfUnchanged(entry);
    }
  }
}
