/**
 * The notifier only saves waiting time: the placements are the source of truth about what is to be done. It passes
 * events within the process (a task is ready, something becomes due, something changed) and, where instances share a
 * store, watches the wake-up entry that each commit writes. Where this instance is the sole owner, messages of KV's own
 * queue can do the same for what becomes due, see `alarm.ts`.
 *
 * @module
 */

import { type Clock, repeat, type Repeating } from "../task/clock.ts";
import { keys } from "../store/keys.ts";
import type { Logger } from "../log.ts";
import { mayExpire } from "../task/transitions.ts";
import type { Change } from "../store/changeset.ts";

/** What can be listened for. */
export interface News {
  /** Tasks of this type may be ready; undefined: of any type. */
  ready: (type: string | undefined) => void;
  /** Something becomes due at this time (milliseconds since the epoch). */
  due: (at: number) => void;
  /** Something was committed, here or elsewhere. */
  changed: () => void;
  /** Anything may have happened elsewhere: there was a wake-up, or the poll is due. */
  anything: () => void;
}

/** How often the store is polled: where wake-ups come by messages or from other instances, and where not. Milliseconds. */
const POLL_MS = { woken: 60_000, alone: 5_000 };
/** When wake-ups have stopped, they are asked for again after this time. Milliseconds. */
const RETRY_MS = 5_000;

/** The types of the tasks that a commit made ready, and when the next of the others becomes due (Infinity: none does). */
export function newsOf(changes: Change[]): { ready: Set<string>; due: number } {
  const ready = new Set<string>();
  let due = Infinity;
  for (const { before, after } of changes) {
    const placement = after && !after.run ? after.task.placement : null;
    if (!placement || placement === before?.task.placement && !before.run) continue;
    if (placement.kind === "ready") ready.add(after!.task.task_type);
    if (placement.kind === "scheduled") due = Math.min(due, placement.due);
    if (mayExpire(after!) && !(before && mayExpire(before))) due = Math.min(due, after!.task.expires_at!);
  }
  return { ready, due };
}

/** Wakes up what waits for work. */
export class Notifier {
  readonly #listeners: { [K in keyof News]: Set<News[K]> } = {
    ready: new Set(),
    due: new Set(),
    changed: new Set(),
    anything: new Set(),
  };
  readonly #kv: Deno.Kv;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #distributed: boolean;
  readonly #pollMs: number;
  #poll: Repeating | null = null;
  #wakeups: ReadableStreamDefaultReader<unknown> | null = null;
  #listening: Repeating | null = null;

  constructor(kv: Deno.Kv, clock: Clock, log: Logger, distributed: boolean, byMessages: boolean) {
    this.#kv = kv;
    this.#clock = clock;
    this.#log = log;
    this.#distributed = distributed;
    this.#pollMs = distributed || byMessages ? POLL_MS.woken : POLL_MS.alone;
  }

  /** Calls `listener` on each event of a kind; returns a function that removes it. */
  on<K extends keyof News>(kind: K, listener: News[K]): () => void {
    this.#listeners[kind].add(listener);
    return () => void this.#listeners[kind].delete(listener);
  }

  /** Starts the poll and, where instances share the store, listens for wake-ups. */
  start(): void {
    this.#poll = repeat(this.#clock, this.#pollMs, () => {
      this.wake();
      return Promise.resolve();
    }, () => {});
    if (!this.#distributed) return;
    this.#listening = repeat(this.#clock, RETRY_MS, () => this.#listen(), (error) => {
      this.#log.warn("Wake-ups of other instances have stopped; will retry.", { error });
    });
  }

  /** Stops both. */
  async stop(): Promise<void> {
    await this.#poll?.stop();
    const stopped = this.#listening?.stop();
    await this.#wakeups?.cancel().catch(() => {});
    await stopped;
  }

  /** Notifies listeners of what a commit of this instance has moved. */
  committed(changes: Change[]): void {
    const { ready, due } = newsOf(changes);
    for (const type of ready) this.ready(type);
    if (due < Infinity) this.due(due);
    for (const listener of this.#listeners.changed) listener();
  }

  /** Notifies listeners that tasks of a type may be started; undefined: of any type. */
  ready(type: string | undefined): void {
    for (const listener of this.#listeners.ready) listener(type);
  }

  /** Notifies listeners that something becomes due. */
  due(at: number): void {
    for (const listener of this.#listeners.due) listener(at);
  }

  /** Notifies all listeners: anything may have happened. */
  wake(): void {
    this.ready(undefined);
    this.due(this.#clock.now());
    for (const listener of this.#listeners.anything) listener();
    for (const listener of this.#listeners.changed) listener();
  }

  async #listen(): Promise<void> {
    this.#wakeups = this.#kv.watch([keys.wakeup()]).getReader();
    while (!(await this.#wakeups.read()).done) this.wake();
  }
}
