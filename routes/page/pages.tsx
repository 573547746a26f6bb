/**
 * The page: fully rendered from its URL, so that it works without JavaScript. Islands only keep it up to date.
 *
 * @module
 */

import type { Context } from "hono";
import { getCookie } from "hono/cookie";
import type { JSX } from "preact";
import { TaskDetails } from "../../islands/details/details.tsx";
import { Charts } from "../../islands/charts/charts.tsx";
import { Filters } from "../../islands/list/filters.tsx";
import { SubmitForm } from "../../islands/form/form.tsx";
import { Banner, Header } from "../../islands/shell/header.tsx";
import { Sprite } from "../../islands/shell/icons.tsx";
import { Announcer, Overlay } from "../../islands/shell/overlay.tsx";
import { parsePreferences, PREFERENCES_COOKIE } from "../../islands/shell/preferences.ts";
import type { PageData, Store } from "../../islands/app/state.ts";
import { createStore } from "../../islands/app/store.ts";
import { TaskList } from "../../islands/list/task_list.tsx";
import { Strip } from "../../islands/list/strip.tsx";
import { needsFacets, parseView, timeOf, type View } from "../../islands/app/url.ts";
import { foundOrNull, NotFoundError } from "../../queue/task/errors.ts";
import { newId } from "../../queue/task/ids.ts";
import type { Filter } from "../../queue/store/listing.ts";
import type { Json } from "../../queue/task/record.ts";
import { summaryOf } from "../../queue/task/summary.ts";
import { hasAuth } from "../access/credentials.ts";
import { callerOf, mayActAs } from "../access/auth.ts";
import { renderDocument } from "./document.tsx";
import type { AppEnv, AppOptions, Principal } from "../env.ts";
import { logEvent, newestFitting } from "../live/task_events.ts";
import { type Manifest, readManifest } from "./static.ts";
import type { StatsFeed } from "../live/stats_feed.ts";
import { typeInfos } from "../api/system.ts";
import { taskResponse } from "../api/task_response.ts";

function Page({ store }: { store: Store }): JSX.Element {
  const view = store.view.value;
  const needsScript = <p class="nojs muted">This requires JavaScript.</p>;
  return (
    <>
      <Sprite />
      <a class="skip" href="#tasks">Skip to the tasks</a>
      {view.task && <a class="skip" href="#details">Skip to the details</a>}
      <header class="top" data-island="header">
        <Header store={store} />
      </header>
      <section aria-label="Notices" data-island="banner">
        <Banner store={store} />
      </section>
      <div data-island="form">
        {view.form && store.caller.permissions.includes("submit") && <SubmitForm store={store} />}
      </div>
      <main class="layout">
        <h1 class="hidden">Tasks</h1>
        <div class="work">
          <section aria-label="Summary" data-island="strip">
            <Strip store={store} />
          </section>
          <section aria-label="Charts" data-island="charts">
            {view.charts && (
              <>
                {needsScript}
                <Charts store={store} />
              </>
            )}
          </section>
          <div data-island="filters">
            <Filters store={store} />
          </div>
          <section id="tasks" tabIndex={-1} aria-label="Tasks" data-island="list">
            <TaskList store={store} />
          </section>
        </div>
        <section id="details" tabIndex={-1} aria-label="Details" class="details-region" data-island="details">
          {view.task && <TaskDetails store={store} />}
        </section>
      </main>
      <div data-island="overlay">
        <Overlay store={store} />
      </div>
      <div data-island="announcer">
        <Announcer store={store} />
      </div>
    </>
  );
}

/** Maximum log lines in the page, and their characters: more are loaded on request. */
const [LOG_LINES, LOG_CHARS] = [200, 100_000];

/** A view's filter, as the queue expects it. */
function filterOf(view: View, now: number): Filter {
  const at = (text: string) => text ? timeOf(text, now) : undefined;
  return {
    statuses: view.statuses.length > 0 ? view.statuses : undefined,
    task_types: view.task_types.length > 0 ? view.task_types : undefined,
    tag: view.tag || undefined,
    q: view.q || undefined,
    error: view.error || undefined,
    schedule: view.schedule || undefined,
    created_from: at(view.created_from),
    created_to: at(view.created_to),
    ended_from: at(view.ended_from),
    ended_to: at(view.ended_to),
  };
}

/** What a page is rendered from, and how. */
export class Pages {
  readonly #options: AppOptions;
  readonly #stats: StatsFeed;
  readonly #readManifest: () => Promise<Manifest | null>;
  #manifest: Promise<Manifest | null> | undefined;

  constructor(options: AppOptions, stats: StatsFeed, manifest = readManifest) {
    this.#options = options;
    this.#stats = stats;
    this.#readManifest = manifest;
  }

  async #readOpen(id: string, reader: Principal): Promise<PageData["open"]> {
    const { queue } = this.#options;
    try {
      const state = await queue.get(id);
      const { lines } = await queue.logs.readTail(id, LOG_LINES);
      return { task: await taskResponse(queue, state, reader), log: newestFitting(lines, LOG_CHARS).map(logEvent) };
    } catch (error) {
      if (error instanceof NotFoundError) return { missing: id };
      throw error;
    }
  }

  /** What a form begins with: the parameters of another task, for whoever may submit one like it. */
  async #readSource(id: string, reader: Principal): Promise<PageData["form"]["source"]> {
    const { queue } = this.#options;
    const state = await foundOrNull(queue.get(id));
    if (!state || !mayActAs(reader, "operator") || queue.registry.get(state.task.task_type)?.internal) return null;
    const { title, input_params } = state.task;
    return { title, params: input_params as Record<string, Json> };
  }

  /** Everything that the page of an address shows. */
  async read(c: Context<AppEnv>, query: URLSearchParams, form: Partial<PageData["form"]> = {}): Promise<PageData> {
    const { queue, clock, maxUploadBytes } = this.#options;
    const types = await typeInfos(queue);
    const { view, ignored } = parseView(query, types.map(({ type }) => type));
    const now = clock.now();
    const as_of = await queue.stream.head();
    const [page, facets, stats, open, source] = await Promise.all([
      queue.list(filterOf(view, now), view.limit, view.cursor ?? undefined, view.order),
      needsFacets(view) ? queue.countByStatus(filterOf(view, now)) : undefined,
      this.#stats.read(),
      view.task === null ? null : this.#readOpen(view.task, c.get("principal")),
      view.form && view.from ? this.#readSource(view.from, c.get("principal")) : null,
    ]);
    const { states, ...list } = page;
    return {
      types,
      stats,
      view,
      ignored,
      tasks: states.map((state) => summaryOf(state, queue.retention)),
      list: { ...list, facets, as_of },
      server_time: new Date(now).toISOString(),
      open,
      form: { texts: {}, errors: {}, idempotency_key: newId(now), source, ...form },
      caller: callerOf(c.get("principal")),
      signed_in: hasAuth(this.#options),
      preferences: parsePreferences(getCookie(c, PREFERENCES_COOKIE) ?? ""),
      limits: { upload: maxUploadBytes },
    };
  }

  /** The document of a page. */
  async render(data: PageData): Promise<string> {
    // A failed read is not kept: the next page tries again.
    this.#manifest ??= this.#readManifest().catch((error) => {
      this.#manifest = undefined;
      throw error;
    });
    const script = (await this.#manifest)?.client;
    const title = data.open && "task" in data.open ? data.open.task.title : "Tasks";
    const { theme, density } = data.preferences;
    return renderDocument({
      title: `${title} — Millrace`,
      script: script && `static/build/${script}`,
      theme,
      density,
      className: [
        data.view.task && "with-details",
        data.view.task && data.view.full && "full",
        data.view.charts && "with-charts",
      ].filter(Boolean).join(" "),
      page: JSON.stringify(data),
      children: <Page store={createStore(data)} />,
    });
  }
}
