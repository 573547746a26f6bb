/**
 * Words that stand for a missing value.
 *
 * @module
 */

/**
 * Words that count as missing unless others are given: those of pandas (`read_csv`, `na_values`), the `\N` of MySQL and
 * PostgreSQL, and dashes.
 */
export const NULL_VALUES: readonly string[] = [
  ...["NULL", "null", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-NaN", "-nan", "None", "#NA", "#N/A N/A"],
  ...["1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "\\N", "-", "–", "—"],
];

/** Finds the words in bytes. */
export class NullWords {
  readonly #words: Uint8Array[];
  /** By the first byte, the lengths of words that begin with it, as bits. */
  readonly #lengths = new Uint32Array(256);

  constructor(words: readonly string[]) {
    this.#words = words.map((word) => new TextEncoder().encode(word));
    // Lengths of 31 and more share a bit.
    for (const word of this.#words) if (word.length > 0) this.#lengths[word[0]] |= 1 << Math.min(word.length, 31);
  }

  /** The index of the word that these bytes are; -1 if they are none. */
  indexOf(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    return this.#lengths[bytes[start]] & (1 << (length < 31 ? length : 31)) ? this.#find(bytes, start, end) : -1;
  }

  #find(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    const words = this.#words;
    for (let n = 0; n < words.length; n++) {
      const word = words[n];
      if (word.length !== length || word[length - 1] !== bytes[end - 1]) continue;
      let i = 0;
      while (i < length && word[i] === bytes[start + i]) i++;
      if (i === length) return n;
    }
    return -1;
  }
}
