/**
 * Quantiles of a column of numbers. Values up to the limit are known exactly, with their counts; all others go into a
 * digest that approximates their distribution.
 *
 * @module
 */

/** Numbers that go into the digest at once. */
const BATCH = 8_192;
/** Approximate maximum of centroids in the digest: the error of a rank is below `q (1 - q) / COMPRESSION * 4`. */
const COMPRESSION = 500;

/** A value and how often it occurs. */
export type Weighted = readonly [value: number, count: number];

/** The queries that a distribution answers. */
export interface Distribution {
  /** The value below which a share `q` lies. */
  quantile(q: number): number;
  /** The share that lies below a value. */
  rank(value: number): number;
}

/** Everything that a {@linkcode Digest} has gathered. */
export interface DigestState {
  /** Numbers that are not in the digest yet; those up to `pending` count. */
  numbers: Float64Array<ArrayBuffer>;
  pending: number;
  /** Mean and size of each centroid, in order. */
  centroids: Float64Array<ArrayBuffer>;
}

/**
 * A merging t-digest (Dunning, Ertl: "Computing extremely accurate quantiles using t-digests", 2019). Batches are
 * merged at the same numbers wherever a file is split into blocks, and nothing is random: the same numbers give the
 * same digest.
 */
export class Digest {
  readonly #numbers: Float64Array<ArrayBuffer>;
  #pending: number;
  #centroids: Float64Array<ArrayBuffer>;

  constructor(state?: DigestState) {
    this.#numbers = state?.numbers ?? new Float64Array(BATCH);
    this.#pending = state?.pending ?? 0;
    this.#centroids = state?.centroids ?? new Float64Array();
  }

  /** What has been gathered. This object and the state share their memory. */
  state(): DigestState {
    return { numbers: this.#numbers, pending: this.#pending, centroids: this.#centroids };
  }

  /** Takes a number. */
  add(number: number): void {
    if (this.#pending === BATCH) this.#merge();
    this.#numbers[this.#pending++] = number;
  }

  /** All centroids in order, each with how many numbers it represents. */
  finish(): Weighted[] {
    if (this.#pending > 0) this.#merge();
    const centroids = this.#centroids;
    return Array.from({ length: centroids.length / 2 }, (_, i) => [centroids[2 * i], centroids[2 * i + 1]]);
  }

  /** Merges pending numbers into the centroids, and neighbouring centroids as far as their rank allows. */
  #merge(): void {
    const fresh = this.#numbers.subarray(0, this.#pending).sort();
    const old = this.#centroids;
    let total = fresh.length;
    for (let i = 1; i < old.length; i += 2) total += old[i];
    const merged: number[] = [];
    let [mean, size, before] = [0, 0, 0];
    const take = (value: number, count: number) => {
      const q = (before + (size + count) / 2) / total;
      // A centroid may hold more in the middle than at the ends.
      if (size > 0 && size + count > Math.max(1, 4 * total * q * (1 - q) / COMPRESSION)) {
        merged.push(mean, size);
        before += size;
        [mean, size] = [value, count];
      } else {
        size += count;
        mean += (value - mean) * count / size;
      }
    };
    for (let i = 0, k = 0; i < fresh.length || k < old.length;) {
      if (k >= old.length || i < fresh.length && fresh[i] <= old[k]) take(fresh[i++], 1);
      else {
        take(old[k], old[k + 1]);
        k += 2;
      }
    }
    if (size > 0) merged.push(mean, size);
    this.#centroids = Float64Array.from(merged);
    this.#pending = 0;
  }
}

/**
 * The distribution of exactly known values and of centroids. Without centroids it is exact.
 *
 * @param known Each different value with its count.
 * @param outline Centroids. Half of a centroid's numbers are assumed to lie on each side, spread evenly up to the next.
 */
export function distributionOf(known: Weighted[], outline: Weighted[], min: number, max: number): Distribution {
  const exact = cumulated(known.toSorted((a, b) => a[0] - b[0]));
  const rough = cumulated(outline);
  const total = exact.total + rough.total;
  /** How many of the outlined numbers lie below a value. */
  const roughBelow = (value: number) => {
    const { values, upTo, total } = rough;
    if (total === 0 || value <= min) return 0;
    if (value >= max) return total;
    const i = values.findIndex(([mean]) => mean > value);
    // Each centroid stands in the middle of its numbers.
    const centre = (k: number) => upTo[k] - values[k][1] / 2;
    const [fromValue, from] = i === 0
      ? [min, 0]
      : i < 0
      ? [values.at(-1)![0], centre(values.length - 1)]
      : [values[i - 1][0], centre(i - 1)];
    const [toValue, to] = i < 0 ? [max, total] : [values[i][0], centre(i)];
    return toValue > fromValue ? from + (to - from) * (value - fromValue) / (toValue - fromValue) : to;
  };
  const exactBelow = (value: number) => {
    const { values, upTo } = exact;
    const i = first(values.length, (k) => values[k][0] >= value);
    return i === 0 ? 0 : upTo[i - 1];
  };
  const rank = (value: number) => (exactBelow(value) + roughBelow(value)) / total;
  const valueAt = (index: number) => exact.values[first(exact.values.length, (k) => exact.upTo[k] > index)][0];
  const quantile = (q: number) => {
    if (rough.total === 0) {
      const index = (total - 1) * q;
      const low = valueAt(Math.floor(index));
      return low + (valueAt(Math.ceil(index)) - low) * (index % 1);
    }
    // Ranks never decrease: the value is where they pass q, within the precision of a double.
    let [low, high] = [min, max];
    for (let i = 0; i < 100 && low < high; i++) {
      const middle = low + (high - low) / 2;
      if (middle === low || middle === high) break;
      if (rank(middle) <= q) low = middle;
      else high = middle;
    }
    // If an exactly known value lies in the remaining interval, that value is the result.
    const i = first(exact.values.length, (k) => exact.values[k][0] >= low);
    const near = exact.values[i]?.[0];
    return near !== undefined && near <= high ? near : low;
  };
  return { quantile, rank };
}

function cumulated(values: Weighted[]): { values: Weighted[]; upTo: number[]; total: number } {
  let total = 0;
  return { values, upTo: values.map(([, count]) => total += count), total };
}

/** The first of `count` for which `is` holds; it holds for all after it. */
function first(count: number, is: (i: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (is(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
