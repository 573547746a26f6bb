/**
 * Copies a store in a thread of its own: SQLite's backup would hold up all others.
 *
 * @module
 */

import { copyStore } from "./copy.ts";

/** What the worker is told, and what it answers: why it failed, or null. */
export interface Copy {
  from: string;
  to: string;
}

const scope = self as unknown as {
  onmessage: (event: MessageEvent<Copy>) => void;
  postMessage(answer: string | null): void;
};

scope.onmessage = ({ data: { from, to } }) => {
  copyStore(from, to).then(() => scope.postMessage(null), (error: Error) => scope.postMessage(error.message));
};
