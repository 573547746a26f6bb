/**
 * What is wrong with a form as a whole, with links to its fields.
 *
 * @module
 */

import type { JSX, Ref } from "preact";

/** The summary of errors; `box` gets the element, to give it the focus. */
export function ErrorSummary(
  { errors, box }: { errors: [pointer: string, message: string][]; box: Ref<HTMLDivElement> },
): JSX.Element {
  return (
    <div class="error-box" ref={box} tabIndex={-1} role="group" aria-label="What is to be put right">
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
