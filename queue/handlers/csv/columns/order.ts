/**
 * Whether the values of a column stand in order.
 *
 * @module
 */

/** What {@linkcode ColumnOrder} has seen. */
export interface OrderState {
  /** Which orders all values so far are in: bits of {@linkcode Order}. */
  alive: number;
  first: number;
  second: number;
  text: Uint8Array<ArrayBuffer> | null;
}

/** Orders, by the first and the second reading of numbers and dates, and by their texts; and whether none is repeated. */
export const Order = {
  FIRST_UP: 1,
  FIRST_DOWN: 2,
  SECOND_UP: 4,
  SECOND_DOWN: 8,
  TEXT_UP: 16,
  TEXT_DOWN: 32,
  /** No two neighbours are alike. */
  STRICT: 64,
} as const;

const ANY = Order.FIRST_UP | Order.FIRST_DOWN | Order.SECOND_UP | Order.SECOND_DOWN | Order.TEXT_UP | Order.TEXT_DOWN;

/** Compares each value with the one before it, until no order is left. */
export class ColumnOrder {
  /** Which orders all values so far are in. */
  alive: number;
  #first: number;
  #second: number;
  #text: Uint8Array<ArrayBuffer> | null;

  constructor(state: OrderState = { alive: ANY | Order.STRICT, first: NaN, second: NaN, text: null }) {
    this.alive = state.alive;
    this.#first = state.first;
    this.#second = state.second;
    this.#text = state.text;
  }

  /** What it has seen so far. */
  state(): OrderState {
    return { alive: this.alive, first: this.#first, second: this.#second, text: this.#text };
  }

  /** Whether any order is left. */
  get isOrdered(): boolean {
    return (this.alive & ANY) !== 0;
  }

  /** Takes the next value, with its two readings: NaN where it has none. */
  add(bytes: Uint8Array, start: number, end: number, first: number, second: number): void {
    const before = this.#text;
    if (before !== null) {
      let alive = this.alive;
      // A comparison with NaN is false.
      if (!(first >= this.#first)) alive &= ~Order.FIRST_UP;
      if (!(first <= this.#first)) alive &= ~Order.FIRST_DOWN;
      if (!(second >= this.#second)) alive &= ~Order.SECOND_UP;
      if (!(second <= this.#second)) alive &= ~Order.SECOND_DOWN;
      if (alive & (Order.TEXT_UP | Order.TEXT_DOWN | Order.STRICT)) {
        const order = compare(bytes, start, end, before);
        if (order < 0) alive &= ~Order.TEXT_UP;
        if (order > 0) alive &= ~Order.TEXT_DOWN;
        // 1 and 1.0 are different values, but no order of numbers tells them apart.
        if (order === 0 || first === this.#first || second === this.#second) alive &= ~Order.STRICT;
      }
      this.alive = alive;
    }
    this.#first = first;
    this.#second = second;
    const length = end - start;
    if (before !== null && before.length === length) {
      for (let i = 0; i < length; i++) before[i] = bytes[start + i];
    } else this.#text = bytes.slice(start, end) as Uint8Array<ArrayBuffer>;
  }
}

/** Negative, zero or positive if the bytes sort before, equal to or after the others. */
export function compare(bytes: Uint8Array, start: number, end: number, other: Uint8Array): number {
  const length = Math.min(end - start, other.length);
  for (let i = 0; i < length; i++) {
    const difference = bytes[start + i] - other[i];
    if (difference !== 0) return difference;
  }
  return end - start - other.length;
}
