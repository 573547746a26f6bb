/**
 * The parameters of a mailing.
 *
 * @module
 */

import * as z from "zod";
import { MAX_ADDRESS, parseAddress } from "./address.ts";
import { fieldsOf, fill, type Template, unknownField } from "./template.ts";

/** The most recipients of a mailing. */
export const MAX_RECIPIENTS = 20_000;
/** Bytes of all attachments. */
export const MAX_ATTACHMENTS = 10_000_000;

/** The text of a message that was given none. */
export const DEFAULT_BODY = "Hello {{email}},\n\nthis is message {{number}} of {{total}}.";

/** Header fields that a mailing may set: none that says who sends, who receives, or how the message is built. */
const HEADERS =
  /^(X-[A-Za-z0-9-]+|List-(Id|Help|Post|Owner|Archive)|Feedback-ID|Precedence|Auto-Submitted|Importance|Priority|Organization|Keywords)$/i;

// A line break would start another header.
const oneLine = (text: z.ZodString) => text.regex(/^[^\r\n]*$/, "This must be a single line.");

/** The parameter schema of a mailing. */
export const params = z.strictObject({
  num_emails: z.int().min(1).max(100).default(10)
    .meta({ title: "Sample messages", description: "Messages to sample addresses.", "x-data": "sample" }),
  recipients: z.array(
    z.string().max(MAX_ADDRESS).refine((text) => parseAddress(text) !== null, "This is not an address."),
  )
    .min(1).max(100).optional()
    .meta({
      title: "Recipients",
      description: "Addresses, with or without a name, one per line.",
      "x-data": "own",
    }),
  upload_id: z.string().length(26).optional().meta({
    title: "Recipients as CSV",
    description: `A file with a column email; its other columns fill in {{column}}. At most ${
      MAX_RECIPIENTS.toLocaleString("en")
    } rows.`,
    "x-file": { accept: ".csv,.tsv,text/csv" },
    "x-data": "own",
  }),
  subject: oneLine(z.string().min(1).max(200)).default("Hello from Millrace").meta({ title: "Subject" }),
  body: z.string().max(10_000).default(DEFAULT_BODY)
    .meta({
      title: "Text",
      description: "{{email}}, {{number}}, {{total}} and the columns of the file are filled in. " +
        "Left empty or as it is, it is made of the HTML, if there is some.",
      "x-multiline": true,
    }),
  html: z.string().min(1).max(15_000).optional()
    .meta({
      title: "HTML",
      description: 'The message as HTML; values are escaped. An attached picture is shown by src="cid:name.png".',
      "x-multiline": true,
      "x-group": "Message options",
    }),
  attachments: z.array(z.string().length(26)).min(1).max(10).optional()
    .meta({
      title: "Attachments",
      description: `${MAX_ATTACHMENTS / 1e6} MB in total.`,
      "x-file": { multiple: true, maxBytes: MAX_ATTACHMENTS },
      "x-group": "Message options",
    }),
  reply_to: z.email().optional().meta({
    title: "Reply to",
    description: "Replies go here.",
    "x-group": "Message options",
  }),
  list_unsubscribe: oneLine(z.string().regex(/^(https:\/\/|mailto:)[^\s<>]+$/, "An https or mailto URL.").max(500))
    .refine(isUrlTemplate, "An https or mailto URL.")
    .optional()
    .meta({
      title: "Unsubscribe",
      description:
        "For List-Unsubscribe, an https URL (which mail programs call with one click, RFC 8058) or a mailto URL; fields are filled in.",
      "x-group": "Message options",
    }),
  headers: z.record(
    z.string().regex(HEADERS, "Only X- and other harmless header fields can be set."),
    oneLine(z.string().max(500)),
  )
    .refine((headers) => Object.keys(headers).length <= 20, "At most 20.")
    .optional()
    .meta({
      title: "Headers",
      description:
        "More header fields: X-Campaign=spring, one per line. X-…, List-Id, Feedback-ID, Precedence and the like.",
      "x-group": "Message options",
    }),
  delay_per_email: z.number().min(0.5).max(5).default(1)
    .meta({
      title: "Delay",
      description: "Between two messages.",
      "x-unit": "s",
      "x-group": "Rate and testing",
    }),
  rate_per_second: z.number().min(0.1).max(10_000).optional()
    .meta({
      title: "Max messages per second",
      description: "Overrides the delay.",
      "x-group": "Rate and testing",
    }),
  max_failures: z.int().min(0).max(MAX_RECIPIENTS).optional()
    .meta({
      title: "Max failures",
      description: "With more recipients that bounced or whose outcome is unknown, the task stops and fails.",
      "x-group": "Rate and testing",
    }),
  failure_rate: z.number().min(0).max(1).default(0)
    .meta({
      title: "Failure rate",
      description: "Share of sample addresses that bounce, 0 to 1.",
      "x-data": "sample",
      "x-group": "Rate and testing",
    }),
  dry_run: z.boolean().default(false)
    .meta({
      title: "Dry run",
      description: "Save the first message, send nothing.",
      "x-group": "Rate and testing",
    }),
}).superRefine((value, ctx) => {
  if (value.body === "" && value.html === undefined) {
    ctx.addIssue({ code: "custom", path: ["body"], message: "A message needs a text or HTML." });
  }
  // What a file fills in is known when it is read.
  if (value.upload_id !== undefined) return;
  const hasNames = value.recipients?.every((text) => parseAddress(text)?.name);
  const issue = unknownField(templatesOf(value), ["email", ...hasNames ? ["name"] : []]);
  if (issue) ctx.addIssue({ code: "custom", path: issue.path, message: issue.detail });
});

/** The parameters of a mailing. */
export type Params = z.output<typeof params>;

/** Whether a template gives a URL, whatever fills it in. */
function isUrlTemplate(template: string): boolean {
  const values = Object.fromEntries(fieldsOf(template).map((field) => [field, "x"]));
  return URL.canParse(fill(template, values, encodeURIComponent));
}

/** All texts with fields, and where they stand. */
export function templatesOf({ subject, body, html, list_unsubscribe, headers = {} }: Params): Template[] {
  const named = { subject, body, html, list_unsubscribe };
  return [
    ...Object.entries(named).flatMap(([name, text]) => text === undefined ? [] : [{ path: [name], text }]),
    ...Object.entries(headers).map(([name, text]) => ({ path: ["headers", name], text })),
  ];
}
