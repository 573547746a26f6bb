/**
 * The distinct values of a column and their counts: exact up to a limit, then an estimate of their number.
 *
 * @module
 */

/** Distinct values that are counted exactly in a column … */
const DISTINCT = 10_000;
/** … and in all columns of a file together, at 40 to 140 bytes each. */
const DISTINCT_TOGETHER = 1_000_000;
/** Bytes of a value that are kept to show it. */
export const SHOWN_BYTES = 100;

/** Everything that {@linkcode DistinctValues} has collected. Values are distinguished by a 64-bit hash. */
export interface DistinctState {
  size: number;
  /** Two hash words per value. */
  hashes: Uint32Array<ArrayBuffer>;
  counts: Float64Array<ArrayBuffer>;
  /** The number that the value probably stands for; NaN for text. */
  numbers: Float64Array<ArrayBuffer>;
  /** Characters of each value. */
  lengths: Uint32Array<ArrayBuffer>;
  /** Where the text of each value ends in `texts`. */
  ends: Uint32Array<ArrayBuffer>;
  texts: Uint8Array<ArrayBuffer>;
  /** Of the estimate; null while the count is exact. */
  registers: Uint8Array<ArrayBuffer> | null;
}

/**
 * A hash table without deletion in flat arrays, so that it can be transferred to another thread and saved as it is. The
 * slots are rebuilt from the hashes.
 */
export class DistinctValues {
  #state: DistinctState;
  #slots: Int32Array;
  readonly #limit: number;
  /** The free slot that `countKnown` has found: for the value if it is added next. */
  #free = 0;

  /** @param limit Different values that are told apart. */
  constructor(limit: number, state?: DistinctState) {
    this.#limit = limit;
    this.#state = state ?? {
      size: 0,
      hashes: new Uint32Array(64),
      counts: new Float64Array(32),
      numbers: new Float64Array(32),
      lengths: new Uint32Array(32),
      ends: new Uint32Array(32),
      texts: new Uint8Array(256),
      registers: null,
    };
    this.#slots = this.#fill(slotsFor(this.#state.size));
  }

  /** What has been gathered. This object and the state share their memory. */
  get state(): DistinctState {
    return this.#state;
  }

  /** How many different values there are, and whether that is an estimate. */
  count(): { distinct: number; estimated: boolean } {
    const { size, registers } = this.#state;
    // The values counted exactly are a certain lower bound.
    return registers
      ? { distinct: Math.max(size, estimate(registers)), estimated: true }
      : { distinct: size, estimated: false };
  }

  /** Counts a known value and returns its index; -1 if it is not known. */
  countKnown(h1: number, h2: number): number {
    const slots = this.#slots;
    const { hashes, counts } = this.#state;
    const mask = slots.length - 1;
    let at = h1 & mask;
    for (let entry = slots[at]; entry >= 0; entry = slots[at]) {
      if (hashes[2 * entry] === h1 >>> 0 && hashes[2 * entry + 1] === h2 >>> 0) {
        counts[entry]++;
        return entry;
      }
      at = (at + 1) & mask;
    }
    this.#free = at;
    return -1;
  }

  /**
   * Adds the value that `countKnown` has just not found.
   *
   * @returns Whether it is counted exactly from now on, or only goes into the estimate.
   */
  add(
    h1: number,
    h2: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    characters: number,
    number: number,
  ): boolean {
    const state = this.#state;
    if (state.size === this.#limit && !state.registers) {
      state.registers = new Uint8Array(REGISTERS);
      for (let i = 0; i < state.size; i++) note(state.registers, state.hashes[2 * i], state.hashes[2 * i + 1]);
    }
    if (state.registers) {
      note(state.registers, h1, h2);
      return false;
    }
    if (state.size === state.counts.length) this.#grow();
    const entry = state.size++;
    state.hashes[2 * entry] = h1;
    state.hashes[2 * entry + 1] = h2;
    state.counts[entry] = 1;
    state.lengths[entry] = characters;
    state.numbers[entry] = number;
    const shown = bytes.subarray(start, Math.min(end, start + SHOWN_BYTES));
    const from = entry === 0 ? 0 : state.ends[entry - 1];
    if (from + shown.length > state.texts.length) state.texts = grown(state.texts, from + shown.length);
    state.texts.set(shown, from);
    state.ends[entry] = from + shown.length;
    this.#slots[this.#free] = entry;
    if (state.size * 2 > this.#slots.length) this.#slots = this.#fill(this.#slots.length * 2);
    return true;
  }

  /** The number that a known value probably stands for. */
  numberOf(entry: number): number {
    return this.#state.numbers[entry];
  }

  /** Calls back with each value counted exactly: its first bytes, how often it occurs, and its characters. */
  forEach(callback: (bytes: Uint8Array, start: number, end: number, count: number, characters: number) => void): void {
    const { size, counts, ends, texts, lengths } = this.#state;
    for (let i = 0; i < size; i++) callback(texts, i === 0 ? 0 : ends[i - 1], ends[i], counts[i], lengths[i]);
  }

  /** Whether a value counted exactly occurs more than once. */
  get isRepeated(): boolean {
    const { size, counts } = this.#state;
    return counts.subarray(0, size).some((count) => count > 1);
  }

  /** The most frequent of the values counted exactly; among equals, the first seen comes first. */
  top(count: number): { value: string; count: number }[] {
    const { size, counts, ends, texts } = this.#state;
    const order = Array.from({ length: size }, (_, i) => i).sort((a, b) => counts[b] - counts[a] || a - b);
    return order.slice(0, count).map((entry) => ({
      value: shownText(texts.subarray(entry === 0 ? 0 : ends[entry - 1], ends[entry])),
      count: counts[entry],
    }));
  }

  #grow(): void {
    const state = this.#state;
    const size = state.size * 2;
    state.hashes = grown(state.hashes, size * 2);
    state.counts = grown(state.counts, size);
    state.numbers = grown(state.numbers, size);
    state.lengths = grown(state.lengths, size);
    state.ends = grown(state.ends, size);
  }

  #fill(length: number): Int32Array {
    const { size, hashes } = this.#state;
    const slots = new Int32Array(length).fill(-1);
    for (let entry = 0; entry < size; entry++) {
      let at = hashes[2 * entry] & (length - 1);
      while (slots[at] >= 0) at = (at + 1) & (length - 1);
      slots[at] = entry;
    }
    return slots;
  }
}

function slotsFor(size: number): number {
  let slots = 64;
  while (slots < size * 2) slots *= 2;
  return slots;
}

function grown<T extends Uint8Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Float64Array<ArrayBuffer>>(
  array: T,
  atLeast: number,
): T {
  const larger = new (array.constructor as new (length: number) => T)(Math.max(atLeast, array.length * 2));
  larger.set(array);
  return larger;
}

/** The text of a value, which may have been cut in the middle of a character. */
export function shownText(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes, { stream: true });
}

/** Distinct values that are counted exactly in each column of a file with this many columns. */
export function distinctLimit(columns: number): number {
  return Math.min(DISTINCT, Math.floor(DISTINCT_TOGETHER / columns));
}

// HyperLogLog (Flajolet, Fusy, Gandouet, Meunier, 2007) with 2^14 registers: standard error 1.04 / sqrt(2^14) = 0.8 %.
const PRECISION = 14;
const REGISTERS = 2 ** PRECISION;
/** Bits of the word that a register's value is made of. */
const BITS = 32;

/** The register is chosen by one word of the hash, its value by the other: 1 + leading zeros. */
function note(registers: Uint8Array, h1: number, h2: number): void {
  const at = h1 >>> (32 - PRECISION);
  const rank = Math.clz32(h2) + 1;
  if (rank > registers[at]) registers[at] = rank;
}

/**
 * How many different hashes were noted, by the improved estimator of O. Ertl ("New cardinality estimation algorithms
 * for HyperLogLog sketches", 2017, algorithm 6): it needs no corrections and has no bias at any count.
 */
function estimate(registers: Uint8Array): number {
  const counts = new Float64Array(BITS + 2);
  for (const rank of registers) counts[rank]++;
  let sum = REGISTERS * tau(1 - counts[BITS + 1] / REGISTERS);
  for (let rank = BITS; rank >= 1; rank--) sum = 0.5 * (sum + counts[rank]);
  sum += REGISTERS * sigma(counts[0] / REGISTERS);
  return Math.round(REGISTERS * REGISTERS / (2 * Math.LN2 * sum));
}

function sigma(x: number): number {
  if (x === 1) return Infinity;
  let [sum, weight] = [x, 1];
  for (let before = NaN; before !== sum; weight *= 2) {
    x *= x;
    before = sum;
    sum += x * weight;
  }
  return sum;
}

function tau(x: number): number {
  if (x === 0 || x === 1) return 0;
  let [sum, weight] = [1 - x, 1];
  for (let before = NaN; before !== sum;) {
    x = Math.sqrt(x);
    before = sum;
    weight *= 0.5;
    sum -= (1 - x) ** 2 * weight;
  }
  return sum / 3;
}
