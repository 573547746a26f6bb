/**
 * Messages with fields: `{{name}}` stands for a value of the recipient.
 *
 * @module
 */

import { closest, distance } from "fastest-levenshtein";
import { RecentMap } from "../../recent_map.ts";

/** What the names of the service's own fields begin with: no column of a list may. */
export const BUILT_IN = "mailing.";

/** What fills in the fields of one message. */
export type Values = Readonly<Record<string, string>>;

/** Characters of a field's name. */
const MAX_NAME = 200;
/** Parsed templates that are cached: a mailing uses the same few repeatedly. */
const READ = 32;

/** A piece of a template: text that stays, or a field with its placeholder. */
type Piece = string | { field: string; written: string };

const read = new RecentMap<string, Piece[]>(READ);

/** The pieces of a template, found in one pass over it. */
function piecesOf(template: string): Piece[] {
  const known = read.get(template);
  if (known) return known;
  const pieces: Piece[] = [];
  let from = 0;
  let text = 0;
  for (let end = template.indexOf("}}", from); end >= 0; end = template.indexOf("}}", from)) {
    // The last opening before an end: a name holds no braces.
    const start = template.lastIndexOf("{{", end - 1);
    const field = start >= from ? template.slice(start + 2, end).trim() : "";
    if (field !== "" && field.length <= MAX_NAME && !/[{}]/.test(field)) {
      pieces.push(template.slice(text, start), { field, written: template.slice(start, end + 2) });
      text = end + 2;
    }
    from = end + 2;
  }
  pieces.push(template.slice(text));
  read.set(template, pieces);
  return pieces;
}

/** The fields that a template names. */
export function fieldsOf(template: string): string[] {
  return piecesOf(template).flatMap((piece) => typeof piece === "string" ? [] : [piece.field]);
}

/** The name that a mistyped one may stand for: not more than a third of it differs. */
function nearest(name: string, names: readonly string[]): string | null {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[\s_-]/g, "");
  const like = closest(plain(name), names.map(plain));
  const found = names.find((each) => plain(each) === like);
  return found !== undefined && distance(plain(name), like) <= Math.max(1, name.length / 3) ? found : null;
}

/** A text with fields, and where it stands in the parameters. */
export interface Template {
  path: string[];
  text: string;
}

/** A field that nothing fills in, where it stands, and what may be meant; null if there is none. */
export function unknownField(templates: Template[], columns: string[]): { path: string[]; detail: string } | null {
  const known = [...new Set([...columns, "number", "total", `${BUILT_IN}number`, `${BUILT_IN}total`])];
  for (const { path, text } of templates) {
    const unknown = fieldsOf(text).find((name) => !known.includes(name));
    if (unknown === undefined) continue;
    const like = nearest(unknown, known);
    const meant = like === null ? "" : ` Did you mean {{${like}}}?`;
    const available = known.filter((name) => !name.startsWith(BUILT_IN)).slice(0, 30).join(", ");
    return { path, detail: `There is no value for {{${unknown}}}.${meant} Available: ${available}.` };
  }
  return null;
}

type Writer = (value: string) => string;

const asIs: Writer = (value) => value;

/** Fills in a text. What has no value stays as it is. */
export function fill(template: string, values: Values, as: Writer = asIs): string {
  const written = new Map<string, string>();
  return piecesOf(template).map((piece) => {
    if (typeof piece === "string") return piece;
    const { field } = piece;
    if (!Object.hasOwn(values, field)) return piece.written;
    const known = written.get(field) ?? as(values[field]);
    written.set(field, known);
    return known;
  }).join("");
}

/** How many characters {@linkcode fill} would return, without building the text. */
export function filledLength(template: string, values: Values, as: Writer = asIs): number {
  const lengths = new Map<string, number>();
  let length = 0;
  for (const piece of piecesOf(template)) {
    if (typeof piece === "string") length += piece.length;
    else if (!Object.hasOwn(values, piece.field)) length += piece.written.length;
    else {
      const known = lengths.get(piece.field) ?? as(values[piece.field]).length;
      lengths.set(piece.field, known);
      length += known;
    }
  }
  return length;
}

/** Fills in HTML: values are escaped. */
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

/** A text as HTML shows it. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character]);
}
