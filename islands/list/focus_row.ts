/**
 * The focus on a row of the list.
 *
 * @module
 */

/** Focuses a row, once the dialog has closed and restored the focus. */
export function focusRow(id: string, tries = 60): void {
  requestAnimationFrame(() => {
    const row = document.querySelector<HTMLElement>(`tr[data-id="${CSS.escape(id)}"] .task a`);
    if (tries > 0 && (!row || document.querySelector("dialog[open]"))) focusRow(id, tries - 1);
    else row?.focus();
  });
}
