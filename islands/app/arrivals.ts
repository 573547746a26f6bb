/**
 * When new tasks join the list.
 *
 * @module
 */

import { say } from "../shell/announce.ts";
import { count } from "./format.ts";
import type { Store } from "./state.ts";
import { MAX_WAITING, showWaiting } from "./store.ts";

/** If more new tasks than this arrive per second, they wait behind the button. */
const FEW = 5;
/** How often those that wait are announced. Milliseconds. */
const SAID_MS = 30_000;

/** How fast new tasks arrive. */
export class Arrivals {
  #times: number[] = [];
  #saidAt = 0;

  /** One more has come. */
  add(): void {
    this.#times.push(Date.now());
  }

  /** Announces how many wait. */
  say(store: Store): void {
    const waiting = store.waiting.value.length;
    if (waiting === 0 || Date.now() - this.#saidAt < SAID_MS) return;
    this.#saidAt = Date.now();
    say(store, `${count(waiting, "new task")}.`);
  }

  /**
   * Whether the tasks that wait join now: unless they come too fast, or would move what someone points at, has focused
   * or selected. An empty list, and what was submitted from this page, waits for nobody.
   *
   * @param own Subscriptions to tasks that were submitted from this page.
   */
  mayJoin({ waiting, order, paused }: Store, own: ReadonlyMap<string, unknown>, isBusy: () => boolean): boolean {
    if (waiting.value.length === 0 || paused.value !== null) return false;
    const now = Date.now();
    this.#times = this.#times.filter((at) => at > now - 1_000);
    return order.value.length === 0 || this.#times.length < FEW && !isBusy() ||
      waiting.value.some(({ id }) => own.has(`one ${id}`));
  }
}

/** Shows the tasks that wait. If there may be more than wait, the list is read again. */
export function showNew(store: Store, live: { reload(): void; seen(): string }): void {
  if (store.waiting.value.length >= MAX_WAITING) live.reload();
  else showWaiting(store, live.seen());
}
