/**
 * Charts over time: throughput, times and depth. The library that draws them is a chunk of its own, loaded when the
 * charts are opened; each chart is a table too.
 *
 * @module
 */

import "../app/shared.ts";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { SeriesAnswer, SeriesBucket } from "../../queue/task/api_types.ts";
import { clockTime, duration, number } from "../app/format.ts";
import { problemOf } from "../app/navigate.ts";
import type { Store } from "../app/state.ts";
import { titleOf } from "../app/store.ts";
import { CHART_RANGES, hrefOf } from "../app/url.ts";
import type uPlot from "uplot";

/** How often the series is read while it is visible. */
const READ_MS = 5_000;
const HEIGHT = 120;

interface Line {
  label: string;
  /** Name of the style: a colour and a dash. */
  style: string;
  values: (number | null)[];
}

interface Chart {
  name: string;
  caption: string;
  lines: Line[];
  show(value: number): string;
}

function chartsOf(store: Store, { buckets }: SeriesAnswer): Chart[] {
  const of = (label: string, style: string, value: (bucket: SeriesBucket) => number | null): Line => ({
    label,
    style,
    values: buckets.map(value),
  });
  const types = [...new Set(buckets.flatMap(({ waiting }) => Object.keys(waiting)))]
    .filter((type) => buckets.some(({ waiting }) => (waiting[type] ?? 0) > 0));
  const depths = types.slice(0, 6).map((type, i) =>
    of(titleOf(store, type), `series-${i + 1}`, ({ waiting }) => waiting[type] ?? 0)
  );
  return [
    {
      name: "Throughput",
      caption: "Finished tasks",
      lines: [
        of("succeeded", "success", ({ succeeded }) => succeeded),
        of("failed", "failed", ({ failed }) => failed),
        of("cancelled", "cancelled", ({ cancelled }) => cancelled),
      ],
      show: number,
    },
    {
      name: "Times",
      caption: "Run times exclude failed runs",
      lines: [
        of("run p50", "running", ({ run_p50 }) => run_p50),
        of("run p95", "running-2", ({ run_p95 }) => run_p95),
        of("wait p50", "pending", ({ wait_p50 }) => wait_p50),
        of("wait p95", "pending-2", ({ wait_p95 }) => wait_p95),
      ],
      show: duration,
    },
    {
      name: "Depth",
      caption: "Waiting tasks by type",
      lines: depths.length > 0 ? depths : [of("waiting", "series-1", () => 0)],
      show: number,
    },
  ];
}

/** A chart in one sentence. */
function summaryOf({ lines, show }: Chart): string {
  return lines.map(({ label, values }) => {
    const known = values.filter((value) => value !== null);
    return known.length === 0
      ? `${label}: no data`
      : `${label}: ${show(known[known.length - 1])}, at most ${show(Math.max(...known))}`;
  }).join("; ");
}

const DASHES: Record<string, number[]> = {
  failed: [6, 3],
  cancelled: [2, 3],
  "running-2": [6, 3],
  "pending-2": [2, 3],
};

function Plot({ chart, series, store }: { chart: Chart; series: SeriesAnswer; store: Store }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const style = store.preferences.value.time;
  const times = series.buckets.map((bucket) => Date.parse(bucket.at) / 1000);
  const data = [times, ...chart.lines.map(({ values }) => values)] as uPlot.AlignedData;
  const shape = chart.lines.map(({ label }) => label).join();
  const theme = store.preferences.value.theme;
  // The plot is created once and redrawn often: it must use the newest data, not the initial data.
  const latest = useRef({ data, times, series });
  latest.current = { data, times, series };
  const [missing, setMissing] = useState(false);

  useEffect(() => {
    let gone = false;
    const { current } = box;
    if (!current) return;
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: current.clientWidth, height: HEIGHT }));
    void import("uplot").then(({ default: UPlot }) => {
      if (gone) return;
      // A canvas does not support light-dark(): read the computed colour from an element.
      const probe = current.appendChild(document.createElement("span"));
      const color = (name: string) => {
        probe.style.color = `var(--chart-${name})`;
        return getComputedStyle(probe).color;
      };
      const { min: _, ...axis } = {
        min: 0,
        stroke: color("axis"),
        font: "12px system-ui",
        grid: { stroke: color("grid"), width: 1 },
        ticks: { show: false },
      };
      plot.current = new UPlot(
        {
          width: current.clientWidth,
          height: HEIGHT,
          legend: { show: false },
          cursor: { y: false, drag: { x: false, y: false } },
          scales: { y: { range: (_plot, _min, max) => [0, Math.max(1, max * 1.1)] } },
          axes: [
            {
              ...axis,
              values: (_plot, ticks) => ticks.map((tick) => clockTime(tick * 1000, style).slice(0, 5)),
              space: 60,
              size: 24,
            },
            { ...axis, values: (_plot, ticks) => ticks.map(chart.show), size: 56, space: 28 },
          ],
          series: [
            {},
            ...chart.lines.map(({ style }) => ({
              stroke: color(style),
              width: 2,
              dash: DASHES[style],
              points: { show: false },
              spanGaps: false,
            })),
          ],
          hooks: {
            setCursor: [(plot) => setAt(plot.cursor.idx ?? null)],
            // The last bucket is incomplete; restarts and pauses are annotated.
            drawAxes: [(plot) => {
              const { ctx, bbox } = plot;
              ctx.save();
              const { times, series } = latest.current;
              ctx.fillStyle = color("unfinished");
              const from = plot.valToPos(times[times.length - 1] - series.bucket_seconds / 2, "x", true);
              ctx.fillRect(from, bbox.top, bbox.left + bbox.width - from, bbox.height);
              ctx.strokeStyle = color("axis");
              ctx.setLineDash([2, 2]);
              for (const mark of series.marks) {
                const x = plot.valToPos(Date.parse(mark.at) / 1000, "x", true);
                if (x < bbox.left || x > bbox.left + bbox.width) continue;
                ctx.beginPath();
                ctx.moveTo(x, bbox.top);
                ctx.lineTo(x, bbox.top + bbox.height);
                ctx.stroke();
              }
              ctx.restore();
            }],
          },
        },
        latest.current.data,
        current,
      );
      observer.observe(current);
    }).catch(() => setMissing(true));
    return () => {
      gone = true;
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape, theme, style.format, series.range]);
  useEffect(() => plot.current?.setData(data), [series]);

  const last = series.buckets.length - 1;
  const read = at ?? last;
  const bucket = series.buckets[read];
  return (
    <figure class="chart">
      <figcaption>
        <strong>{chart.name}</strong> <span class="muted">{chart.caption}</span>
      </figcaption>
      <div
        ref={box}
        class="plot"
        role="img"
        tabIndex={0}
        aria-label={`${chart.name}. ${summaryOf(chart)}`}
        onKeyDown={(event) => {
          const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
          if (!step) return;
          event.preventDefault();
          setAt(Math.min(last, Math.max(0, read + step)));
        }}
        onBlur={() => setAt(null)}
      />
      {missing && <p class="banner error">The chart could not be loaded; see the table below.</p>}
      <ul class="legend">
        <li class="muted">
          {bucket && clockTime(Date.parse(bucket.at), style).slice(0, 5)}
          {read === last && " (so far)"}
        </li>
        {chart.lines.map(({ label, style, values }) => (
          <li key={label} class={`series ${style}`}>
            {label}{" "}
            <strong>{values[read] === null || values[read] === undefined ? "–" : chart.show(values[read]!)}</strong>
          </li>
        ))}
      </ul>
      <details>
        <summary>Show as table</summary>
        <div class="scroll" tabIndex={0} role="region" aria-label={`${chart.name} as a table`}>
          <table class="rows">
            <thead>
              <tr>
                <th scope="col">From</th>
                {chart.lines.map(({ label }) => <th key={label} scope="col" class="number">{label}</th>)}
              </tr>
            </thead>
            <tbody>
              {series.buckets.map((bucket, i) => (
                <tr key={bucket.at}>
                  <th scope="row">{clockTime(Date.parse(bucket.at), style)}</th>
                  {chart.lines.map(({ label, values }) => (
                    <td key={label} class="number">{values[i] === null ? "–" : chart.show(values[i]!)}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

/** The charts of a range. */
export function Charts({ store }: { store: Store }): JSX.Element | null {
  const view = store.view.value;
  const range = view.charts;
  const [series, setSeries] = useState<SeriesAnswer | null>(null);
  const [failed, setFailed] = useState<string | null>(null);
  const [again, setAgain] = useState(0);
  const types = view.task_types.join(",");
  useEffect(() => {
    if (!range) return;
    let gone = false;
    const read = async () => {
      // Nothing is read while the charts are hidden or the page is paused.
      if (!document.hidden && store.paused.value === null) {
        const query = new URLSearchParams({ range, ...types ? { task_type: types } : {} });
        try {
          const answer = await fetch(`api/series?${query}`);
          if (!answer.ok) throw new Error(`${await problemOf(answer)} (${answer.status})`);
          const body: SeriesAnswer = await answer.json();
          if (gone) return;
          setSeries(body);
          setFailed(null);
        } catch (error) {
          if (!gone) setFailed((error as Error).message);
        }
      }
      if (!gone) timer = setTimeout(read, READ_MS);
    };
    let timer = setTimeout(read, 0);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [range, types, again]);
  if (!range) return null;
  return (
    <>
      <nav class="ranges" aria-label="Range of the charts">
        {CHART_RANGES.map((one) => (
          <a key={one} href={hrefOf(view, { charts: one })} aria-current={one === range ? "true" : undefined}>{one}</a>
        ))}
      </nav>
      {failed && (
        <p class="banner error">
          Charts could not be loaded: {failed}
          <button type="button" onClick={() => setAgain(again + 1)}>Retry</button>
        </p>
      )}
      <div class="charts">
        {series && series.range === range
          ? chartsOf(store, series).map((chart) => (
            <Plot
              key={chart.name}
              chart={chart}
              series={series}
              store={store}
            />
          ))
          : !failed && <p class="muted">Loading the charts…</p>}
      </div>
    </>
  );
}
