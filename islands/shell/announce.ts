/**
 * Announcements for screen readers: two live regions. Polite messages come at most once every five seconds, and are
 * combined until then. Errors are announced immediately.
 *
 * @module
 */

import type { TaskSummary } from "../../queue/task/summary.ts";
import type { Store } from "../app/state.ts";

const PAUSE_MS = 5_000;
/** If there are more messages than this, the rest are only counted. */
const TOLD = 3;

let gathered: string[] = [];
let lastAt = -Infinity;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Announces something at the next pause. */
export function say(store: Store, text: string): void {
  if (store.preferences.value.announce !== "all") return;
  // The newest message on a subject replaces the earlier one.
  const subject = text.split(":")[0];
  gathered = [...gathered.filter((other) => other.split(":")[0] !== subject), text];
  timer ??= setTimeout(() => speak(store), Math.max(0, lastAt + PAUSE_MS - Date.now()));
}

function speak(store: Store): void {
  timer = undefined;
  lastAt = Date.now();
  const more = gathered.length - TOLD;
  store.polite.value = gathered.slice(-TOLD).join(" ") + (more > 0 ? ` And ${more} more.` : "");
  gathered = [];
}

/** Announces how far a task has come: its status, or every quarter of its progress. */
export function sayProgress(store: Store, before: TaskSummary, after: TaskSummary): void {
  const quarter = (task: TaskSummary) => Math.floor(task.progress / 25);
  if (before.status !== after.status) say(store, `${after.title}: ${after.status}.`);
  else if (quarter(after) > quarter(before)) say(store, `${after.title}: ${quarter(after) * 25} percent.`);
}

/** Announces an error immediately. */
export function alert(store: Store, text: string): void {
  if (store.preferences.value.announce === "off") return;
  // A repeated message is announced again only if its text differs.
  store.alert.value = store.alert.value === text ? `${text} ` : text;
}
