/**
 * Moves between views without reloading the page: addresses are parsed as views, and changed data is requested from
 * the API. The last navigation wins: a late answer is dropped.
 *
 * @module
 */

import { batch } from "@preact/signals";
import type { Task, TaskSummary } from "../../queue/task/summary.ts";
import { say } from "../shell/announce.ts";
import { count } from "./format.ts";
import type { Live } from "./live.ts";
import type { ListState, LogEvent, Store } from "./state.ts";
import { LOG_LINES, mergeLog, mergeOpen, replaceList } from "./store.ts";
import { filterOf, hrefOf, listAddress, parseView, sameList, type View } from "./url.ts";

interface ListAnswer extends Omit<ListState, "loading" | "error" | "at"> {
  tasks: TaskSummary[];
}

/** The message of a failed response. */
export async function problemOf(answer: Response): Promise<string> {
  const text = await answer.text().catch(() => "");
  try {
    return JSON.parse(text).detail ?? `The service answered ${answer.status}.`;
  } catch {
    return `The service answered ${answer.status}.`;
  }
}

/** Why a request failed, in words: what browsers say of a lost connection differs, and helps nobody. */
export function reasonOf(error: unknown): string {
  return error instanceof TypeError ? "Can't reach the server." : (error as Error).message;
}

/** Moves the page between views. */
export class Navigation {
  readonly #store: Store;
  #list = new AbortController();
  #open = new AbortController();
  live: Live | null = null;

  constructor(store: Store) {
    this.#store = store;
    history.scrollRestoration = "manual";
    addEventListener("popstate", ({ state }) => {
      const at = (state as { scroll?: number } | null)?.scroll ?? 0;
      const back = () => requestAnimationFrame(() => scrollTo(0, at));
      // If another list has to be loaded first, the page has its full height only then.
      void this.#show(this.#parse(location.search), false)?.then(back);
      back();
    });
    document.addEventListener("click", (event) => {
      if (event.defaultPrevented || event.button !== 0) return;
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      const link = (event.target as Element).closest<HTMLAnchorElement>("a[href]");
      if (
        !link || link.origin !== location.origin || link.pathname !== new URL("./", location.href).pathname ||
        link.target || link.hash
      ) return;
      event.preventDefault();
      this.go(link.search);
    });
  }

  #parse(search: string): View {
    const { view, ignored } = parseView(new URLSearchParams(search), this.#store.types.map(({ type }) => type));
    this.#store.ignored.value = ignored;
    return view;
  }

  /** Goes to an address of the page. */
  go(search: string, replace = false): void {
    const view = this.#parse(search);
    if (replace) history.replaceState(history.state, "", hrefOf(view, {}));
    else {
      history.replaceState({ scroll: scrollY }, "");
      history.pushState(null, "", hrefOf(view, {}));
    }
    this.#show(view, true);
  }

  /** Goes to the view that is shown, with a change. */
  change(change: Partial<View>, replace = false): void {
    this.go(hrefOf(this.#store.view.value, change).slice("./".length), replace);
  }

  /** Shows a view; if its list differs, the promise resolves once it is loaded. */
  #show(view: View, forward: boolean): Promise<void> | null {
    const store = this.#store;
    const before = store.view.value;
    let reading: Promise<void> | null = null;
    batch(() => {
      store.view.value = view;
      if (view.task !== before.task) {
        store.open.value = view.task ? { loading: view.task } : null;
        store.log.value = [];
        store.logLimit.value = LOG_LINES;
        store.gaps.value = [];
      }
    });
    if (!sameList(before, view)) {
      if (forward && before.task === view.task) scrollTo(0, 0);
      reading = this.readList().then(() => {
        const { total, total_capped } = store.list.value;
        say(store, `${count(total, "task")}${total_capped ? " or more" : ""} match.`);
      }, () => {});
    }
    if (view.task !== before.task) void this.readOpen();
    return reading;
  }

  /** Reads the list of the view. */
  async readList(): Promise<void> {
    const store = this.#store;
    this.#list.abort();
    const controller = this.#list = new AbortController();
    const view = store.view.value;
    store.list.value = { ...store.list.value, loading: true };
    try {
      const answer = await fetch(listAddress(view, store.clock.value), { signal: controller.signal });
      if (answer.status === 401) store.connection.value = "signed_out";
      if (!answer.ok) throw new Error(await problemOf(answer));
      const { tasks, ...list }: ListAnswer = await answer.json();
      if (controller.signal.aborted) return;
      replaceList(store, tasks, { ...list, at: store.clock.value, loading: false, error: null });
      this.live?.followList();
    } catch (error) {
      if (controller.signal.aborted) return;
      store.list.value = { ...store.list.value, loading: false, error: reasonOf(error) };
      throw error;
    }
  }

  /** Reads the open task. */
  async readOpen(): Promise<void> {
    const store = this.#store;
    this.#open.abort();
    const controller = this.#open = new AbortController();
    const id = store.view.value.task;
    if (!id) return this.live?.followOpen();
    try {
      const { signal } = controller;
      const [answer, logs] = await Promise.all([
        fetch(`api/tasks/${encodeURIComponent(id)}`, { signal }),
        fetch(`api/tasks/${encodeURIComponent(id)}/logs?before=end`, { signal }),
      ]);
      if (answer.status === 404) return void (store.open.value = { missing: id });
      if (!answer.ok) throw new Error(await problemOf(answer));
      const task: Task = await answer.json();
      const { lines }: { lines: Omit<LogEvent, "kind">[] } = logs.ok ? await logs.json() : { lines: [] };
      if (signal.aborted) return;
      batch(() => {
        if (store.task.value?.id === id) mergeOpen(store, task);
        else store.open.value = { task };
        const known = store.log.value.at(-1);
        const [first] = lines;
        const isBeyond = known && first &&
          (first.attempt > known.attempt || first.line > known.line + 1);
        mergeLog(
          store,
          lines.map((line): LogEvent => ({ kind: "log", ...line })),
          isBeyond ? { after: `${known.attempt}:${known.line}`, before: `${first.attempt}:${first.line}` } : null,
        );
      });
      this.live?.followOpen();
    } catch (error) {
      if (controller.signal.aborted) return;
      if (!store.task.value) store.open.value = { failed: reasonOf(error), id };
    }
  }

  /** Reads the open task again, for what its summary in the stream lacks. */
  async refreshOpen(): Promise<void> {
    const id = this.#store.task.value?.id;
    if (!id) return;
    const answer = await fetch(`api/tasks/${id}`).catch(() => null);
    if (answer?.ok) mergeOpen(this.#store, await answer.json());
  }

  /** Counts again what only the server can count; the rows stay. */
  async countAgain(): Promise<void> {
    const store = this.#store;
    const view = store.view.value;
    const query = new URLSearchParams({ ...filterOf(view, store.clock.value), limit: "1", facets: "status" });
    const answer = await fetch(`api/tasks/?${query}`);
    if (!answer.ok) return void await answer.body?.cancel();
    const { total, total_capped, facets }: ListAnswer = await answer.json();
    const { value: list } = store.list;
    if (sameList(view, store.view.value) && !list.loading) store.list.value = { ...list, total, total_capped, facets };
  }

  /** Reads everything that is shown. */
  async readAll(): Promise<void> {
    const stats = fetch("api/stats").then(async (answer) => {
      if (answer.ok) this.#store.stats.value = await answer.json();
    });
    await Promise.all([this.readList(), this.readOpen(), stats]);
  }
}
