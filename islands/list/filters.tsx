/**
 * What narrows the list: drop-downs for status, type and time, a search with qualifiers, and saved views.
 *
 * @module
 */

import { SEARCH_LIMIT } from "../../queue/task/limits.ts";
import type { JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { STATUSES } from "../../queue/task/record.ts";
import { number } from "../app/format.ts";
import { Icon } from "../shell/icons.tsx";
import type { Store } from "../app/state.ts";
import { timeWords, titleOf } from "../app/store.ts";
import { hrefOf, isFiltered, parseSearch, searchText, UNFILTERED, type View } from "../app/url.ts";
import { filterParts } from "./filter_words.ts";
import { DropDowns, FIRST } from "./drop_downs.tsx";

/** The search starts after a typing pause of this length. */
const TYPING_MS = 250;

/** The active parts of the filter, each a link that removes it. */
function Chips({ store }: { store: Store }): JSX.Element {
  const view = store.view.value;
  const parts = filterParts(view, (type) => titleOf(store, type), timeWords(store));
  return (
    <ul class="chips" aria-label="Active filters">
      {parts.map(([words, without]) => (
        <li key={words}>
          <a class="chip" data-stop href={hrefOf(view, { ...without, ...FIRST })} aria-label={`Remove filter ${words}`}>
            {words}
            <Icon name="close" />
          </a>
        </li>
      ))}
      <li>
        <a data-stop href={hrefOf(view, UNFILTERED)}>Clear all</a>
      </li>
    </ul>
  );
}

/** Completions for the word at the cursor; of nothing, what there is to write. */
function suggestions(store: Store, word: string): string[] {
  const all = [
    ...STATUSES.map((status) => `status:${status.toLowerCase()}`),
    ...store.types.map(({ type }) => `type:${type}`),
    "error:",
    "tag:",
    ...["1h", "24h", "7d"].flatMap((age) => [`created:>${age}`, `ended:>${age}`]),
    "id:",
  ];
  const wanted = word.toLowerCase();
  if (!wanted) return ["status:failed", "error:", "tag:", "ended:>1h", "created:>24h", "id:"];
  return all.filter((text) => text !== wanted && (text.startsWith(wanted) || text.split(":")[1].startsWith(wanted)))
    .slice(0, 8);
}

/** Filters and the line that says what the list is. */
export function Filters({ store, onSearch }: {
  store: Store;
  onSearch?: (change: Partial<View>, typing: boolean) => void;
}): JSX.Element {
  const view = store.view.value;
  const { total, total_capped, searched } = store.list.value;
  const isOne = total === 1 && !total_capped;
  const shown = searchText(view);
  const box = useRef<HTMLInputElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const [options, setOptions] = useState<string[]>([]);
  const [active, setActive] = useState(-1);
  const id = useId();

  // If the address changed in another way, the box shows it. Text being typed, and what was not understood, stay.
  useEffect(() => {
    const input = box.current;
    if (input && document.activeElement !== input && store.ignored.value.length === 0) input.value = shown;
  }, [shown]);

  const word = () => /\S*$/.exec(box.current!.value.slice(0, box.current!.selectionStart ?? 0))![0];
  const suggest = () => {
    setOptions(suggestions(store, word()));
    setActive(-1);
  };

  const search = (typing: boolean) => {
    clearTimeout(timer.current);
    const { parts, ignored } = parseSearch(box.current!.value, store.types.map(({ type }) => type));
    // A word that is still being typed is neither searched for nor reported as invalid.
    const isOpen = word() !== "" && suggestions(store, word()).length > 0 || word().endsWith(":");
    if (typing && (ignored.length > 0 || isOpen || parts.statuses || parts.task_types)) return;
    // What says nothing that is understood changes nothing.
    if (ignored.length === 0 || Object.values(parts).some((part) => String(part))) {
      onSearch?.({ ...parts, ...FIRST }, typing);
    }
    // After the new address has been read, which has only what was understood.
    store.ignored.value = ignored;
    if (!typing && ignored.length === 0) box.current!.value = searchText({ ...view, ...parts });
  };

  const choose = (option: string) => {
    const input = box.current!;
    input.value = `${input.value.replace(/\S*$/, "")}${option}`;
    setOptions([]);
    setActive(-1);
    if (!option.endsWith(":")) search(false);
    input.focus();
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    if (event.key === "Escape" && options.length > 0) {
      event.stopPropagation();
      setOptions([]);
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && options.length > 0) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      setActive((active + step + options.length + (active < 0 && step < 0 ? 1 : 0)) % options.length);
    } else if (event.key === "Enter" && active >= 0) {
      event.preventDefault();
      choose(options[active]);
    }
  };

  return (
    <form
      class="filters"
      action="./"
      method="get"
      role="search"
      aria-label="Tasks"
      onSubmit={(event) => {
        event.preventDefault();
        setOptions([]);
        search(false);
      }}
    >
      <DropDowns store={store} onSearch={onSearch} />
      {view.created_to && <input type="hidden" name="created_to" value={view.created_to} />}
      <div class="search">
        <label class="hidden" for={`${id}-q`}>Search tasks</label>
        <Icon name="search" />
        <input
          id={`${id}-q`}
          ref={box}
          class="search-box"
          type="search"
          name="search"
          defaultValue={shown}
          maxLength={300}
          autoComplete="off"
          spellcheck={false}
          list={undefined}
          role="combobox"
          aria-expanded={options.length > 0}
          aria-controls={`${id}-options`}
          aria-autocomplete="list"
          aria-activedescendant={active >= 0 ? `${id}-${active}` : undefined}
          aria-describedby={`${id}-help`}
          placeholder="Search title, id, tag, error…"
          onFocus={suggest}
          onClick={suggest}
          onInput={() => {
            suggest();
            clearTimeout(timer.current);
            timer.current = setTimeout(() => search(true), TYPING_MS);
          }}
          onKeyDown={onKeyDown}
          onBlur={() => setOptions([])}
        />
        <ul id={`${id}-options`} class="options" role="listbox" aria-label="Suggestions" hidden={options.length === 0}>
          {options.map((option, i) => (
            <li
              key={option}
              id={`${id}-${i}`}
              role="option"
              aria-selected={i === active}
              onMouseDown={(event) => {
                event.preventDefault();
                choose(option);
              }}
            >
              {option}
            </li>
          ))}
        </ul>
        <span id={`${id}-help`} class="hidden">
          Search text, or use filters such as status:failed, type:csv, error:timeout, tag:a, created:&gt;2h,
          ended:&gt;1h.
        </span>
      </div>
      {view.order !== "newest" && <input type="hidden" name="order" value={view.order} />}
      <button type="submit" class="nojs">Search</button>
      <span class="result-line">
        {number(total)}
        {total_capped ? "+" : ""} {isOne ? "task" : "tasks"}
        {isFiltered(view) ? ` ${isOne ? "matches" : "match"}` : ""}
        {searched !== null && searched >= SEARCH_LIMIT && (
          <span class="muted">· searched the newest {number(searched)}</span>
        )}
      </span>
      {isFiltered(view) && (
        <div class="active" role="toolbar" aria-label="Active filters">
          <Chips store={store} />
        </div>
      )}
      {store.ignored.value.length > 0 && (
        <p class="note warn">
          Ignored unknown filter: {store.ignored.value.join(", ")}. To search for it as text, put it in quotes.
        </p>
      )}
    </form>
  );
}
