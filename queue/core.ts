/**
 * What all parts of a queue share. The queue makes it once and hands it to each of them.
 *
 * @module
 */

import type { Registry } from "./define.ts";
import type { Logger } from "./log.ts";
import type { Blobs } from "./store/files/blobs.ts";
import type { AtomicLimits } from "./store/commit/atomic_size.ts";
import type { Committer } from "./store/commit/committer.ts";
import type { Removal } from "./store/removal.ts";
import type { Clock } from "./task/clock.ts";
import type { Retention } from "./task/summary.ts";
import type { Alarm } from "./watch/alarm.ts";
import type { Notifier } from "./watch/notifier.ts";

/** What all parts of a queue share. */
export interface Core {
  readonly kv: Deno.Kv;
  readonly clock: Clock;
  readonly log: Logger;
  /** The only way to write to the store. */
  readonly committer: Committer;
  readonly blobs: Blobs;
  readonly removal: Removal;
  readonly registry: Registry;
  readonly notifier: Notifier;
  /** Wakes the queue by messages when something becomes due; null: timers do. */
  readonly alarm: Alarm | null;
  /** What one atomic may hold. */
  readonly limits: AtomicLimits;
  /** Into how many parts new tasks of a type are spread while they are ready: 1 keeps their order exact. */
  readonly shards: number;
  /** Which of the instances that work on the store this one is, as last seen: they prefer different shards. */
  readonly peers: { index: number; count: number };
  /** Whether other instances share the store. */
  readonly distributed: boolean;
  /** Whether attempts are traced. */
  readonly tracing: boolean;
  /** How long ended tasks are kept. */
  readonly retention: Retention;
}
