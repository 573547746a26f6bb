/**
 * Charts over time: throughput, latency and depth.
 *
 * @module
 */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { SeriesAnswer } from "../../queue/task/api_types.ts";
import { problemOf, reasonOf } from "../app/navigate.ts";
import type { Store } from "../app/state.ts";
import { CHART_GROUPS, CHART_RANGES, hrefOf } from "../app/url.ts";
import { Plot } from "./plot.tsx";
import { chartsOf } from "./series.tsx";

/** How often the series is read while it is visible. Milliseconds. */
const READ_MS = 5_000;

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
          if (!gone) setFailed(reasonOf(error));
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
      <nav class="ranges" aria-label="Charts">
        {CHART_RANGES.map((one) => (
          <a key={one} href={hrefOf(view, { charts: one })} aria-current={one === range ? "true" : undefined}>{one}</a>
        ))}
        <span class="muted">Group by</span>
        {CHART_GROUPS.map((one) => (
          <a key={one} href={hrefOf(view, { group: one })} aria-current={one === view.group ? "true" : undefined}>
            {one}
          </a>
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
          // Their room is kept while they load.
          : !failed &&
            ["Throughput", "Latency", "Queue depth"].map((name) => (
              <figure key={name} class="chart" aria-busy="true">
                <figcaption>
                  <strong>{name}</strong>
                </figcaption>
              </figure>
            ))}
      </div>
    </>
  );
}
