/**
 * The entry of the browser: makes the store from what the server rendered, brings each island to life and connects.
 *
 * @module
 */

import { type ComponentType, hydrate } from "preact";
import { ConnectionPill } from "./connection.tsx";
import { goLive } from "./live.ts";
import { createStore, type Store } from "./store.ts";
import { TaskDetails } from "./task_details.tsx";
import { TaskList } from "./task_list.tsx";
import { Totals } from "./totals.tsx";

const ISLANDS: Record<string, ComponentType<{ store: Store }>> = {
  connection: ConnectionPill,
  details: TaskDetails,
  list: TaskList,
  totals: Totals,
};

const store = createStore(JSON.parse(document.body.dataset.page!));
for (const root of document.querySelectorAll<HTMLElement>("[data-island]")) {
  const Island = ISLANDS[root.dataset.island!];
  hydrate(<Island store={store} />, root);
}

const list = document.querySelector<HTMLElement>('[data-island="list"]')!;
goLive(store, () => scrollY > 100 || list.matches(":hover") || list.contains(document.activeElement));
