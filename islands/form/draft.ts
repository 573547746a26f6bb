/**
 * Drafts: what was entered into a form is kept for the tab until it is submitted.
 *
 * @module
 */

const draftKey = (type: string) => `millrace draft ${type}`;

/** What was entered into the form of a type before, by pointer. */
export function readDraft(type: string): Record<string, string> {
  try {
    return JSON.parse(sessionStorage.getItem(draftKey(type)) ?? "{}");
  } catch {
    return {};
  }
}

/** What the fields of a form hold, by pointer. Times without a zone are the browser's. */
function textsOf(form: HTMLFormElement): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const [name, value] of new FormData(form)) {
    if (typeof value === "string" && name.startsWith("params/")) texts[name.slice("params".length)] = value;
  }
  return texts;
}

/** Saves what is in a form, except for the fields named in `secret`. */
export function keepDraft(type: string, form: HTMLFormElement, secret: string[]): void {
  const kept = textsOf(form);
  for (const pointer of secret) delete kept[pointer];
  sessionStorage.setItem(draftKey(type), JSON.stringify(kept));
}

/** Forgets the draft of a type. */
export function dropDraft(type: string): void {
  sessionStorage.removeItem(draftKey(type));
}
