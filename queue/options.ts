/**
 * The options of a queue.
 *
 * @module
 */

import type { AlertOptions } from "./alerts/alerts.ts";
import type { JanitorOptions } from "./background/janitor.ts";
import type { AnyTaskDefinition } from "./define.ts";
import type { Logger } from "./log.ts";
import type { AtomicLimits } from "./store/commit/atomic_size.ts";
import type { Clock } from "./task/clock.ts";
import type { Retention } from "./task/summary.ts";
import type { QueueObserver } from "./watch/observer.ts";

/** Defaults of a queue's options. */
export const QUEUE_DEFAULTS = {
  /** Milliseconds. */
  leaseMs: 15_000,
  /** How long an ended task is kept, whatever its status: a week. Milliseconds. */
  retentionMs: 7 * 86_400_000,
  /** Milliseconds. */
  commitDeadlineMs: 10_000,
  /** Milliseconds from {@linkcode Queue.stop} until attempts that still run are given back. */
  shutdownGraceMs: 4_000,
};

/** Options of a queue. All but `kv` and `definitions` have a default. */
export interface QueueOptions {
  /** The store. The queue does not close it. */
  kv: Deno.Kv;
  /** The task types. */
  definitions: AnyTaskDefinition[];
  /** Default: the machine's clock. */
  clock?: Clock;
  /** Default: no log. */
  log?: Logger;
  /** Whether other instances share the store. Default false: this queue is the store's sole owner. */
  distributed?: boolean;
  /** Whether tasks run here. Default true. */
  worker?: boolean;
  /** Slots by type; overrides the definition's number. */
  concurrency?: Record<string, number>;
  /** After this time without a heartbeat an instance is dead. Milliseconds, default 15,000. */
  leaseMs?: number;
  /** Rate limits by type; overrides the definition's: `10/s`, `100/m`, `1000/h`. */
  rates?: Record<string, string>;
  /** How long ended tasks are kept, by how they ended. Milliseconds, default 7 days each. */
  retention?: Partial<Retention>;
  /**
   * Whether submissions are taken from KV's own queue ({@linkcode taskMessage}). The queue must be the only listener of
   * its KV handle then. Default: true, unless distributed: KV Connect has no queue.
   */
  messages?: boolean;
  /**
   * What wakes the queue when something becomes due: timers, or messages of KV's own queue in the atomics that make it
   * due, which come up to a tenth of a second late. Only on a store with one owner. Default: `timers`. Deno 2.9.6 ends the
   * process if a message becomes due while the disk is full.
   */
  wakeups?: "timers" | "messages";
  /** What one atomic may hold. Default: by `distributed`. */
  limits?: AtomicLimits;
  /** Atomics in flight. Default: 16 if distributed, else 2. */
  lanes?: number;
  /**
   * Parts of each type's ready tasks, 1 to 16: instances that claim from different parts do not get in each other's
   * way, but the order is exact within a part only. Default: 16 if distributed, else 1.
   */
  shards?: number;
  /** Whether attempts and their steps are spans of OpenTelemetry. Default false. */
  tracing?: boolean;
  /** Who is told of what this instance does. Default: nobody. */
  observers?: QueueObserver[];
  /** Rules of alerts that the settings have, and how full the store's disk is. */
  alerts?: AlertOptions;
  /** Overrides the janitor's numbers. */
  janitor?: Partial<JanitorOptions>;
  /** After this time a call fails with an unknown outcome. Milliseconds, default 10,000. */
  commitDeadlineMs?: number;
}
