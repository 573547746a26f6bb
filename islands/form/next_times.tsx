/**
 * When a schedule will submit next, shown while its cron expression is typed.
 *
 * @module
 */

import type { JSX } from "preact";
import { absolute } from "../app/format.ts";
import type { Store } from "../app/state.ts";

/** The next times, or what is wrong with the expression. */
export function NextTimes({ times, store }: { times: string[] | string | null; store: Store }): JSX.Element {
  return (
    <>
      {typeof times === "string" && <p class="error">Error: {times}</p>}
      {Array.isArray(times) && (
        <div class="note">
          Next times:
          <ol class="times">
            {times.map((at) => (
              <li key={at}>{absolute(Date.parse(at), { ...store.preferences.value.time, format: "local" })}</li>
            ))}
          </ol>
        </div>
      )}
    </>
  );
}
