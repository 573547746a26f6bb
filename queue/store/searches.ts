/**
 * Searches read many tasks each. The same search asked for by many is done once, few are done at a time, and when too
 * many wait the next is refused at once instead of being answered after half a minute.
 *
 * @module
 */

import { BusyError } from "../task/errors.ts";

/** Searches at a time. */
const AT_ONCE = 2;
/** Searches that wait for their turn. */
const MAX_WAITING = 16;

/** Does searches, shared and few at a time. What is given back was read after it was asked for. */
export class Searches {
  readonly #joinable = new Map<string, Promise<unknown>>();
  readonly #waiting: (() => void)[] = [];
  #active = 0;

  /**
   * Does a search, or joins the same one that waits for its turn.
   *
   * @param key What tells the same search from others.
   * @throws {BusyError} If too many wait already.
   */
  run<T>(key: string, search: () => Promise<T>): Promise<T> {
    const known = this.#joinable.get(key);
    if (known) return known as Promise<T>;
    if (this.#waiting.length >= MAX_WAITING) return Promise.reject(new BusyError("Too many searches are under way."));
    const waiting = this.#inTurn(search, () => this.#joinable.delete(key));
    this.#joinable.set(key, waiting);
    return waiting;
  }

  async #inTurn<T>(search: () => Promise<T>, onStart: () => void): Promise<T> {
    if (this.#active >= AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else {
      this.#active++;
      // Whatever asks in the same turn joins it.
      await Promise.resolve();
    }
    // What it reads from here on may be older than what another caller has seen: that one begins anew.
    onStart();
    try {
      return await search();
    } finally {
      // Whoever waits takes the place over.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#active--;
    }
  }
}
