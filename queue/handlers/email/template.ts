/**
 * Messages with fields: `{{name}}` stands for a value of the recipient.
 *
 * @module
 */

const FIELD = /\{\{\s*([^{}]+?)\s*\}\}/g;

/** What fills in the fields of one message. */
export type Values = Readonly<Record<string, string>>;

/** The fields that a template names. */
export function fieldsOf(template: string): string[] {
  return [...template.matchAll(FIELD)].map(([, name]) => name);
}

/** Fills in a text. What has no value stays as it is. */
export function fill(template: string, values: Values, as: (value: string) => string = (value) => value): string {
  return template.replaceAll(FIELD, (whole, name) => Object.hasOwn(values, name) ? as(values[name]) : whole);
}

/** Fills in HTML: a value is text there, whatever it holds. */
export function fillHtml(template: string, values: Values): string {
  return fill(template, values, escapeHtml);
}

/** Fills in what becomes a header: a line break would begin another one. */
export function fillLine(template: string, values: Values): string {
  // deno-lint-ignore no-control-regex
  return fill(template, values).replaceAll(/[\u0000-\u001f\u007f]+/g, " ").trim();
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** A message as a page, to be looked at in a frame without any rights. */
export function previewPage(message: { to: string; subject: string; text: string; html?: string }): string {
  const head = (name: string, value: string) => `<p><strong>${name}:</strong> ${escapeHtml(value)}</p>`;
  const style = "body{font:14px system-ui,sans-serif;margin:16px}pre{white-space:pre-wrap;font:inherit}";
  const body = message.html ?? `<pre>${escapeHtml(message.text)}</pre>`;
  return `<!DOCTYPE html><meta charset="utf-8"><title>${escapeHtml(message.subject)}</title><style>${style}</style>` +
    `${head("To", message.to)}${head("Subject", message.subject)}<hr>${body}`;
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character]);
}
