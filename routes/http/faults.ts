/**
 * The last resort: an unhandled error or promise rejection is logged and counted, and the service keeps running.
 * Each is a bug in the code; the health check reports how many there were.
 *
 * @module
 */

import type { Logger } from "../../queue/log.ts";
import { RecentMap } from "../../queue/recent_map.ts";

/** The most errors remembered, so that they are not logged again. */
const REMEMBERED = 100;

/** Keeps the process alive after unhandled errors. */
export class Faults {
  #count = 0;
  readonly #seen = new RecentMap<string, true>(REMEMBERED);

  /** @param report Is told of each error, the first time that it occurs. */
  constructor(private readonly log: Logger, private readonly report: (error: unknown) => void = () => {}) {
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
    // The same error may occur a thousand times a second: log it once.
    const text = error instanceof Error ? `${error.name} ${error.stack?.split("\n    at ")[1]}` : String(error);
    if (this.#seen.has(text)) return;
    this.#seen.set(text, true);
    this.log.error("Unhandled error; the service keeps running.", { error });
    this.report(error);
  }

  /** Faults since the start. */
  get count(): number {
    return this.#count;
  }
}
