/**
 * A map that keeps the most recently set entries and drops the rest.
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
    // A Map iterates in insertion order: deleting and re-adding a key makes it the newest.
    this.delete(key);
    super.set(key, value);
    if (this.size > this.#limit) this.delete(this.keys().next().value!);
    return this;
  }
}
