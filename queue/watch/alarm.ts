/**
 * The alarm: when something becomes due, or is ready and may not be started at once, the very atomic that says so
 * enqueues a message that wakes the queue at that time. So the wake-up comes if and only if the change was committed,
 * also when this process had given it up. A message carries nothing: what is to be done is read from the store, so a
 * message that comes twice or never changes nothing, and one message does for everything that becomes due after it.
 *
 * @module
 */

import type { Clock } from "../task/clock.ts";
import { type Change, effectsOf } from "../store/changeset.ts";
import type { Wakeups } from "../store/commit/lane.ts";
import { newsOf } from "./notifier.ts";

/** At most one message in this time for what becomes due: twenty a second. Milliseconds. */
const GAP_MS = 50;
/** At most one message in this time for what is ready: whoever committed it has usually told the runner. Milliseconds. */
const READY_GAP_MS = 1_000;
/** KV delays a message by 30 days at most; what is due later is looked at again then. */
const LONGEST_MS = 29 * 86_400_000;

/** Whether a change leaves something to do for others: effects on other tasks, or of them. */
function leadsToMore({ before, after }: Change): boolean {
  if (!after) return false;
  return effectsOf(before, after).length > 0 || before === null && after.task.placement?.kind === "blocked";
}

/** Decides which atomics carry a message. Times are milliseconds since the epoch. */
export class Alarm implements Wakeups {
  /** When messages on their way arrive. */
  #planned: number[] = [];
  #lastAt = -Infinity;
  #lastReadyAt = -Infinity;

  constructor(private readonly clock: Clock) {}

  /** Whether a message is on its way that arrives in time for something that becomes due. */
  covers(due: number): boolean {
    const now = this.clock.now();
    return this.#planned.some((at) => at > now && at <= due);
  }

  /** When an atomic's message is to arrive; null: it needs none. `due` is when something else than a task becomes due. */
  plan(changes: Change[], due: number): number | null {
    const now = this.clock.now();
    this.#planned = this.#planned.filter((at) => at > now);
    const news = newsOf(changes);
    const next = Math.min(due, news.due);
    let at = Infinity;
    // Soon after the last message the next one is for all that follows, and what is due before it is a little late.
    const gap = now - this.#lastAt < GAP_MS ? GAP_MS : 0;
    if (next < Infinity && !this.covers(Math.max(now, next) + gap)) at = gap > 0 ? now + gap : Math.max(now, next);
    const isReady = () => news.ready.size > 0 || changes.some(leadsToMore);
    if (!this.covers(now + READY_GAP_MS) && isReady()) {
      this.#lastReadyAt = Math.max(now, this.#lastReadyAt + READY_GAP_MS);
      at = Math.min(at, this.#lastReadyAt);
    }
    if (at === Infinity) return null;
    this.#lastAt = now;
    at = Math.min(at, now + LONGEST_MS);
    this.#planned.push(at);
    return at;
  }

  /** The atomic of a planned message was not committed. */
  drop(at: number): void {
    const i = this.#planned.indexOf(at);
    if (i >= 0) this.#planned.splice(i, 1);
  }
}
