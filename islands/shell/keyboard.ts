/**
 * The keyboard: single-key shortcuts for common actions. They are ignored in fields, in dialogs, with modifiers, or
 * when switched off.
 *
 * @module
 */

import { STATUSES } from "../../queue/task/record.ts";
import type { TaskSummary } from "../../queue/task/summary.ts";
import { actions } from "../app/actions.ts";
import { canBe } from "../../queue/task/actions.ts";
import type { Navigation } from "../app/navigate.ts";
import type { Store } from "../app/state.ts";
import { can } from "../app/store.ts";
import { selectRow } from "../list/task_row.tsx";
import { toggled } from "../app/url.ts";

/** The row that has the focus, or the one that is open. */
function currentRow(store: Store): HTMLTableRowElement | null {
  const focused = document.activeElement?.closest<HTMLTableRowElement>("tr[data-id]");
  if (focused) return focused;
  const { task } = store.view.value;
  return task ? document.querySelector(`tr[data-id="${CSS.escape(task)}"]`) : null;
}

function focusRow(row: Element | null | undefined): void {
  row?.querySelector<HTMLElement>(".task a")?.focus();
}

/** Closes the details and returns the focus to the row. */
export function closeDetails(store: Store, navigation: Navigation): void {
  const id = store.view.value.task;
  // Removing the focused element forces the browser to lay out everything before it paints.
  (document.activeElement as HTMLElement | null)?.blur();
  navigation.change({ task: null, tab: "overview" });
  requestAnimationFrame(() => {
    const row = id && document.querySelector(`tr[data-id="${CSS.escape(id)}"]`);
    if (row) focusRow(row);
    else document.querySelector<HTMLElement>(".list")?.focus();
  });
}

function step(store: Store, navigation: Navigation, by: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLTableRowElement>("tr[data-id]")];
  const inDetails = document.activeElement?.closest('[data-island="details"]');
  const at = rows.indexOf(currentRow(store)!);
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by];
  if (!next) return;
  if (inDetails) navigation.change({ task: next.dataset.id! }, true);
  else focusRow(next);
}

function subjects(store: Store): TaskSummary[] {
  const row = currentRow(store)?.dataset.id;
  const task = document.activeElement?.closest("tr[data-id]") ? null : store.task.value;
  const found = task ?? (row ? store.rows.get(row)?.value.task : null);
  return found ? [found] : [];
}

function actOn(store: Store, action: "cancel" | "retry"): void {
  if (!can(store, action)) return;
  if (store.selected.value.size > 0) return void actions().bulk.onSelected(action);
  const [task] = subjects(store);
  if (!task || !canBe(action, task)) return;
  if (action === "cancel") void actions().cancel(task);
  else void actions().retry(task);
}

/** Listens to the keyboard. */
export function listenToKeys(store: Store, navigation: Navigation, togglePause: () => void): void {
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.isComposing || event.defaultPrevented) return;
    const element = target as HTMLElement;
    if (document.querySelector("dialog[open]")) return;
    if (key === "Escape") {
      const menu = document.querySelector<HTMLDetailsElement>("details.menu[open]");
      if (menu) {
        menu.open = false;
        menu.querySelector("summary")?.focus();
      } else if (element.matches("input, textarea, select")) element.blur();
      else if (store.view.value.task) closeDetails(store, navigation);
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || !store.preferences.value.shortcuts) return;
    if (element.matches('input:not([type="checkbox"]), textarea, select, [contenteditable]')) return;
    const view = store.view.value;
    const list = store.list.value;
    const press = (): boolean => {
      switch (key) {
        case "/":
          document.querySelector<HTMLElement>(".search-box")?.focus();
          return true;
        case "n":
          if (can(store, "submit") && store.types[0]) navigation.change({ form: store.types[0].type, from: null });
          return true;
        case "1":
        case "2":
        case "3":
        case "4":
        case "5":
          navigation.change({ statuses: toggled(view.statuses, STATUSES[Number(key) - 1]), cursor: null, first: 1 });
          return true;
        case "j":
          step(store, navigation, 1);
          return true;
        case "k":
          step(store, navigation, -1);
          return true;
        case "x":
        case "X": {
          const row = document.activeElement?.closest<HTMLElement>("tr[data-id]");
          if (row) selectRow(store, row.dataset.id!, key === "X");
          return row !== null;
        }
        case "h":
          if (list.prev_cursor !== null && view.cursor !== null) {
            navigation.change({ cursor: list.prev_cursor || null, first: Math.max(1, view.first - view.limit) });
          }
          return true;
        case "l":
          if (list.next_cursor) {
            navigation.change({ cursor: list.next_cursor, first: view.first + store.order.value.length });
          }
          return true;
        case "r":
          actOn(store, "retry");
          return true;
        case "c":
          actOn(store, "cancel");
          return true;
        case "p":
          togglePause();
          return true;
        case "f":
          document.querySelector<HTMLElement>("[data-follow]")?.click();
          return true;
        case "?":
          store.help.value = true;
          return true;
      }
      return false;
    };
    if (press()) event.preventDefault();
  });
  // A menu closes when something else is clicked.
  document.addEventListener("click", ({ target }) => {
    for (const menu of document.querySelectorAll<HTMLDetailsElement>("details.menu[open]")) {
      if (!menu.contains(target as Node)) menu.open = false;
    }
  });
}
