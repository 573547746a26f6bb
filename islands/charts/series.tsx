/**
 * What the charts show of a series: throughput, latency and depth.
 *
 * @module
 */

import type { JSX } from "preact";
import type { SeriesAnswer, SeriesBucket } from "../../queue/task/api_types.ts";
import { duration, number } from "../app/format.ts";
import type { Store } from "../app/state.ts";
import { titleOf } from "../app/store.ts";
import { hrefOf, UNFILTERED, type View } from "../app/url.ts";

/** A line of a chart. */
export interface Line {
  label: string;
  /** Name of the style: a colour and a dash. */
  style: string;
  values: (number | null)[];
}

/** A chart: its lines, and how their values are written. */
export interface Chart {
  name: string;
  caption: JSX.Element | string;
  lines: Line[];
  show(value: number): string;
}

/** The range in words. */
const RANGE_WORDS: Record<string, string> = { "15m": "15 minutes", "1h": "hour", "24h": "24 hours", "30d": "30 days" };

/** The charts of a series. */
export function chartsOf(store: Store, { buckets, bucket_seconds, range }: SeriesAnswer): Chart[] {
  const view = store.view.value;
  const perMinute = (count: number) => count * 60 / bucket_seconds;
  const of = (label: string, style: string, value: (bucket: SeriesBucket) => number | null): Line => ({
    label,
    style,
    values: buckets.map(value),
  });
  const types = [...new Set(buckets.flatMap(({ waiting }) => Object.keys(waiting)))]
    .filter((type) => buckets.some(({ waiting }) => (waiting[type] ?? 0) > 0));
  const styleOf = (type: string) => `series-${1 + Math.max(0, store.types.findIndex((one) => one.type === type)) % 6}`;
  const depths = types.slice(0, 6).map((type) =>
    of(titleOf(store, type), styleOf(type), ({ waiting }) => waiting[type] ?? 0)
  );
  const ended = [...new Set(buckets.flatMap(({ by_type }) => Object.keys(by_type)))].slice(0, 6);
  const sum = (value: (bucket: SeriesBucket) => number) => buckets.reduce((sum, bucket) => sum + value(bucket), 0);
  const all = ({ succeeded, failed, cancelled }: SeriesBucket) => succeeded + failed + cancelled;
  const peak = Math.max(0, ...buckets.map((bucket) => perMinute(all(bucket))));
  const list = (text: string, statuses: View["statuses"]) => (
    <a
      href={hrefOf(view, { ...UNFILTERED, task_types: view.task_types, statuses, ended_from: buckets[0].at })}
      title="The tasks that ended then, but for those that were retried or deleted since"
    >
      {text}
    </a>
  );
  return [
    {
      name: "Throughput",
      caption: (
        <>
          Tasks finished per minute. Last {RANGE_WORDS[range]}: {list(`${number(sum(all))} finished`, [])},{" "}
          {list(`${number(sum(({ failed }) => failed))} failed`, ["FAILED"])}, peak {number(Math.round(peak * 10) / 10)}
          /min
        </>
      ),
      lines: view.group === "type" && ended.length > 0
        ? ended.map((type) => of(titleOf(store, type), styleOf(type), ({ by_type }) => perMinute(by_type[type] ?? 0)))
        : [
          of("succeeded", "success", ({ succeeded }) => perMinute(succeeded)),
          of("failed", "failed", ({ failed }) => perMinute(failed)),
          of("cancelled", "cancelled", ({ cancelled }) => perMinute(cancelled)),
        ],
      show: number,
    },
    {
      name: "Latency",
      caption: "Waiting and run times; failed runs excluded",
      lines: [
        of("run p50", "running", ({ run_p50 }) => run_p50),
        of("run p95", "running-2", ({ run_p95 }) => run_p95),
        of("wait p50", "pending", ({ wait_p50 }) => wait_p50),
        of("wait p95", "pending-2", ({ wait_p95 }) => wait_p95),
      ],
      show: duration,
    },
    {
      name: "Queue depth",
      caption: "Waiting tasks by type",
      lines: depths.length > 0 ? depths : [of("waiting", "series-1", () => 0)],
      show: number,
    },
  ];
}
