/**
 * Statistics of a CSV column, one value at a time, in memory that grows with the columns and not with the rows.
 *
 * @module
 */

import { type DistinctState, DistinctValues, SHOWN_BYTES, shownText } from "./distinct.ts";
import { Moments, type MomentsState } from "./moments.ts";
import type { NullWords } from "./nulls.ts";
import { ColumnOrder, compare, Order, type OrderState } from "./order.ts";
import { distributionOf } from "./quantiles.ts";
import type { Reading } from "./readings.ts";
import { type ColumnFits, type ColumnStatistics, histogramOf, meanOf, shownWhole, wholeExtreme } from "./statistics.ts";
import { DATE, exactOf, Fit, NUMBER, ValueReader } from "./values.ts";

const TOP = 5;

/** Everything that a column has collected: flat arrays, which can be transferred and saved as they are. */
export interface ColumnState {
  name: string;
  count: number;
  missing: number;
  /** What all values fit, and what any of them does: bits of {@linkcode Fit}. */
  fits: [all: number, any: number];
  unit: string | null;
  /** Numbers beyond the distinct values: those that read alike both ways, and those of each reading. */
  moments: (MomentsState | null)[];
  /** Characters of the values beyond the distinct ones: least, most, all. */
  lengths: [number, number, number];
  /** First bytes of the least and the greatest value. */
  texts: [least: Uint8Array<ArrayBuffer>, greatest: Uint8Array<ArrayBuffer>] | null;
  order: OrderState;
  distinct: DistinctState;
}

const [BOTH, FIRST, SECOND] = [0, 1, 2];
const MIXED = "\0";

/** Collects the statistics of one column. */
export class Column implements ColumnFits {
  readonly name: string;
  count = 0;
  all = -1;
  any = 0;
  readonly #reader = new ValueReader();
  #missing = 0;
  #unit: string | null = null;
  #moments: (Moments | null)[] = [null, null, null];
  #lengths: [number, number, number] = [Infinity, 0, 0];
  #least: Uint8Array<ArrayBuffer> | null = null;
  #greatest: Uint8Array<ArrayBuffer> | null = null;
  #order = new ColumnOrder();
  #isOrdered = true;
  #lastEntry = -1;
  #distinct: DistinctValues;
  /** The number that the last value probably stands for; NaN if it is missing or text. Kept up while it is tracked. */
  number = NaN;
  isTracked = true;

  /** @param limit Most distinct values that are counted exactly. */
  constructor(
    name: string,
    limit: number,
    private readonly nulls: NullWords,
    private readonly commaFirst: boolean,
  ) {
    this.name = name;
    this.#distinct = new DistinctValues(limit);
  }

  /** A column that continues from the saved state of another. */
  static from(state: ColumnState, limit: number, nulls: NullWords, commaFirst: boolean): Column {
    const column = new Column(state.name, limit, nulls, commaFirst);
    column.count = state.count;
    column.#missing = state.missing;
    [column.all, column.any] = state.fits;
    column.#unit = state.unit;
    column.#moments = state.moments.map((moments) => moments && Moments.from(moments));
    column.#lengths = state.lengths;
    if (state.texts) [column.#least, column.#greatest] = state.texts;
    column.#order = new ColumnOrder(state.order);
    column.#isOrdered = column.#order.isOrdered;
    column.#distinct = new DistinctValues(limit, state.distinct);
    return column;
  }

  /** What has been gathered so far. */
  state(): ColumnState {
    return {
      name: this.name,
      count: this.count,
      missing: this.#missing,
      fits: [this.all, this.any],
      unit: this.#unit,
      moments: this.#moments.map((moments) => moments?.state() ?? null),
      lengths: this.#lengths,
      texts: this.#least ? [this.#least, this.#greatest!] : null,
      order: this.#order.state(),
      distinct: this.#distinct.state,
    };
  }

  get unit(): string | null {
    return this.#unit === MIXED ? null : this.#unit;
  }

  /** Whether both readings give the same numbers. */
  get readsAlike(): boolean {
    return (this.any & Fit.DIFFERS) === 0;
  }

  /** Adds a missing value. */
  addMissing(): void {
    this.#missing++;
    this.number = NaN;
  }

  /**
   * Adds the value in `bytes` from `start` up to, not including, `end`, without white space around it.
   *
   * @returns The index of the word for a missing value that it is; -1 if it is a value.
   */
  add(bytes: Uint8Array, start: number, end: number): number {
    // Two lanes over words of four bytes, then over single bytes, each mixed at the end as MurmurHash3 does.
    let h1 = 0x811c9dc5;
    let h2 = 0x9747b28c;
    let bits = 0;
    let i = start;
    for (; i + 4 <= end; i += 4) {
      const word = bytes[i] | bytes[i + 1] << 8 | bytes[i + 2] << 16 | bytes[i + 3] << 24;
      bits |= word;
      h1 = Math.imul(h1 ^ word, 0xcc9e2d51);
      h1 ^= h1 >>> 15;
      h2 = Math.imul(h2 ^ word, 0x5bd1e995) + (h2 >>> 15) | 0;
      h2 ^= h2 >>> 13;
    }
    for (; i < end; i++) {
      const byte = bytes[i];
      bits |= byte;
      h1 = Math.imul(h1 ^ byte, 0x01000193);
      h2 = Math.imul(h2 ^ byte, 0x5bd1e995) + (h2 >>> 15) | 0;
    }
    h1 = mixed(h1 ^ (end - start));
    h2 = mixed(h2);
    const known = this.#distinct.countKnown(h1, h2);
    if (known >= 0) {
      this.count++;
      if (this.isTracked) this.number = this.#distinct.numberOf(known);
      if (!this.#isOrdered) return -1;
      if (known === this.#lastEntry) this.#order.alive &= ~Order.STRICT;
      else this.#compare(bytes, start, end);
      this.#lastEntry = known;
      return -1;
    }
    const word = this.nulls.indexOf(bytes, start, end);
    if (word >= 0) {
      this.addMissing();
      return word;
    }
    this.count++;
    const reader = this.#reader;
    const fit = reader.read(bytes, start, end);
    const { first, second } = reader;
    this.all &= fit;
    this.any |= fit;
    if (fit & Fit.UNIT && this.#unit !== reader.unit) this.#unit = this.#unit === null ? reader.unit : MIXED;
    const isRead = (fit & (NUMBER | DATE)) !== 0;
    this.number = fit & NUMBER ? reader.preferred(this.commaFirst) : NaN;
    if (this.#isOrdered) this.#follow(bytes, start, end, isRead ? first : NaN, isRead ? second : NaN);
    const characters = (bits & 0x80808080) === 0 ? end - start : charactersOf(bytes, start, end);
    if (this.#distinct.add(h1, h2, bytes, start, end, characters, this.number)) {
      this.#lastEntry = this.#distinct.state.size - 1;
    } else {
      this.#lastEntry = -1;
      if (isRead) this.#addRead(bytes, start, end, fit, first, second);
      const lengths = this.#lengths;
      if (characters < lengths[0]) lengths[0] = characters;
      if (characters > lengths[1]) lengths[1] = characters;
      lengths[2] += characters;
    }
    if (this.#least === null || compare(bytes, start, end, this.#least) < 0) {
      this.#least = bytes.slice(start, Math.min(end, start + SHOWN_BYTES)) as Uint8Array<ArrayBuffer>;
    }
    if (this.#greatest === null || compare(bytes, start, end, this.#greatest) > 0) {
      this.#greatest = bytes.slice(start, Math.min(end, start + SHOWN_BYTES)) as Uint8Array<ArrayBuffer>;
    }
    return -1;
  }

  #compare(bytes: Uint8Array, start: number, end: number): void {
    const isRead = (this.#reader.read(bytes, start, end) & (NUMBER | DATE)) !== 0;
    const { first, second } = this.#reader;
    this.#follow(bytes, start, end, isRead ? first : NaN, isRead ? second : NaN);
  }

  #follow(bytes: Uint8Array, start: number, end: number, first: number, second: number): void {
    this.#order.add(bytes, start, end, first, second);
    this.#isOrdered = this.#order.isOrdered;
  }

  /** A number or date that is not among the distinct values. */
  #addRead(bytes: Uint8Array, start: number, end: number, fit: number, first: number, second: number): void {
    if (first === second) return this.#addTo(BOTH, first, bytes, start, end, fit, Fit.POINT_WHOLE);
    if (!Number.isNaN(first)) this.#addTo(FIRST, first, bytes, start, end, fit, Fit.POINT_WHOLE);
    if (!Number.isNaN(second)) this.#addTo(SECOND, second, bytes, start, end, fit, Fit.COMMA_WHOLE);
  }

  #addTo(at: number, value: number, bytes: Uint8Array, start: number, end: number, fit: number, whole: number): void {
    const moments = this.#moments[at] ??= new Moments();
    addValue(moments, value, 1, bytes, start, end, fit, whole);
    moments.outline(value);
  }

  /** The final statistics, read as the whole file is. */
  result({ type, reading, note }: Reading): ColumnStatistics {
    const numeric = type === "integer" || type === "decimal";
    const timed = type === "date";
    const { distinct, estimated } = this.#distinct.count();
    const [exact, known] = numeric || timed ? this.#readKnown(reading) : [new Moments(), []];
    const beyond = [this.#moments[BOTH], this.#moments[reading === "second" ? SECOND : FIRST]].filter((some) => !!some);
    const outline = beyond.flatMap((moments) => moments.centroids()).sort((a, b) => a[0] - b[0]);
    for (const moments of beyond) exact.merge(moments);
    const { min, max } = exact;
    const distribution = numeric || timed ? distributionOf(known, outline, min, max) : null;
    const isWhole = type === "integer";
    return {
      name: this.name,
      type,
      unit: numeric ? this.unit : null,
      note,
      count: this.count,
      missing: this.#missing,
      distinct,
      distinct_estimated: estimated,
      unique: this.#unique(estimated),
      sorted: this.#sorted(type, reading),
      sum: isWhole ? shownWhole(exact.wholeSum) : numeric && Number.isFinite(exact.sum) ? exact.sum : null,
      mean: numeric ? isWhole ? meanOf(exact.wholeSum, exact.count) : exact.mean : null,
      min: numeric
        ? isWhole ? wholeExtreme(exact, 0) : min
        : timed
        ? exact.minText
        : this.#least && shownText(this.#least),
      max: numeric
        ? isWhole ? wholeExtreme(exact, 1) : max
        : timed
        ? exact.maxText
        : this.#greatest && shownText(this.#greatest),
      standard_deviation: numeric ? exact.standardDeviation : null,
      quantiles: numeric && distribution
        ? {
          p25: distribution.quantile(0.25),
          p50: distribution.quantile(0.5),
          p75: distribution.quantile(0.75),
          p95: distribution.quantile(0.95),
          p99: distribution.quantile(0.99),
        }
        : null,
      lengths: type === "text" ? this.#textLengths() : null,
      top_values: this.#distinct.top(TOP),
      histogram: distribution && histogramOf(min, max, this.count, distribution, timed),
    };
  }

  /** The distinct values that are counted exactly, as numbers. */
  #readKnown(reading: Reading["reading"]): [Moments, [number, number][]] {
    const moments = new Moments();
    const known: [number, number][] = [];
    const reader = new ValueReader();
    this.#distinct.forEach((bytes, start, end, count) => {
      const fit = reader.read(bytes, start, end);
      const value = reading === "second" ? reader.second : reader.first;
      const whole = reading === "second" ? Fit.COMMA_WHOLE : Fit.POINT_WHOLE;
      addValue(moments, value, count, bytes, start, end, fit, whole);
      known.push([value, count]);
    });
    return [moments, known];
  }

  #unique(estimated: boolean): boolean | null {
    if (this.count === 0 || this.#missing > 0 || this.#distinct.isRepeated) return false;
    if (!estimated) return true;
    // In strict order none is repeated, however many there are.
    return this.#order.isOrdered && this.#order.alive & Order.STRICT ? true : null;
  }

  #sorted(type: ColumnStatistics["type"], reading: Reading["reading"]): "ascending" | "descending" | null {
    if (this.count < 2) return null;
    const isText = type === "text" || type === "boolean";
    const [up, down] = isText
      ? [Order.TEXT_UP, Order.TEXT_DOWN]
      : reading === "second"
      ? [Order.SECOND_UP, Order.SECOND_DOWN]
      : [Order.FIRST_UP, Order.FIRST_DOWN];
    const { alive } = this.#order;
    return alive & up ? "ascending" : alive & down ? "descending" : null;
  }

  #textLengths(): { min: number; max: number; mean: number } {
    let [min, max, all] = this.#lengths;
    this.#distinct.forEach((_bytes, _start, _end, count, characters) => {
      min = Math.min(min, characters);
      max = Math.max(max, characters);
      all += characters * count;
    });
    return { min, max, mean: all / this.count };
  }
}

/** Adds a value that occurs `times` times. `whole` is the bit that says that it is a whole number as it is read. */
function addValue(
  moments: Moments,
  value: number,
  times: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  fit: number,
  whole: number,
): void {
  const exact = fit & whole && fit & Fit.LARGE ? exactOf(shownText(bytes.subarray(start, end))) : null;
  moments.add(value, times, exact);
  if (value < moments.min) {
    moments.min = value;
    if (fit & DATE) moments.minText = shownText(bytes.subarray(start, end));
  }
  if (value > moments.max) {
    moments.max = value;
    if (fit & DATE) moments.maxText = shownText(bytes.subarray(start, end));
  }
  if (!(fit & whole)) return;
  if (exact !== null) moments.addExact(exact, times);
  else if (times === 1) moments.addWhole(value);
  else moments.addTimes(value, times);
}

function charactersOf(bytes: Uint8Array, start: number, end: number): number {
  let count = 0;
  for (let i = start; i < end; i++) if ((bytes[i] & 0xc0) !== 0x80) count++;
  return count;
}

/** The last steps of MurmurHash3 (Austin Appleby, public domain). */
function mixed(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
