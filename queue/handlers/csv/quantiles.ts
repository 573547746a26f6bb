/**
 * Quantiles of a column of numbers: exact as long as all its different values are known, by a t-digest beyond.
 *
 * @module
 */

import tdigest from "tdigest";

interface Centroid {
  mean: number;
  n: number;
}

/** The part of the digest that is used here; the package has no types of its own. */
interface TDigest {
  push_centroid(centroid: Centroid): void;
  toArray(): Centroid[];
  percentile(q: number): number;
  p_rank(value: number): number;
}

/** Numbers that go into the digest at once. */
const BATCH = 8_192;
/** Fineness of the digest: a centroid holds at most about `4 n DELTA q (1 - q)` numbers. */
const DELTA = 0.01;
/** The digest is compressed when it has more centroids than this over DELTA. */
const K = 10;

const newDigest = (): TDigest => new tdigest.TDigest(DELTA, K);

/** Some value and how often it is there. */
export type Weighted = readonly [value: number, count: number];

/** What can be asked of a distribution. */
export interface Distribution {
  /** The value below which a share `q` lies. */
  quantile(q: number): number;
  /** The share that lies below a value. */
  rank(value: number): number;
}

/** Everything that {@linkcode Digest} has gathered. */
export interface DigestState {
  /** Numbers that are not in the digest yet; those up to `pending` count. */
  numbers: Float64Array<ArrayBuffer>;
  pending: number;
  /** Mean and size of each centroid. */
  centroids: Float64Array<ArrayBuffer>;
}

/** Gathers numbers without keeping each of them. */
export class Digest {
  readonly #numbers: Float64Array<ArrayBuffer>;
  #pending: number;
  readonly #digest = newDigest();

  constructor(state?: DigestState) {
    this.#numbers = state?.numbers ?? new Float64Array(BATCH);
    this.#pending = state?.pending ?? 0;
    const centroids = state?.centroids ?? [];
    for (let i = 0; i < centroids.length; i += 2) {
      this.#digest.push_centroid({ mean: centroids[i], n: centroids[i + 1] });
    }
  }

  /** What has been gathered. */
  state(): DigestState {
    const centroids = this.#digest.toArray().flatMap(({ mean, n }) => [mean, n]);
    return { numbers: this.#numbers, pending: this.#pending, centroids: Float64Array.from(centroids) };
  }

  /** Takes a number. */
  add(number: number): void {
    if (this.#pending === BATCH) this.#digestPending();
    this.#numbers[this.#pending++] = number;
  }

  /** Takes values that are known with their counts. */
  addAll(values: Weighted[]): void {
    this.#push(values.map(([mean, n]) => ({ mean, n })));
  }

  /** Ends the gathering. */
  finish(): Distribution {
    this.#digestPending();
    return {
      quantile: (q) => this.#digest.percentile(q),
      rank: (value) => this.#digest.p_rank(value),
    };
  }

  /** Sorted and grouped first, about as the digest would, which spares it a search for each number. */
  #digestPending(): void {
    const sorted = this.#numbers.subarray(0, this.#pending).sort();
    const count = sorted.length;
    const groups: Centroid[] = [];
    for (let from = 0; from < count;) {
      const q = (from + 0.5) / count;
      const size = Math.min(count - from, Math.max(1, Math.floor(count * DELTA * q * (1 - q))));
      let mean = 0;
      for (let i = from; i < from + size; i++) mean += sorted[i] / size;
      groups.push({ mean, n: size });
      from += size;
    }
    this.#push(groups);
    this.#pending = 0;
  }

  /** A digest merges nothing that comes in order: it is pushed in seven strides. */
  #push(groups: Centroid[]): void {
    const stride = 7;
    for (let from = 0; from < stride; from++) {
      for (let i = from; i < groups.length; i += stride) this.#digest.push_centroid(groups[i]);
    }
  }
}

/** The distribution of values that are all known: quantiles by linear interpolation between the two nearest. */
export function exactDistribution(values: Weighted[]): Distribution {
  const sorted = values.toSorted((a, b) => a[0] - b[0]);
  let total = 0;
  const upTo = sorted.map(([, count]) => total += count);
  /** The first of the values for which `is` holds; it holds for all after it. */
  const first = (is: (i: number) => boolean) => {
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (is(middle)) high = middle;
      else low = middle + 1;
    }
    return low;
  };
  const at = (index: number) => sorted[first((i) => upTo[i] > index)][0];
  return {
    quantile: (q) => {
      const index = (total - 1) * q;
      const low = at(Math.floor(index));
      return low + (at(Math.ceil(index)) - low) * (index - Math.floor(index));
    },
    rank: (value) => {
      const below = first((i) => sorted[i][0] >= value);
      return below === 0 ? 0 : upTo[below - 1] / total;
    },
  };
}
