/**
 * The last resort: an error or a rejected promise that nobody has handled is logged and counted, and the service goes
 * on. Each is a mistake in the code; health tells how many there were.
 *
 * @module
 */

import type { Logger } from "../../queue/log.ts";
import { RecentMap } from "../../queue/recent_map.ts";

/** Faults that are known, and not logged once more. */
const REMEMBERED = 100;

/** Keeps the process alive through faults that nobody has handled. */
export class Faults {
  #count = 0;
  readonly #seen = new RecentMap<string, true>(REMEMBERED);

  constructor(private readonly log: Logger) {
    addEventListener("unhandledrejection", (event) => {
      event.preventDefault();
      this.#add(event.reason);
    });
    addEventListener("error", (event) => {
      event.preventDefault();
      this.#add(event.error ?? event.message);
    });
  }

  #add(error: unknown): void {
    this.#count++;
    // The same fault may come a thousand times a second: it is logged once.
    const text = error instanceof Error ? `${error.name} ${error.stack?.split("\n    at ")[1]}` : String(error);
    if (this.#seen.has(text)) return;
    this.#seen.set(text, true);
    this.log.error("A fault that nobody has handled; the service goes on.", { error });
  }

  /** Faults since the start. */
  get count(): number {
    return this.#count;
  }
}
