/**
 * What is wrong with a form as a whole, with links to its fields.
 *
 * @module
 */

import type { JSX, Ref } from "preact";
import { count } from "../app/format.ts";

/** The summary of errors; `box` receives the element, so that it can be focused. */
export function ErrorSummary(
  { errors, box }: { errors: [pointer: string, message: string][]; box: Ref<HTMLDivElement> },
): JSX.Element {
  const fields = errors.filter(([pointer]) => pointer).length;
  return (
    <div class="error-box" ref={box} tabIndex={-1} role="group" aria-label="Please fix">
      <strong>Not submitted.{fields > 0 && ` ${count(fields, "field needs", "fields need")} attention.`}</strong>
      <ul>
        {errors.map(([pointer, message]) => (
          <li key={pointer}>
            {pointer
              ? (
                <a
                  href={`#field${pointer}`}
                  onClick={(event) => {
                    event.preventDefault();
                    const field = document.getElementById(`field${pointer}`);
                    field?.closest("details")?.setAttribute("open", "");
                    field?.focus();
                  }}
                >
                  {message}
                </a>
              )
              : message}
          </li>
        ))}
      </ul>
    </div>
  );
}
