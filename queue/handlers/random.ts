/**
 * Random numbers for generated data and samples: the same seed gives the same numbers, so results are reproducible.
 *
 * @module
 */

/** A small random number generator (mulberry32): the same state gives the same numbers. */
export class Random {
  /** The whole state: 32 bits that can be saved and given to another generator. */
  state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** The next number, from 0 to below 1. */
  next(): number {
    const state = this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }
}

/** Numbers from 0 to below 1 for generated data. */
export function randomFrom(seed: number): () => number {
  const random = new Random(seed);
  return () => random.next();
}

/** A seed from a text, for example a task's id (FNV-1a). */
export function seedOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
