/**
 * What was entered into a server-rendered form before its script loaded.
 *
 * @module
 */

type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

function isChanged(control: Control): boolean {
  if (control instanceof HTMLSelectElement) {
    // Without an option that is marked the first one is chosen.
    return control.selectedIndex !== Math.max(0, [...control.options].findLastIndex((one) => one.defaultSelected));
  }
  if (control instanceof HTMLTextAreaElement) return control.value !== control.defaultValue;
  if (control.type === "file") return control.files!.length > 0;
  if (control.type === "checkbox" || control.type === "radio") return control.checked !== control.defaultChecked;
  return control.value !== control.defaultValue;
}

/** The control of the same name; of several radio buttons, the one of the same value. */
function sameIn(form: HTMLFormElement, { name, type, value }: Control): Control | undefined {
  return ([...form.elements] as Control[]).find((one) =>
    one.name === name && (type !== "radio" || one.value === value)
  );
}

/** Copies what was entered into the replaced form, as if a person typed it; the focus moves too. */
export function enterAgain(before: HTMLFormElement, focused: Element | null, form: HTMLFormElement): void {
  for (const control of [...before.elements] as Control[]) {
    if (!control.name || control.type === "hidden" || !isChanged(control)) continue;
    const same = sameIn(form, control);
    if (!same) continue;
    if (same instanceof HTMLInputElement && control instanceof HTMLInputElement) {
      same.checked = control.checked;
      if (control.type === "file") same.files = control.files;
    }
    if (control.type !== "file") same.value = control.value;
    same.closest("details")?.setAttribute("open", "");
    for (const event of ["input", "change"]) same.dispatchEvent(new Event(event, { bubbles: true }));
  }
  if (focused && before.contains(focused) && focused.id) document.getElementById(focused.id)?.focus();
}
