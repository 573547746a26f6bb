/**
 * Searches read many tasks each. Identical searches are run once, few run at a time, and when too many wait the next
 * is rejected at once instead of being answered after half a minute.
 *
 * @module
 */

import { BusyError } from "../task/errors.ts";

/** Searches at a time. */
const AT_ONCE = 2;
/** Searches that wait for their turn. */
const MAX_WAITING = 16;

/** Runs searches, shared and few at a time. A result was always read after its request. */
export class Searches {
  readonly #joinable = new Map<string, Promise<unknown>>();
  readonly #waiting: (() => void)[] = [];
  #active = 0;

  /**
   * Runs a search, or joins an identical one that is still waiting.
   *
   * @param key Equal for identical searches.
   * @throws {BusyError} If too many wait already.
   */
  run<T>(key: string, search: () => Promise<T>): Promise<T> {
    const known = this.#joinable.get(key);
    if (known) return known as Promise<T>;
    if (this.#waiting.length >= MAX_WAITING) return Promise.reject(new BusyError("Too many searches are in progress."));
    const waiting = this.#inTurn(search, () => this.#joinable.delete(key));
    this.#joinable.set(key, waiting);
    return waiting;
  }

  async #inTurn<T>(search: () => Promise<T>, onStart: () => void): Promise<T> {
    if (this.#active >= AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else {
      this.#active++;
      // Requests of the same turn join it.
      await Promise.resolve();
    }
    // Its reads from here on may be older than what a later caller has seen: later callers start a new search.
    onStart();
    try {
      return await search();
    } finally {
      // The next waiting search takes the slot.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#active--;
    }
  }
}
