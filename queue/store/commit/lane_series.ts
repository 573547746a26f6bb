/**
 * What a lane of commits adds to the time series: samples of what happened to the tasks of each type, minute by
 * minute. A lane writes its own part in the same atomic as the tasks that it counts, so the numbers are exact and cost
 * no commit of their own.
 *
 * @module
 */

import { encode } from "../codec.ts";
import { keys } from "../keys.ts";
import type { SeriesAnnotation } from "../../task/api_types.ts";
import { isTerminal, statusOf, type TaskState } from "../../task/record.ts";
import { type Change, type Put, readySince } from "../changeset.ts";

/**
 * A histogram of times: how many fell into each of its buckets. Bucket `i` holds what is over `RATIO ** (i - 1)` and up
 * to `RATIO ** i` milliseconds. Histograms are merged by adding (as in DDSketch: Masson, Rim and Lee 2019,
 * https://arxiv.org/abs/1908.10693).
 */
export type Histogram = Record<string, number>;

/** Ratio of a bucket's bounds: a quantile is then within 4.8 % of the truth. */
const RATIO = 1.1;
const LOG_RATIO = Math.log(RATIO);

/** Adds a time in milliseconds to a histogram. */
export function observe(histogram: Histogram, ms: number): void {
  const bucket = ms <= 1 ? 0 : Math.ceil(Math.log(ms) / LOG_RATIO);
  histogram[bucket] = (histogram[bucket] ?? 0) + 1;
}

/** The `q`-quantile of a histogram in milliseconds (0 to 1); null if it is empty. */
export function quantile(histogram: Histogram, q: number): number | null {
  const buckets = Object.entries(histogram).map(([bucket, count]) => [Number(bucket), count]).sort((a, b) =>
    a[0] - b[0]
  );
  const total = buckets.reduce((sum, [, count]) => sum + count, 0);
  let left = Math.max(1, Math.ceil(q * total));
  for (const [bucket, count] of buckets) {
    left -= count;
    // The value that is at most 4.8 % away from anything in the bucket.
    if (left <= 0) return bucket === 0 ? 1 : 2 * RATIO ** bucket / (RATIO + 1);
  }
  return null;
}

/** What happened to the tasks of a type within a minute or an hour. */
export interface Sample {
  submitted: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  /** By how much the number of PENDING tasks grew. */
  waiting: number;
  /** From ready to started, of every start. */
  wait: Histogram;
  /** From started to its end, of each attempt that succeeded. */
  run: Histogram;
}

/** An empty sample. */
export function emptySample(): Sample {
  return { submitted: 0, succeeded: 0, failed: 0, cancelled: 0, waiting: 0, wait: {}, run: {} };
}

const COUNTED = ["submitted", "succeeded", "failed", "cancelled", "waiting"] as const;

/** Adds one sample to another. */
export function addSample(into: Sample, sample: Sample): void {
  for (const field of COUNTED) into[field] += sample[field];
  for (const name of ["wait", "run"] as const) {
    for (const [bucket, count] of Object.entries(sample[name])) into[name][bucket] = (into[name][bucket] ?? 0) + count;
  }
}

/** A lane's samples of the current minute. */
export interface LaneSeries {
  /** Minutes since the epoch; never decreases, since an earlier minute's entry is complete. */
  minute: number;
  samples: Record<string, Sample>;
  /** Types that the last change has touched: their entries are written. */
  touched: string[];
}

/** A lane's series before its first commit. */
export const NO_SERIES: LaneSeries = { minute: 0, samples: {}, touched: [] };

const ENDED = { SUCCESS: "succeeded", FAILED: "failed", CANCELLED: "cancelled" } as const;

/** Adds changes to a lane's series. */
export function addSamples(series: LaneSeries, changes: Change[], now: number): LaneSeries {
  const minute = Math.max(series.minute, Math.floor(now / 60_000));
  const samples = minute === series.minute ? { ...series.samples } : {};
  const touched = new Set<string>();
  for (const { before, after } of changes) {
    const { task_type } = (after ?? before)!.task;
    if (!touched.has(task_type)) {
      const known = samples[task_type] ?? emptySample();
      samples[task_type] = { ...known, wait: { ...known.wait }, run: { ...known.run } };
      touched.add(task_type);
    }
    const sample = samples[task_type];
    const [from, to] = [before && statusOf(before), after && statusOf(after)];
    if (!before) sample.submitted++;
    const start = startOf(before, after);
    if (start !== null) observe(sample.wait, before?.task.placement ? start - readySince(before.task) : 0);
    if (from === to) continue;
    if (from === "PENDING") sample.waiting--;
    if (to === "PENDING") sample.waiting++;
    if (!to || !isTerminal(to)) continue;
    sample[ENDED[to]]++;
    const { completed_at, started_at } = after!.task;
    if (to === "SUCCESS") observe(sample.run, completed_at! - started_at!);
  }
  return { minute, samples, touched: [...touched] };
}

/** When a change started a task; null: it did not. What was claimed ahead is started later, or given back. */
export function startOf(before: TaskState | null, after: TaskState | null): number | null {
  if (before?.run && !before.run.waiting || !after) return null;
  if (after.run) return after.run.waiting ? null : after.run.started_at;
  return before?.run && after.task.attempt > before.task.attempt ? after.task.started_at : null;
}

/** The entries of a lane's series that a commit writes. */
export function seriesPuts({ minute, samples, touched }: LaneSeries, instance: string, lane: number): Put[] {
  return touched.map((type) => ({
    key: keys.minute(minute, type, instance, lane),
    value: encode(samples[type]),
  }));
}

/** Bytes that an entry of a series takes at most: a day has 193 buckets. */
export const SAMPLE_BYTES = 5_000;

/** The entry of an annotation of the charts: an instance started, a type was paused or resumed. */
export function annotationPut(at: number, by: string, mark: Omit<SeriesAnnotation, "at">): Put {
  return { key: keys.annotation(at, by), value: encode(mark) };
}
