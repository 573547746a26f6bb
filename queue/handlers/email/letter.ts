/**
 * The messages of one mailing: each recipient's values, the filled message, its preview.
 *
 * @module
 */

import { convert, type HtmlToTextOptions } from "html-to-text";
import { NonRetryableError } from "../../task/errors.ts";
import { DEFAULT_BODY, type Params, templatesOf } from "./params.ts";
import type { Recipient } from "./recipients.ts";
import {
  BUILT_IN,
  escapeHtml,
  fill,
  filledLength,
  fillHtml,
  fillLine,
  previewPage,
  unknownField,
  type Values,
} from "./template.ts";
import type { Attachment, Message } from "./transport.ts";

/** Characters of a message with all its fields filled in, without attachments. */
const MAX_MESSAGE = 10_000_000;

/** Whoever names a file by `cid:name` in HTML gets it shown there. */
const CID = /(?<=["'(=]\s*)cid:([^"'\s)>]+)/gi;

/** How HTML becomes text: fields keep their names, and pictures that are attached leave nothing. */
const TO_TEXT: HtmlToTextOptions = {
  wordwrap: false,
  selectors: [
    ...["h1", "h2", "h3", "h4", "h5", "h6"].map((selector) => ({ selector, options: { uppercase: false } })),
    { selector: "table", options: { uppercaseHeaderCells: false } },
    { selector: "img", format: "skip" },
  ],
};

/** What all messages of a mailing have in common, and whom they go to. */
export class Letter {
  readonly #params: Params;
  readonly #html: string | undefined;
  readonly #attachments: Message["attachments"];
  /** The plain text as a template. */
  readonly #text: string;

  /** @throws {NonRetryableError} If the HTML shows a file that is not attached. */
  constructor(params: Params, readonly recipients: Recipient[], attachments: Attachment[]) {
    this.#params = params;
    const { html, body } = params;
    const isOwnText = body !== "" && (html === undefined || body !== DEFAULT_BODY);
    // Fields stand in both; values are filled in afterwards, and are not HTML in a text.
    this.#text = isOwnText || html === undefined ? body : convert(html, TO_TEXT);
    const shown = new Map(
      Array.from((html ?? "").matchAll(CID), ([, name], i) => [decoded(name), `file${i + 1}@millrace`]),
    );
    // A file's name may hold what a Content-ID may not.
    this.#html = html?.replaceAll(CID, (_, name) => `cid:${shown.get(decoded(name))}`);
    this.#attachments = attachments.map((file) => {
      const cid = shown.get(file.filename);
      return cid === undefined ? file : { ...file, cid, contentDisposition: "inline" };
    });
    const missing = [...shown.keys()].find((name) => !attachments.some(({ filename }) => filename === name));
    if (missing === undefined) return;
    const names = attachments.map(({ filename }) => filename).join(", ") || "none";
    throw new NonRetryableError(
      `The HTML shows cid:${missing.slice(0, 100)}, which is not attached. Attached: ${names}.`,
    );
  }

  /** A field without a value is a mistake that must not reach a recipient. */
  assertFields(): void {
    const issue = unknownField(templatesOf(this.#params), Object.keys(this.recipients[0].values));
    if (issue) throw new NonRetryableError(issue.detail);
  }

  #values(index: number): Values {
    const [number, total] = [String(index + 1), String(this.recipients.length)];
    return {
      number,
      total,
      ...this.recipients[index].values,
      [`${BUILT_IN}number`]: number,
      [`${BUILT_IN}total`]: total,
    };
  }

  /** Why the message of a recipient cannot be made; null if it can. */
  faultOf(index: number): string | null {
    const { subject, list_unsubscribe = "", headers = {} } = this.#params;
    const html = this.#html ?? "";
    const values = this.#values(index);
    const size = filledLength(this.#text, values) + filledLength(html, values, escapeHtml) +
      filledLength(list_unsubscribe, values, encodeURIComponent) +
      [subject, ...Object.values(headers)].reduce((sum, template) => sum + filledLength(template, values), 0);
    if (size > MAX_MESSAGE) {
      return `the message would have ${size.toLocaleString("en")} characters; ${
        MAX_MESSAGE.toLocaleString("en")
      } are allowed`;
    }
    return this.#unsubscribe(values) === null ? "its unsubscribe address is not a URL" : null;
  }

  /** Always in ASCII; undefined: there is none, null: it is not a valid URL. */
  #unsubscribe(values: Values): string | null | undefined {
    const template = this.#params.list_unsubscribe;
    if (template === undefined) return undefined;
    return URL.parse(fill(template, values, encodeURIComponent))?.href ?? null;
  }

  /** The message of a recipient with an address. */
  message(index: number, messageId: string): Message {
    const { subject, reply_to, headers = {} } = this.#params;
    const values = this.#values(index);
    return {
      to: this.recipients[index].to!,
      subject: fillLine(subject, values),
      text: fill(this.#text, values),
      html: this.#html && fillHtml(this.#html, values),
      messageId,
      replyTo: reply_to,
      unsubscribe: this.#unsubscribe(values) ?? undefined,
      headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, fillLine(value, values)])),
      attachments: this.#attachments,
    };
  }

  /** A page that shows the message of a recipient. */
  preview(index: number): string {
    const { to, ...message } = this.message(index, "");
    return previewPage({ ...message, to: to.name ? `${to.name} <${to.address}>` : to.address });
  }
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
