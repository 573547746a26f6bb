/**
 * The parameters of a mailing.
 *
 * @module
 */

import { fieldsOf, fill } from "./template.ts";
import * as z from "zod";

/** The most recipients of a mailing. */
export const MAX_RECIPIENTS = 20_000;
/** Bytes of all attachments. */
export const MAX_ATTACHMENTS = 10_000_000;

// A line break would start another header.
const oneLine = (text: z.ZodString) => text.regex(/^[^\r\n]*$/, "This must be a single line.");

/** The parameter schema of a mailing. */
export const params = z.strictObject({
  num_emails: z.int().min(1).max(100).default(10)
    .meta({ title: "Emails", description: "Number of messages to generated addresses." }),
  recipients: z.array(z.email()).min(1).max(100).optional()
    .meta({ title: "Recipients", description: "Addresses, one per line, instead of generated ones." }),
  upload_id: z.string().length(26).optional().meta({
    title: "Recipients as CSV",
    description: `A file with a column email; its other columns fill in {{column}}. At most ${
      MAX_RECIPIENTS.toLocaleString("en")
    } rows.`,
    "x-file": { accept: ".csv,.tsv,text/csv" },
  }),
  subject: oneLine(z.string().min(1).max(200)).default("Hello from Millrace").meta({ title: "Subject" }),
  body: z.string().min(1).max(10_000).default("Hello {{email}},\n\nthis is message {{number}} of {{total}}.")
    .meta({
      title: "Text",
      description: "{{email}}, {{number}}, {{total}} and the columns of the file are filled in.",
      "x-multiline": true,
    }),
  html: z.string().min(1).max(15_000).optional()
    .meta({
      title: "HTML",
      description: "The message as HTML; values are escaped.",
      "x-multiline": true,
      "x-group": "More message options",
    }),
  attachments: z.array(z.string().length(26)).min(1).max(10).optional()
    .meta({
      title: "Attachments",
      description: `${MAX_ATTACHMENTS / 1e6} MB in total.`,
      "x-file": { multiple: true, maxBytes: MAX_ATTACHMENTS },
      "x-group": "More message options",
    }),
  reply_to: z.email().optional().meta({
    title: "Reply to",
    description: "Where replies go.",
    "x-group": "More message options",
  }),
  list_unsubscribe: oneLine(z.string().regex(/^(https:\/\/|mailto:)[^\s<>]+$/, "An https or mailto URL.").max(500))
    .refine(isUrlTemplate, "An https or mailto URL.")
    .optional()
    .meta({
      title: "Unsubscribe",
      description: "An https or mailto URL for List-Unsubscribe; fields are filled in.",
      "x-group": "More message options",
    }),
  delay_per_email: z.number().min(0.5).max(5).default(1)
    .meta({
      title: "Delay",
      description: "Between two messages.",
      "x-unit": "s",
      "x-group": "Rate and testing",
    }),
  rate_per_second: z.number().min(0.1).max(1_000).optional()
    .meta({
      title: "Rate",
      description: "Maximum messages per second, instead of the delay.",
      "x-group": "Rate and testing",
    }),
  failure_rate: z.number().min(0).max(1).default(0)
    .meta({
      title: "Failure rate",
      description: "Share of generated addresses that bounce.",
      "x-group": "Rate and testing",
    }),
  dry_run: z.boolean().default(false)
    .meta({
      title: "Preview only",
      description: "Save the first message as a file and send nothing.",
      "x-group": "Rate and testing",
    }),
});

/** The parameters of a mailing. */
export type Params = z.output<typeof params>;

/** Whether a template gives a URL, whatever fills it in. */
function isUrlTemplate(template: string): boolean {
  const values = Object.fromEntries(fieldsOf(template).map((field) => [field, "x"]));
  return URL.canParse(fill(template, values, encodeURIComponent));
}
