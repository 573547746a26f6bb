/**
 * What is wrong with a form as a whole, with links to its fields.
 *
 * @module
 */

import type { JSX, Ref } from "preact";

/** The summary of errors; `box` receives the element, so that it can be focused. */
export function ErrorSummary(
  { errors, box }: { errors: [pointer: string, message: string][]; box: Ref<HTMLDivElement> },
): JSX.Element {
  return (
    <div class="error-box" ref={box} tabIndex={-1} role="group" aria-label="Errors to correct">
      <strong>The task was not submitted.</strong>
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
