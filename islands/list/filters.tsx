/**
 * What narrows the list: a search with qualifiers, chips for what is active, the order.
 *
 * @module
 */

import { SEARCH_LIMIT } from "../../queue/task/limits.ts";
import type { JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { STATUSES } from "../../queue/task/record.ts";
import { clockTime, number } from "../app/format.ts";
import { Icon } from "../shell/icons.tsx";
import type { Store } from "../app/state.ts";
import { titleOf } from "../app/store.ts";
import { hrefOf, isFiltered, parseSearch, searchText, UNFILTERED, type View } from "../app/url.ts";

/** The search starts after a typing pause of this length. */
const TYPING_MS = 250;

interface Chip {
  text: string;
  without: Partial<View>;
}

/** The active parts of a filter, each with the change that removes it. */
function chipsOf(store: Store): Chip[] {
  const view = store.view.value;
  const first = { cursor: null, first: 1 };
  const chips: Chip[] = [
    ...view.statuses.map((status) => ({
      text: status as string,
      without: { statuses: view.statuses.filter((other) => other !== status), ...first },
    })),
    ...view.task_types.map((type) => ({
      text: titleOf(store, type),
      without: { task_types: view.task_types.filter((other) => other !== type), ...first },
    })),
  ];
  if (view.tag) chips.push({ text: `tag: ${view.tag}`, without: { tag: null, ...first } });
  if (view.created_from) chips.push({ text: `since ${view.created_from}`, without: { created_from: null, ...first } });
  if (view.created_to) chips.push({ text: `before ${view.created_to}`, without: { created_to: null, ...first } });
  if (view.q) chips.push({ text: `“${view.q}”`, without: { q: "", ...first } });
  return chips;
}

/** The chips, each a link that removes its part of the filter. */
export function Chips({ store }: { store: Store }): JSX.Element | null {
  const chips = chipsOf(store);
  if (chips.length === 0) return null;
  const view = store.view.value;
  return (
    <ul class="chips" aria-label="Active filters">
      {chips.map(({ text, without }) => (
        <li key={text}>
          <a class="chip" href={hrefOf(view, without)} aria-label={`Remove filter ${text}`}>
            {text}
            <Icon name="close" />
          </a>
        </li>
      ))}
      <li>
        <a href={hrefOf(view, UNFILTERED)}>Clear all</a>
      </li>
    </ul>
  );
}

/** Completions for the word at the cursor. */
function suggestions(store: Store, word: string): string[] {
  const all = [
    ...STATUSES.map((status) => `status:${status.toLowerCase()}`),
    ...store.types.map(({ type }) => `type:${type}`),
    "created:>1h",
    "created:>24h",
    "created:>7d",
    "tag:",
    "id:",
  ];
  const wanted = word.toLowerCase();
  if (!wanted) return [];
  return all.filter((text) => text !== wanted && (text.startsWith(wanted) || text.split(":")[1].startsWith(wanted)))
    .slice(0, 8);
}

/** Filters and the line that says what the list is. */
export function Filters({ store, onSearch }: {
  store: Store;
  onSearch?: (change: Partial<View>, typing: boolean) => void;
}): JSX.Element {
  const view = store.view.value;
  const { total, total_capped, searched, at } = store.list.value;
  const shown = searchText(view);
  const box = useRef<HTMLInputElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const [options, setOptions] = useState<string[]>([]);
  const [active, setActive] = useState(-1);
  const id = useId();

  // If the address changed in another way, the box shows it. Text being typed is left alone.
  useEffect(() => {
    if (box.current && document.activeElement !== box.current) box.current.value = shown;
  }, [shown]);

  const search = (typing: boolean) => {
    clearTimeout(timer.current);
    const { parts, ignored } = parseSearch(box.current!.value, store.types.map(({ type }) => type));
    // A word that is still being typed is not reported as invalid.
    if (typing && (ignored.length > 0 || /:$/.test(box.current!.value))) return;
    const { statuses, task_types, ...rest } = parts;
    const change = {
      ...rest,
      ...typing ? {} : { statuses: statuses ?? view.statuses, task_types: task_types ?? view.task_types },
      cursor: null,
      first: 1,
    };
    if (typing && (statuses || task_types)) return;
    onSearch?.(change, typing);
    // After the new address has been read, which has only what was understood.
    store.ignored.value = ignored;
    if (!typing && ignored.length === 0) box.current!.value = searchText({ ...view, ...change });
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
    <div class="filters">
      <form
        class="search"
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
          placeholder="Search: text, status:failed, tag:…, created:>2h"
          onInput={() => {
            const input = box.current!;
            setOptions(suggestions(store, /\S*$/.exec(input.value.slice(0, input.selectionStart ?? 0))![0]));
            setActive(-1);
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
        {view.statuses.map((status) => <input key={status} type="hidden" name="status" value={status} />)}
        {view.task_types.map((type) => <input key={type} type="hidden" name="task_type" value={type} />)}
        {view.order !== "newest" && <input type="hidden" name="order" value={view.order} />}
        <button type="submit">Search</button>
        <span id={`${id}-help`} class="hidden">
          Text, or qualifiers: status, type, id, tag, created.
        </span>
      </form>
      <Chips store={store} />
      {store.ignored.value.length > 0 && <p class="note warn">Ignored: {store.ignored.value.join(", ")}.</p>}
      <p class="result-line">
        <span>
          {number(total)}
          {total_capped ? "+" : ""} {total === 1 ? "task" : "tasks"}
          {isFiltered(view) ? ` ${total === 1 ? "matches" : "match"}` : ""}
          <span class="muted">{` as of ${clockTime(at, store.preferences.value.time)}`}</span>
          {searched !== null && searched >= SEARCH_LIMIT && (
            <span class="muted">· searched the newest {number(searched)}</span>
          )}
        </span>
        <a href={hrefOf(view, { order: view.order === "newest" ? "oldest" : "newest", cursor: null, first: 1 })}>
          {view.order === "newest" ? "Newest first" : "Oldest first"}
        </a>
      </p>
    </div>
  );
}
