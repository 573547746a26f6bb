/**
 * A map that remembers what was set last and forgets the rest.
 *
 * @module
 */

/** Keeps the `limit` entries that were set last. */
export class RecentMap<K, V> extends Map<K, V> {
  readonly #limit: number;

  constructor(limit: number) {
    super();
    this.#limit = limit;
  }

  override set(key: K, value: V): this {
    // A map keeps the order of first insertion: taken out and put in again, the key is the newest.
    this.delete(key);
    super.set(key, value);
    if (this.size > this.#limit) this.delete(this.keys().next().value!);
    return this;
  }
}
