/**
 * Views that the reader has saved under a name: kept in this browser. To share one, its address is enough.
 *
 * @module
 */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Store } from "../app/state.ts";
import { hrefOf } from "../app/url.ts";
import { Icon } from "../shell/icons.tsx";

const KEY = "millrace_views";

type Saved = [name: string, href: string][];

/** What is stored; a text that is no list counts as none. */
function stored(): Saved {
  try {
    const views = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(views) ? views.filter((view) => view?.length === 2 && /^\.\/(\?|$)/.test(view[1])) : [];
  } catch {
    return [];
  }
}

/** The menu of saved views. */
export function SavedViews({ store }: { store: Store }): JSX.Element {
  const [views, setViews] = useState<Saved>([]);
  const [isRefused, setRefused] = useState(false);
  const save = (next: Saved) => {
    try {
      localStorage.setItem(KEY, JSON.stringify(next));
      setViews(next);
    } catch {
      setRefused(true);
    }
  };
  return (
    <details class="menu drop-down js" onToggle={() => setViews(stored())}>
      <summary data-stop>
        Views <span aria-hidden="true">▾</span>
      </summary>
      <div class="popup">
        {views.map(([name, href]) => (
          <span key={name} class="saved">
            <a href={href}>{name}</a>
            <button
              type="button"
              class="quiet"
              aria-label={`Delete view ${name}`}
              onClick={() => save(views.filter((view) => view[0] !== name))}
            >
              <Icon name="close" />
            </button>
          </span>
        ))}
        <label>
          Save this view as
          <input
            maxLength={60}
            onKeyDown={(event) => {
              const name = event.currentTarget.value.trim();
              if (event.key !== "Enter") return;
              event.preventDefault();
              if (!name) return;
              const href = hrefOf(store.view.value, {
                task: null,
                tab: "overview",
                full: false,
                form: null,
                cursor: null,
                first: 1,
              });
              save([...views.filter((view) => view[0] !== name), [name, href]]);
              event.currentTarget.value = "";
            }}
          />
        </label>
        <p class="meta">
          {isRefused ? "This browser does not let the page save views." : "Saved in this browser."}{" "}
          To share a view, copy its address.
        </p>
      </div>
    </details>
  );
}
