/**
 * The focus on a row of the list.
 *
 * @module
 */

/** Gives the focus to a row, once the dialog has gone and given it back to where it was. */
export function focusRow(id: string, tries = 60): void {
  requestAnimationFrame(() => {
    const row = document.querySelector<HTMLElement>(`tr[data-id="${CSS.escape(id)}"] .task a`);
    if (tries > 0 && (!row || document.querySelector("dialog[open]"))) focusRow(id, tries - 1);
    else row?.focus();
  });
}
