/**
 * The browser's entry point: creates the store from what the server rendered, hydrates each island and connects.
 * What is not visible at first is loaded when needed.
 *
 * @module
 */

import { type ComponentChild, hydrate, render } from "preact";
import { effect } from "@preact/signals";
import { Actions, setActions } from "./actions.ts";
import { Filters } from "../list/filters.tsx";
import { Banner, connectionWords, Header } from "../shell/header.tsx";
import { closeDetails, listenToKeys } from "../shell/keyboard.ts";
import { walkToolbars } from "../shell/toolbars.ts";
import { Live } from "./live.ts";
import { Navigation } from "./navigate.ts";
import { Announcer, Overlay } from "../shell/overlay.tsx";
import { savePreferences } from "../shell/preferences.ts";
import { createStore } from "./store.ts";
import { TaskList } from "../list/task_list.tsx";
import { Strip } from "../list/strip.tsx";
import { needsFacets, type View } from "./url.ts";

const store = createStore(JSON.parse(document.body.dataset.page!));
const navigation = new Navigation(store);
const island = (name: string) => document.querySelector<HTMLElement>(`[data-island="${name}"]`)!;

const list = island("list");
const live = new Live(
  store,
  () => navigation.readAll(),
  () =>
    scrollY > 100 || store.selected.value.size > 0 || list.matches(":hover") || list.contains(document.activeElement),
);
navigation.live = live;
setActions(new Actions(store, navigation, live));

const togglePause = () => store.paused.value === null ? live.pause() : live.resume();
hydrate(<Header store={store} onPause={togglePause} />, island("header"));
hydrate(<Banner store={store} onRetry={() => live.retryNow()} />, island("banner"));
hydrate(<Strip store={store} />, island("strip"));
hydrate(
  <Filters
    store={store}
    onSearch={(change, typing) => navigation.change(change, typing)}
  />,
  island("filters"),
);
hydrate(<TaskList store={store} />, list);
hydrate(<Overlay store={store} />, island("overlay"));
hydrate(<Announcer store={store} />, island("announcer"));
listenToKeys(store, navigation, togglePause);
walkToolbars();

/** Replaces what the server rendered with a component. */
function replace(component: ComponentChild, root: HTMLElement): void {
  root.replaceChildren();
  render(component, root);
}

/**
 * Loads an island when it is first needed; from then on it follows the store. What the server has already rendered is
 * taken over by `takeOver`.
 */
function lazily(
  name: string,
  isWanted: (view: View) => boolean,
  load: () => Promise<{ component: ComponentChild; takeOver?: typeof replace }>,
): void {
  const root = island(name);
  let isServed = true;
  const show = () => {
    load().then(({ component, takeOver = replace }) => {
      const show = isServed && root.firstChild ? takeOver : render;
      isServed = false;
      show(component, root);
    }).catch((error) => {
      console.warn(error);
      // Render again each time: a repeated failure shows the same message as before.
      if (!isServed) render(null, root);
      isServed = false;
      replace(<NotLoaded onRetry={show} />, root);
    });
  };
  const stop = effect(() => {
    if (!isWanted(store.view.value)) return;
    queueMicrotask(() => stop());
    show();
  });
}

/** Shown in place of an island whose script could not be loaded, perhaps because there is a new version. */
function NotLoaded({ onRetry }: { onRetry: () => void }) {
  return (
    <p class="banner error" role="alert">
      Could not load this part of the page.
      <button type="button" onClick={onRetry}>Retry</button>
      <button type="button" onClick={() => location.reload()}>Reload</button>
    </p>
  );
}

const loaded = store.view.value.task;
lazily("details", ({ task }) => task !== null, async () => {
  const { TaskDetails } = await import("../later.ts");
  const onClose = () => closeDetails(store, navigation);
  return { component: <TaskDetails store={store} loaded={loaded} onClose={onClose} />, takeOver: hydrate };
});
lazily("form", ({ form }) => form !== null, async () => {
  const { enterAgain, SubmitForm } = await import("../later.ts");
  return {
    component: <SubmitForm store={store} onChange={(change) => navigation.change(change)} />,
    // The server's form lacks the browser-only features. What was entered into it is kept.
    takeOver(component, root) {
      const [before, focused] = [root.querySelector("form"), document.activeElement];
      replace(component, root);
      const form = root.querySelector("form");
      if (before && form) enterAgain(before, focused, form);
    },
  };
});
lazily("charts", ({ charts }) => charts !== null, async () => {
  const { Charts } = await import("../later.ts");
  return { component: <Charts store={store} /> };
});
// Apply the chosen appearance.
effect(() => {
  const { theme, density } = store.preferences.value;
  document.documentElement.dataset.theme = theme;
  document.documentElement.dataset.density = density;
});
effect(() => {
  const { task, charts, full } = store.view.value;
  document.body.classList.toggle("with-details", task !== null);
  document.body.classList.toggle("full", task !== null && full);
  document.body.classList.toggle("with-charts", charts !== null);
});
// Times are shown in the reader's time zone; the server learns it with the next page.
const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
if (timeZone !== store.preferences.value.time.zone) {
  const { preferences } = store;
  preferences.value = { ...preferences.value, time: { ...preferences.value.time, zone: timeZone } };
  savePreferences(preferences.value);
}

// The title and the icon carry the state, for a page on a second screen or behind others.
const icons = { plain: "static/icon.svg", busy: "static/icon-busy.svg", failed: "static/icon-failed.svg" };
let failedBefore = store.stats.value.by_status.FAILED;
effect(() => {
  const { by_status } = store.stats.value;
  const task = store.task.value;
  if (!document.hidden) failedBefore = Math.min(failedBefore, by_status.FAILED);
  const fresh = by_status.FAILED - failedBefore;
  const what = task ? `${task.status === "RUNNING" ? `${Math.round(task.progress)} % ` : ""}${task.title}` : "Tasks";
  document.title = `${fresh > 0 ? `(${fresh} failed) ` : ""}${what} — ${connectionWords(store)} — Millrace`;
  const href = fresh > 0 ? icons.failed : by_status.RUNNING > 0 ? icons.busy : icons.plain;
  const link = document.querySelector<HTMLLinkElement>('link[rel="icon"]')!;
  if (link.getAttribute("href") !== href) link.href = href;
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) failedBefore = store.stats.value.by_status.FAILED;
});

// Numbers that no counter knows are counted again while tasks change, but seldom: the server looks through many tasks.
const COUNT_MS = 10_000;
let counting = false;
let countedAt = 0;
effect(() => {
  const { stats, view, paused } = store;
  if (!stats.value || !needsFacets(view.value) || paused.value !== null || counting) return;
  counting = true;
  // At once after a pause, but seldom in a row.
  setTimeout(() => {
    counting = false;
    countedAt = Date.now();
    // Without a connection the banner says so.
    if (!document.hidden) navigation.countAgain().catch(() => {});
  }, Math.max(1_000, countedAt + COUNT_MS - Date.now()));
});

// Details missing from the open task's summary are read when its state changes.
let shown = "";
effect(() => {
  const task = store.task.value;
  const state = task ? `${task.id} ${task.status} ${task.attempt}` : "";
  if (state === shown) return;
  const sameTask = task !== null && shown.startsWith(task.id);
  shown = state;
  if (sameTask) queueMicrotask(() => void navigation.refreshOpen());
});
