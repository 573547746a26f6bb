/**
 * One chart: drawn by a library that is a chunk of its own, with the numbers under the cursor, and as a table.
 *
 * @module
 */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import type { SeriesAnswer } from "../../queue/task/api_types.ts";
import { clockTime } from "../app/format.ts";
import type { Store } from "../app/state.ts";
import { hrefOf, UNFILTERED } from "../app/url.ts";
import type { Chart } from "./series.tsx";

/** Pixels. */
const HEIGHT = 120;

/** Marks of a chart, by kind. */
const MARKS = { start: "service started", pause: "paused", resume: "resumed" };

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

/** The chart. */
export function Plot({ chart, series, store }: { chart: Chart; series: SeriesAnswer; store: Store }): JSX.Element {
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
  const link = useRef<HTMLAnchorElement>(null);
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
          // All charts share one cursor.
          cursor: { y: false, drag: { x: false, y: false }, sync: { key: "charts" } },
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
                ctx.fillStyle = color("axis");
                ctx.font = `${10 * devicePixelRatio}px system-ui`;
                ctx.textAlign = x > bbox.left + bbox.width / 2 ? "right" : "left";
                ctx.fillText(` ${MARKS[mark.kind]} `, x, bbox.top + 10 * devicePixelRatio);
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
  // The last one is not over yet: what it says so far is shown on request.
  const read = at ?? Math.max(0, last - 1);
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
          if (event.key === "Enter") link.current?.click();
          if (!step) return;
          event.preventDefault();
          setAt(Math.min(last, Math.max(0, read + step)));
        }}
        onBlur={() => setAt(null)}
        onClick={() => link.current?.click()}
      />
      {missing && <p class="banner error">The chart could not be loaded; see the table below.</p>}
      <ul class="legend">
        <li class="muted">
          {bucket && clockTime(Date.parse(bucket.at), style).slice(0, 5)}
          {read === last && " (incomplete)"}
        </li>
        {chart.lines.map(({ label, style, values }) => (
          <li key={label} class={`series ${style}`}>
            {label}{" "}
            <strong>{values[read] === null || values[read] === undefined ? "–" : chart.show(values[read]!)}</strong>
          </li>
        ))}
        {bucket && chart.name !== "Queue depth" && (
          <li>
            <a
              ref={link}
              title="The tasks that ended then, but for those that were retried or deleted since"
              href={hrefOf(store.view.value, {
                ...UNFILTERED,
                task_types: store.view.value.task_types,
                ended_from: bucket.at,
                ended_to: new Date(Date.parse(bucket.at) + series.bucket_seconds * 1000).toISOString(),
              })}
            >
              Its tasks
            </a>
          </li>
        )}
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
