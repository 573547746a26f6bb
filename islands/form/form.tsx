/**
 * The form of a task type. Without JavaScript it is a plain form that comes back with errors at their fields. With it,
 * errors show while typing, files are sent with progress, and input is never lost.
 *
 * @module
 */

import type { JSX } from "preact";
import { CloseButton, Dialog } from "../shell/overlay.tsx";
import type { Store } from "../app/state.ts";
import { hrefOf, type View } from "../app/url.ts";

export { enterAgain } from "./entered.ts";
import { TypeForm } from "./type_form.tsx";

/** The form, in its dialog. */
export function SubmitForm({ store, onChange }: {
  store: Store;
  /** Goes to another view; only in the browser. */
  onChange?: (change: Partial<View>) => void;
}): JSX.Element | null {
  const view = store.view.value;
  const info = store.types.find(({ type }) => type === view.form);
  if (!info) return null;
  const close = () => onChange?.({ form: null, from: null });
  return (
    <Dialog label="New task" onClose={close} kind="form">
      <header class="dialog-head">
        <h2>New task</h2>
        <CloseButton onClose={close} />
        <a class="nojs button" href={hrefOf(view, { form: null, from: null })}>Close</a>
      </header>
      <nav class="tabs" aria-label="Task type">
        {store.types.map((one) => (
          <a
            key={one.type}
            href={hrefOf(view, { form: one.type, from: null })}
            aria-current={one.type === info.type ? "page" : undefined}
          >
            {one.title}
          </a>
        ))}
      </nav>
      <TypeForm key={`${info.type} ${view.from}`} info={info} store={store} onChange={onChange} />
    </Dialog>
  );
}
