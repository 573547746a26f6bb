/**
 * Time series: what happened to the tasks of each type, minute by minute. Each lane of commits writes its own part in
 * the same atomic as the tasks that it counts, so the numbers are exact and cost no extra commit. Minutes are kept for
 * a day; the janitor sums them up into hours, which are kept for thirty days.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { type Range, RANGES } from "../task/limits.ts";
import type { Clock } from "../task/clock.ts";
import { readCounts } from "../store/counts.ts";
import { decode, encode } from "../store/codec.ts";
import { getAll } from "../store/kv.ts";
import { keys } from "../store/keys.ts";
import type { SeriesAnnotation, SeriesAnswer, SeriesBucket } from "../task/api_types.ts";
import type { Put } from "../store/changeset.ts";
import { addSample, emptySample, quantile, type Sample } from "../store/commit/lane_series.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Minutes are kept this long. */
const MINUTES_KEPT_MS = 24 * HOUR_MS;
/** Hours and annotations are kept this long. */
const HOURS_KEPT_MS = 30 * 24 * HOUR_MS;
/** An hour is summed up this long after its end, when every lane has written its part. */
const HOUR_SETTLED_MS = 5 * MINUTE_MS;

/** The samples of each minute from `from` on, by minute (since the epoch) and type. */
async function readMinutes(kv: Deno.Kv, from: number, until: number): Promise<Map<number, Map<string, Sample>>> {
  return await readSamples(kv, { start: [...keys.minutes(), from], end: [...keys.minutes(), until] });
}

async function readSamples(kv: Deno.Kv, selector: Deno.KvListSelector): Promise<Map<number, Map<string, Sample>>> {
  const found = new Map<number, Map<string, Sample>>();
  for await (const { key, value } of kv.list(selector, { batchSize: 500 })) {
    const [, , at, type] = key as [string, string, number, string];
    const types = found.get(at) ?? new Map<string, Sample>();
    found.set(at, types);
    const sample = types.get(type) ?? emptySample();
    addSample(sample, decode<Sample>(value));
    types.set(type, sample);
  }
  return found;
}

/** How many tasks of each type have ended since a time, and how many of these FAILED, in whole minutes. */
export async function endsSince(
  kv: Deno.Kv,
  since: number,
  now: number,
): Promise<Map<string, { failed: number; ended: number }>> {
  const ends = new Map<string, { failed: number; ended: number }>();
  const last = Math.floor(now / MINUTE_MS);
  const first = last - Math.ceil((now - since) / MINUTE_MS) + 1;
  for (const types of (await readMinutes(kv, first, last + 1)).values()) {
    for (const [type, { succeeded, failed, cancelled }] of types) {
      const sum = ends.get(type) ?? { failed: 0, ended: 0 };
      sum.failed += failed;
      sum.ended += succeeded + failed + cancelled;
      ends.set(type, sum);
    }
  }
  return ends;
}

/** What the janitor writes and deletes: hours that are over and not summed up yet, and what is too old. */
export async function foldSeries(
  kv: Deno.Kv,
  now: number,
  limit: number,
): Promise<{ puts: Put[]; deletes: Deno.KvKey[] }> {
  const puts: Put[] = [];
  const deletes: Deno.KvKey[] = [];
  const hourOf = (ms: number) => Math.floor(ms / HOUR_MS);
  const settled = hourOf(now - HOUR_SETTLED_MS);
  // From the oldest minute on: after a long downtime, old minutes may not have been summed up yet.
  let first = settled;
  for await (const { key } of kv.list({ prefix: keys.minutes() }, { limit: 1 })) {
    first = Math.floor((key[2] as number) / 60);
  }
  const keptFrom = hourOf(now - MINUTES_KEPT_MS);
  for await (const { key } of kv.list({ prefix: keys.hours() }, { reverse: true, limit: 1 })) {
    // An hour without tasks leaves no entry; the last one that has some is summed up again, which changes nothing as
    // long as all of its minutes are there. Of older ones some may have been deleted already.
    const last = key[2] as number;
    first = Math.max(first, last < keptFrom ? last + 1 : last);
  }
  for (let hour = first; hour < settled; hour++) {
    const whole = new Map<string, Sample>();
    for (const types of (await readMinutes(kv, hour * 60, (hour + 1) * 60)).values()) {
      for (const [type, sample] of types) {
        const sum = whole.get(type) ?? emptySample();
        addSample(sum, sample);
        whole.set(type, sum);
      }
    }
    for (const [type, sample] of whole) puts.push({ key: keys.hour(hour, type), value: encode(sample) });
  }
  const old = [
    { prefix: keys.minutes(), end: [...keys.minutes(), Math.floor((now - MINUTES_KEPT_MS) / HOUR_MS) * 60] },
    { prefix: keys.hours(), end: [...keys.hours(), hourOf(now - HOURS_KEPT_MS)] },
    { prefix: keys.annotations(), end: [...keys.annotations(), now - HOURS_KEPT_MS] },
  ];
  for (const selector of old) {
    for await (const { key } of kv.list(selector, { limit, batchSize: 500 })) deletes.push(key);
  }
  const stored = await getAll(kv, puts.map(({ key }) => key));
  const isNew = ({ value }: Put, { value: known }: Deno.KvEntryMaybe<unknown>) =>
    !(known instanceof Uint8Array) || !Buffer.from(known).equals(value);
  return { puts: puts.filter((put, i) => isNew(put, stored[i])), deletes };
}

/** Reads the recent time series. */
export class Series {
  /** @ignore */
  constructor(private readonly kv: Deno.Kv, private readonly clock: Clock) {}

  /** What happened in a range up to now, bucket by bucket; of these types, or of all. */
  async read(range: Range, task_types?: readonly string[]): Promise<SeriesAnswer> {
    const counts = Object.entries(await readCounts(this.kv));
    const waiting = Object.fromEntries(counts.map(([type, { PENDING = 0 }]) => [type, PENDING]));
    return await readSeries(this.kv, range, this.clock.now(), waiting, task_types);
  }

  /** The 95th percentile of the run times of the last hour, by type; null if no run of it succeeded. */
  async lastHour(): Promise<Record<string, number | null>> {
    return await readLastHour(this.kv, this.clock.now());
  }
}

/** Reads the series of a range up to now; `waiting` is how many tasks of each type wait now. */
async function readSeries(
  kv: Deno.Kv,
  range: Range,
  now: number,
  waiting: Record<string, number>,
  task_types?: readonly string[],
): Promise<SeriesAnswer> {
  const { minutes, bucket } = RANGES[range];
  const last = Math.floor(now / MINUTE_MS / bucket) * bucket;
  const first = last - minutes + bucket;
  const samples = await readMinutes(
    kv,
    Math.max(first, Math.floor((now - MINUTES_KEPT_MS) / HOUR_MS) * 60),
    last + bucket,
  );
  if (minutes * MINUTE_MS > MINUTES_KEPT_MS) {
    const whole = [...samples.keys()].reduce((least, minute) => Math.min(least, Math.floor(minute / 60)), Infinity);
    const hours = { start: [...keys.hours(), Math.floor(first / 60)], end: [...keys.hours(), last + bucket] };
    for (const [hour, types] of await readSamples(kv, hours)) if (hour < whole) samples.set(hour * 60, types);
  }
  const byBucket = new Map<number, Map<string, Sample>>();
  for (const [minute, types] of samples) {
    const at = Math.floor(minute / bucket) * bucket;
    const sums = byBucket.get(at) ?? new Map<string, Sample>();
    byBucket.set(at, sums);
    for (const [type, sample] of types) {
      if (task_types && !task_types.includes(type)) continue;
      const sum = sums.get(type) ?? emptySample();
      addSample(sum, sample);
      sums.set(type, sum);
    }
  }
  const depth = new Map(Object.entries(waiting).filter(([type]) => !task_types || task_types.includes(type)));
  for (const sums of byBucket.values()) for (const type of sums.keys()) if (!depth.has(type)) depth.set(type, 0);
  const buckets: SeriesBucket[] = [];
  // Backwards: the number waiting at the end of a bucket is the current number minus all later changes.
  for (let at = last; at >= first; at -= bucket) {
    const sums = byBucket.get(at) ?? new Map<string, Sample>();
    const all = emptySample();
    for (const sample of sums.values()) addSample(all, sample);
    const { submitted, succeeded, failed, cancelled } = all;
    buckets.push({
      at: new Date(at * MINUTE_MS).toISOString(),
      submitted,
      succeeded,
      failed,
      cancelled,
      wait_p50: quantile(all.wait, 0.5),
      wait_p95: quantile(all.wait, 0.95),
      run_p50: quantile(all.run, 0.5),
      run_p95: quantile(all.run, 0.95),
      waiting: Object.fromEntries([...depth].map(([type, count]) => [type, Math.max(0, count)])),
      by_type: Object.fromEntries(
        [...sums].map(([type, { succeeded, failed, cancelled }]) => [type, succeeded + failed + cancelled]),
      ),
    });
    for (const [type, sample] of sums) depth.set(type, depth.get(type)! - sample.waiting);
  }
  const marks: SeriesAnnotation[] = [];
  for await (
    const { key, value } of kv.list({ prefix: keys.annotations(), start: [...keys.annotations(), first * MINUTE_MS] }, {
      limit: 200,
    })
  ) {
    marks.push({ at: new Date(key[1] as number).toISOString(), ...decode<Omit<SeriesAnnotation, "at">>(value) });
  }
  return {
    range,
    bucket_seconds: bucket * 60,
    buckets: buckets.reverse(),
    marks: marks.filter(({ task_type }) => !task_types || task_type === null || task_types.includes(task_type)),
  };
}

/** The 95th percentile of each type's run times in the last hour, of runs that succeeded. */
async function readLastHour(kv: Deno.Kv, now: number): Promise<Record<string, number | null>> {
  const last = Math.floor(now / MINUTE_MS);
  const sums = new Map<string, Sample>();
  for (const types of (await readMinutes(kv, last - 59, last + 1)).values()) {
    for (const [type, sample] of types) {
      const sum = sums.get(type) ?? emptySample();
      addSample(sum, sample);
      sums.set(type, sum);
    }
  }
  return Object.fromEntries([...sums].map(([type, { run }]) => [type, quantile(run, 0.95)]));
}
