/**
 * What is shown on top of the page: questions, keyboard shortcuts, messages.
 *
 * @module
 */

import type { ComponentChildren, JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Icon } from "./icons.tsx";
import { savePreferences } from "./preferences.ts";
import type { Question, Store } from "../app/state.ts";
import { dismiss } from "../app/store.ts";

/** A dialog that traps the focus until it is closed, and then restores it. */
export function Dialog({ label, onClose, children, kind = "" }: {
  label: string;
  onClose: () => void;
  children: ComponentChildren;
  kind?: string;
}): JSX.Element {
  const ref = useRef<HTMLDialogElement>(null);
  // Restore the focus immediately on close, so that the caller can then move it elsewhere.
  useLayoutEffect(() => {
    const dialog = ref.current!;
    const before = document.activeElement as HTMLElement | null;
    // The server rendered it open, but it cannot be modal before the script runs.
    if (dialog.open) dialog.close();
    dialog.showModal();
    // A form is opened to be filled in: focus its first field.
    if (kind === "form") {
      const fields = [...dialog.querySelectorAll<HTMLElement>(".grid :is(input, select, textarea)")];
      fields.find((field) => field.checkVisibility())?.focus();
    }
    return () => {
      dialog.close();
      if (before?.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      open={typeof document === "undefined"}
      class={kind}
      aria-label={label}
      onCancel={(event) => {
        if (event.target !== ref.current) return;
        event.preventDefault();
        onClose();
      }}
    >
      {children}
    </dialog>
  );
}

/** The button that closes a dialog. */
export function CloseButton({ onClose }: { onClose: () => void }): JSX.Element {
  return (
    <button type="button" class="quiet close js" aria-label="Close" onClick={onClose}>
      <Icon name="close" />
    </button>
  );
}

function Requested({ question }: { question: Question }): JSX.Element {
  const { title, lines, yes, danger, field, answer } = question;
  const text = useRef<HTMLInputElement>(null);
  return (
    <Dialog label={title} onClose={() => answer(null)} kind="question">
      <h2>{title}</h2>
      {lines.map((line) => <p key={line}>{line}</p>)}
      {field && (
        <label>
          {field}
          <input ref={text} maxLength={500} />
        </label>
      )}
      <div class="buttons">
        {/* The safe choice gets the initial focus. */}
        <button type="button" autofocus onClick={() => answer(null)}>Go back</button>
        <button type="button" class={danger ? "danger" : "primary"} onClick={() => answer(text.current?.value ?? "")}>
          {yes}
        </button>
      </div>
    </Dialog>
  );
}

const KEYS: [string, string][] = [
  ["/", "Search"],
  ["n", "New task"],
  ["1 – 5", "Filter by status"],
  ["j k", "Next, previous row"],
  ["Enter", "Open the row"],
  ["Esc", "Close, return to the row"],
  ["x", "Select the row"],
  ["Shift + x", "Select range to here"],
  ["h l", "Previous, next page"],
  ["r c", "Retry, cancel"],
  ["p", "Freeze or unfreeze the view"],
  ["f", "Follow the log"],
  ["?", "Show shortcuts"],
  ["Ctrl or ⌘ + Enter", "Submit the form"],
];

function Help({ store }: { store: Store }): JSX.Element {
  const close = () => store.help.value = false;
  return (
    <Dialog label="Keyboard shortcuts" onClose={close}>
      <header class="dialog-head">
        <h2>Keyboard shortcuts</h2>
        <CloseButton onClose={close} />
      </header>
      <label class="line">
        <input
          type="checkbox"
          checked={store.preferences.value.shortcuts}
          onChange={({ currentTarget }) => {
            store.preferences.value = { ...store.preferences.value, shortcuts: currentTarget.checked };
            savePreferences(store.preferences.value);
          }}
        />
        Enable single-key shortcuts
      </label>
      <dl class="keys">
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

/** Questions, help and messages. */
export function Overlay({ store }: { store: Store }): JSX.Element {
  const question = store.question.value;
  return (
    <>
      {question && <Requested key={question.title} question={question} />}
      {store.help.value && <Help store={store} />}
      <section aria-label="Messages">
        <ul class="toasts">
          {store.toasts.value.map(({ id, kind, text, link, details }) => (
            <li key={id} class={`toast ${kind}`}>
              <p>{text}</p>
              {details && details.length > 0 && (
                <details>
                  <summary>Show</summary>
                  <ul>{details.map((line) => <li key={line}>{line}</li>)}</ul>
                </details>
              )}
              {link && <a href={link.href}>{link.text}</a>}
              <button type="button" class="quiet" aria-label="Dismiss" onClick={() => dismiss(store, id)}>
                <Icon name="close" />
              </button>
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}

/** The live regions for screen readers. */
export function Announcer({ store }: { store: Store }): JSX.Element {
  return (
    <>
      <p class="hidden" role="status">{store.polite.value}</p>
      <p class="hidden" role="alert">{store.alert.value}</p>
    </>
  );
}
