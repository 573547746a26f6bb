/**
 * The statistics of the service: how many tasks there are, and those of the last hour. Subscribers are notified when
 * they change, at most four times a second.
 *
 * @module
 */

import type { Clock } from "../../queue/task/clock.ts";
import type { Logger } from "../../queue/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Stats } from "../../queue/task/api_types.ts";
import { type Status, STATUSES } from "../../queue/task/record.ts";
import { RecentFailures } from "./recent_failures.ts";

/** Minimum time between two frames, in milliseconds. */
const FRAME_MS = 250;
/** How often to check for changes that involve no task (a pause, a new minute). */
const LOOK_MS = 2_000;
/** The run times of the last hour are read this often at most. */
const HOUR_MS = 5_000;

/** Undelivered messages are counted up to this number. */
const MAX_COUNTED = 1_000;

/** Reads the statistics and watches them for changes. */
export class StatsFeed {
  readonly #listeners = new Set<(json: string) => void>();
  #hour: { at: number; read: ReturnType<Queue["series"]["lastHour"]> } | null = null;
  readonly #failures: RecentFailures;
  #cancel: (() => void) | null = null;
  #soon = false;
  #unsubscribe: (() => void) | null = null;
  #subscribing = false;

  constructor(private readonly queue: Queue, private readonly clock: Clock, private readonly log: Logger) {
    this.#failures = new RecentFailures(queue, clock);
  }

  /** The current statistics. */
  async read(): Promise<Stats> {
    const [counts, pauses, undelivered, times, failures] = await Promise.all([
      this.queue.counts(),
      this.queue.pauses(),
      this.queue.inbox.count(MAX_COUNTED),
      this.#lastHour(),
      this.#failures.count(),
    ]);
    const last_hour: Stats["last_hour"] = {};
    const { by_type, capped } = failures;
    for (const type of new Set([...Object.keys(times), ...by_type.keys()])) {
      last_hour[type] = { failed: by_type.get(type) ?? 0, failed_capped: capped, run_p95: times[type] ?? null };
    }
    const zeros = () => Object.fromEntries(STATUSES.map((status) => [status, 0])) as Record<Status, number>;
    const paused = Object.fromEntries(pauses);
    const stats: Stats = { total: 0, by_status: zeros(), by_type: {}, last_hour, paused, undelivered };
    for (const type of new Set([...this.queue.registry.public().map(({ type }) => type), ...Object.keys(counts)])) {
      const of = stats.by_type[type] = zeros();
      for (const status of STATUSES) {
        of[status] = counts[type]?.[status] ?? 0;
        stats.by_status[status] += of[status];
        stats.total += of[status];
      }
    }
    return stats;
  }

  #lastHour(): ReturnType<Queue["series"]["lastHour"]> {
    const now = this.clock.monotonic();
    if (!this.#hour || now - this.#hour.at > HOUR_MS) this.#hour = { at: now, read: this.queue.series.lastHour() };
    const { read } = this.#hour;
    read.catch(() => this.#hour = null);
    return read;
  }

  /** Sends the statistics as JSON: now, on changes, and at least every two seconds. Returns a function that ends it. */
  follow(listener: (json: string) => void): () => void {
    this.#listeners.add(listener);
    this.#start();
    this.#schedule(0);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#cancel?.();
      this.#cancel = null;
      this.#soon = false;
      this.#unsubscribe?.();
      this.#unsubscribe = null;
      this.#failures.forget();
    };
  }

  /** Listens for changes. Until that succeeds, the statistics are read every two seconds. */
  #start(): void {
    if (this.#unsubscribe || this.#subscribing) return;
    this.#subscribing = true;
    this.queue.stream.subscribe((batch) => {
      this.#failures.hear(batch);
      this.#schedule(FRAME_MS);
    }).then((unsubscribe) => {
      if (this.#listeners.size === 0) return unsubscribe();
      this.#unsubscribe = unsubscribe;
      this.#failures.follow();
    }).catch((error) => {
      this.log.warn("Could not listen for changes of the statistics; will retry.", { error });
    }).finally(() => this.#subscribing = false);
  }

  #schedule(ms: number): void {
    if (ms < LOOK_MS) {
      if (this.#soon) return;
      this.#soon = true;
    }
    this.#cancel?.();
    this.#cancel = this.clock.after(ms, async () => {
      this.#soon = false;
      try {
        const json = JSON.stringify(await this.read());
        for (const listener of this.#listeners) listener(json);
      } catch (error) {
        this.log.warn("The statistics could not be read; will retry.", { error });
      }
      if (this.#listeners.size === 0) return;
      this.#start();
      if (!this.#soon) this.#schedule(LOOK_MS);
    });
  }
}
