/**
 * The state of the live connection, in words.
 *
 * @module
 */

import type { JSX } from "preact";
import type { Connection, Store } from "./store.ts";

const WORDS: Record<Connection, string> = {
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  signed_out: "Signed out",
};

/** The pill in the header. */
export function ConnectionPill({ store }: { store: Store }): JSX.Element {
  const state = store.connection.value;
  return (
    <span class={`pill ${state}`} role="status">
      <span class="dot" aria-hidden="true" />
      {WORDS[state]}
    </span>
  );
}
