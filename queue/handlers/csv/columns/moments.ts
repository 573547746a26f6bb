/**
 * Sums over numbers: how many, their sum, mean, spread, range and distribution.
 *
 * @module
 */

import { Digest, type DigestState, type Weighted } from "./quantiles.ts";

/** Everything that {@linkcode Moments} has gathered. */
export interface MomentsState {
  count: number;
  sums: [sum: number, compensation: number, mean: number, m2: number, shift: number];
  /** Whole numbers: the part of their sum that a double holds exactly, and the rest. */
  whole: [number, bigint];
  range: [min: number, max: number];
  /** These as they stand in the file, where that is needed. */
  texts: [min: string, max: string];
  large: [min: bigint, max: bigint] | null;
  digest: DigestState | null;
}

/** The largest sum that takes another number of up to 15 digits and is still exact. */
const EXACT = 2 ** 52;

/** A whole number near a number. */
function shiftBy(value: number): number {
  return Number.isFinite(value) ? Math.trunc(value) : 0;
}

/** Gathers numbers, one at a time or as often as they occur. */
export class Moments {
  count = 0;
  min = Infinity;
  max = -Infinity;
  /** The least and greatest as they stand in the file, where that is needed. */
  minText = "";
  maxText = "";
  /** The least and greatest of the whole numbers that a double may not hold. */
  large: [min: bigint, max: bigint] | null = null;
  #sum = 0;
  #compensation = 0;
  /** A whole number near the first: the mean and the squares are those of the distances to it, which lose no digits. */
  #shift = 0;
  #mean = 0;
  #m2 = 0;
  #whole = 0;
  #wholes = 0n;
  #digest: Digest | null = null;

  /** Goes on from a saved state. */
  static from(state: MomentsState): Moments {
    const moments = new Moments();
    moments.count = state.count;
    [moments.#sum, moments.#compensation, moments.#mean, moments.#m2, moments.#shift] = state.sums;
    [moments.#whole, moments.#wholes] = state.whole;
    [moments.min, moments.max] = state.range;
    [moments.minText, moments.maxText] = state.texts;
    moments.large = state.large;
    moments.#digest = state.digest && new Digest(state.digest);
    return moments;
  }

  /** What has been gathered so far. */
  state(): MomentsState {
    return {
      count: this.count,
      sums: [this.#sum, this.#compensation, this.#mean, this.#m2, this.#shift],
      whole: [this.#whole, this.#wholes],
      range: [this.min, this.max],
      texts: [this.minText, this.maxText],
      large: this.large,
      digest: this.#digest?.state() ?? null,
    };
  }

  /** Adds a number that occurs `times` times; `exact` is it where a double may not hold it. */
  add(value: number, times: number, exact: bigint | null = null): void {
    if (this.count === 0) this.#shift = shiftBy(value);
    const total = this.count + times;
    this.#addToSum(value * times);
    const distance = exact === null ? value - this.#shift : Number(exact - BigInt(this.#shift));
    const delta = distance - this.#mean;
    this.#mean += delta * times / total;
    this.#m2 += delta * (distance - this.#mean) * times;
    this.count = total;
  }

  /** Adds a whole number that a double holds exactly to the exact sum. */
  addWhole(value: number): void {
    this.#whole += value;
    if (Math.abs(this.#whole) < EXACT) return;
    this.#wholes += BigInt(this.#whole);
    this.#whole = 0;
  }

  /** Adds such a number `times` times. */
  addTimes(value: number, times: number): void {
    this.#wholes += BigInt(value) * BigInt(times);
  }

  /** Adds any whole number, `times` times, to the exact sum and range. */
  addExact(value: bigint, times: number): void {
    this.#wholes += value * BigInt(times);
    const [min, max] = this.large ?? [value, value];
    this.large = [value < min ? value : min, value > max ? value : max];
  }

  /** Takes a number into the digest. */
  outline(value: number): void {
    (this.#digest ??= new Digest()).add(value);
  }

  /** Adds all of another one. */
  merge(other: Moments): void {
    if (other.count > 0) {
      if (this.count === 0) this.#shift = other.#shift;
      const total = this.count + other.count;
      const delta = other.#shift - this.#shift + other.#mean - this.#mean;
      this.#m2 += other.#m2 + delta * delta * this.count * other.count / total;
      this.#mean += delta * other.count / total;
      this.#addToSum(other.#sum);
      this.#compensation += other.#compensation;
      this.count = total;
    }
    if (other.min < this.min) [this.min, this.minText] = [other.min, other.minText];
    if (other.max > this.max) [this.max, this.maxText] = [other.max, other.maxText];
    this.#wholes += other.#wholes + BigInt(other.#whole);
    if (other.large) {
      const [min, max] = this.large ?? other.large;
      this.large = [min < other.large[0] ? min : other.large[0], max > other.large[1] ? max : other.large[1]];
    }
  }

  /** The sum with what was lost to rounding (Neumaier). */
  get sum(): number {
    return this.#sum + this.#compensation;
  }

  /** The exact sum of the whole numbers. */
  get wholeSum(): bigint {
    return this.#wholes + BigInt(this.#whole);
  }

  /** The mean; also where the sum is beyond what a double can hold. */
  get mean(): number {
    const { sum } = this;
    return Number.isFinite(sum) ? sum / this.count : this.#shift + this.#mean;
  }

  /** The standard deviation of the sample, with n - 1 (Welford; merged by Chan, Golub, LeVeque). */
  get standardDeviation(): number | null {
    return this.count > 1 ? Math.sqrt(Math.max(0, this.#m2) / (this.count - 1)) : null;
  }

  /** The distribution of the numbers taken into the digest. */
  centroids(): Weighted[] {
    return this.#digest?.finish() ?? [];
  }

  #addToSum(value: number): void {
    const sum = this.#sum + value;
    this.#compensation += Math.abs(this.#sum) >= Math.abs(value) ? this.#sum - sum + value : value - sum + this.#sum;
    this.#sum = sum;
  }
}
