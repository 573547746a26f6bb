/**
 * The messages of one mailing: each recipient's values, the filled message, its preview.
 *
 * @module
 */

import type { Params } from "./params.ts";
import type { TaskContext } from "../../define.ts";
import { escapeHtml, fill, filledLength, fillHtml, fillLine, previewPage, type Values } from "./template.ts";
import type { Attachment, MailTransport, Message } from "./transport.ts";

/** Characters of a message with all its fields filled in, without attachments. */
export const MAX_MESSAGE = 10_000_000;

/** What all messages of a mailing have in common. */
export interface Letter {
  recipients: Values[];
  attachments: Attachment[];
}

/** The values of a recipient. */
function valuesOf({ recipients }: Letter, index: number): Values {
  return { ...recipients[index], number: String(index + 1), total: String(recipients.length) };
}

/** How many characters a message will have, before it is made. */
export function sizeOf({ params }: TaskContext<Params>, letter: Letter, index: number): number {
  const { subject, body, html, list_unsubscribe } = params;
  const values = valuesOf(letter, index);
  return filledLength(subject, values) + filledLength(body, values) +
    (html ? filledLength(html, values, escapeHtml) : 0) +
    (list_unsubscribe ? filledLength(list_unsubscribe, values, encodeURIComponent) : 0);
}

/** Unsubscribe URL of a recipient, always in ASCII; undefined: there is none, null: it is not a valid URL. */
export function unsubscribeOf(
  { params }: TaskContext<Params>,
  letter: Letter,
  index: number,
): string | null | undefined {
  const template = params.list_unsubscribe;
  if (template === undefined) return undefined;
  return URL.parse(fill(template, valuesOf(letter, index), encodeURIComponent))?.href ?? null;
}

/** The message of one recipient. */
export function messageOf(ctx: TaskContext<Params>, transport: MailTransport, letter: Letter, index: number): Message {
  const { subject, body, html, reply_to } = ctx.params;
  const number = index + 1;
  const values = valuesOf(letter, index);
  return {
    to: values.email,
    subject: fillLine(subject, values),
    text: fill(body, values),
    html: html && fillHtml(html, values),
    // Derived from task and number: a receiver can detect a duplicate.
    messageId: `<${ctx.id.toLowerCase()}.${number}@${transport.from.address.split("@")[1]}>`,
    replyTo: reply_to,
    unsubscribe: unsubscribeOf(ctx, letter, index) ?? undefined,
    attachments: letter.attachments,
  };
}

/** Stores a preview of the first message, for the page. */
export async function keepPreview(ctx: TaskContext<Params>, message: Message): Promise<void> {
  await ctx.artifact("preview.html", previewPage(message), "text/html");
}
