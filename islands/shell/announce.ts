/**
 * What is said to those who do not see the page: two live regions. Polite words come at most once in five seconds, and
 * what gathers meanwhile is said together; what went wrong is said at once.
 *
 * @module
 */

import type { Store } from "../app/state.ts";

const PAUSE_MS = 5_000;
/** More messages than this are summed up. */
const TOLD = 3;

let gathered: string[] = [];
let lastAt = -Infinity;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Says something when there is a pause. */
export function say(store: Store, text: string): void {
  if (store.preferences.value.announce !== "all") return;
  // The newest word on the same matter replaces the earlier one.
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

/** Says at once that something went wrong. */
export function alert(store: Store, text: string): void {
  if (store.preferences.value.announce === "off") return;
  // The same words twice are heard twice only if they differ.
  store.alert.value = store.alert.value === text ? `${text} ` : text;
}
