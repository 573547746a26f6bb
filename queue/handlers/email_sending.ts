/**
 * Task type `email_sending`: renders each message with nodemailer and delivers it to the built-in outbox, an artifact
 * a message. What was delivered is in the checkpoint, so that no later attempt delivers it again.
 *
 * @module
 */

import { parse } from "@std/csv";
import nodemailer from "nodemailer";
import * as z from "zod";
import { defineTask, type TaskContext } from "../define.ts";
import { NonRetryableError } from "../errors.ts";
import type { Json } from "../task.ts";
import { randomFrom, seedOf } from "./random.ts";

const params = z.strictObject({
  num_emails: z.int().min(1).max(100).default(10)
    .meta({ title: "Emails", description: "Messages to send to made-up addresses." }),
  recipients: z.array(z.email()).min(1).max(100).optional()
    .meta({ title: "Recipients", description: "Addresses, one a line, instead of made-up ones." }),
  upload_id: z.string().length(26).optional().meta({
    title: "Recipients as CSV",
    description: "A file with a column email; its other columns fill in {{column}}. At most 1,000 rows.",
    "x-file": { accept: ".csv,text/csv" },
  }),
  // A line break in a subject would begin a header.
  subject: z.string().min(1).max(200).regex(/^[^\r\n]*$/, "A subject is one line.").default("Hello from Millrace")
    .meta({ title: "Subject" }),
  body: z.string().min(1).max(10_000).default("Hello {{email}},\n\nthis is message {{number}} of {{total}}.")
    .meta({
      title: "Body",
      description: "{{email}}, {{number}}, {{total}} and the columns of the file are filled in.",
      "x-multiline": true,
    }),
  delay_per_email: z.number().min(0.5).max(5).default(1)
    .meta({ title: "Delay", description: "Seconds between two messages.", "x-unit": "s" }),
  failure_rate: z.number().min(0).max(1).default(0)
    .meta({ title: "Failure rate", description: "Share of made-up addresses that bounce, 0 to 1." }),
});

type Params = z.output<typeof params>;

/** The largest list of recipients in bytes. */
const MAX_LIST_BYTES = 1_000_000;

/** One message to send: its address and what fills in its templates. */
type Recipient = { email: string } & Record<string, string>;

/** What is known of the mailing so far; also its checkpoint. */
interface Mailing {
  /** Recipients that are done with: sent to, or failed. */
  done: number;
  sent: number;
  failed: number;
  /** The first that failed. */
  failures: { email: string; reason: string }[];
}

/** Recipients that a file may name. */
const MAX_RECIPIENTS = 1_000;
/** Failures that are named; all are counted. */
const MAX_FAILURES = 100;

const address = z.email();

/** Sends emails. */
export const emailSending = defineTask({
  type: "email_sending",
  title: "Send emails",
  description: "Messages to the built-in outbox, one file each.",
  params,
  concurrency: 10,
  timeoutMs: 2 * 60 * 60_000,
  titleOf: ({ num_emails, recipients, upload_id, subject }) =>
    `${upload_id ? "list" : recipients?.length ?? num_emails} × ${subject}`,
  async run(ctx) {
    const { subject, body, delay_per_email } = ctx.params;
    const recipients = await readRecipients(ctx);
    const bounces = bouncesOf(ctx, recipients.length);
    const total = recipients.length;
    const renderer = nodemailer.createTransport({ streamTransport: true, buffer: true, newline: "windows" });

    const mailing = (ctx.resume as unknown as Mailing | undefined) ?? { done: 0, sent: 0, failed: 0, failures: [] };
    if (mailing.done > 0) ctx.log.info(`going on after message ${mailing.done}`);
    while (mailing.done < total) {
      const recipient = recipients[mailing.done];
      const { email } = recipient;
      const number = mailing.done + 1;
      await ctx.sleep(delay_per_email * 1000);
      const reason = !address.safeParse(email).success
        ? "not an address"
        : bounces[mailing.done]
        ? "550 no such mailbox (made up)"
        : null;
      if (reason) {
        mailing.failed++;
        if (mailing.failures.length < MAX_FAILURES) mailing.failures.push({ email: email.slice(0, 100), reason });
        ctx.log.warn(`${email}: ${reason}`);
      } else {
        const values = { ...recipient, number, total };
        const message = await renderer.sendMail({
          from: { name: "Millrace", address: "millrace@localhost" },
          to: { name: "", address: email },
          // A filled-in value may hold a line break, which would begin a header.
          subject: fill(subject, values).replaceAll(/[\r\n]+/g, " "),
          text: fill(body, values),
          // Derived from task and number: a receiver can tell a repetition.
          messageId: `<${ctx.id.toLowerCase()}.${number}@millrace.localhost>`,
        });
        await ctx.artifact(`${String(number).padStart(4, "0")}.eml`, message.message as Uint8Array, "message/rfc822");
        mailing.sent++;
        ctx.log.info(`${email}: sent`);
      }
      mailing.done++;
      await ctx.checkpoint(mailing as unknown as Json);
      ctx.progress(number / total * 100, `${number} of ${total}`);
    }
    const { sent, failed, failures } = mailing;
    return { sent, failed, failures };
  },
});

async function readRecipients(ctx: TaskContext<Params>): Promise<Recipient[]> {
  const { num_emails, recipients, upload_id } = ctx.params;
  if (recipients) return recipients.map((email) => ({ email }));
  if (!upload_id) return Array.from({ length: num_emails }, (_, i) => ({ email: `person${i + 1}@example.com` }));
  const file = await ctx.openUpload(upload_id);
  if (file.size > MAX_LIST_BYTES) {
    await file.stream.cancel();
    throw new NonRetryableError(`The list has ${file.size.toLocaleString("en")} bytes; the limit is 1,000,000.`);
  }
  let rows: Record<string, string | undefined>[];
  try {
    rows = parse(await new Response(file.stream).text(), { skipFirstRow: true });
  } catch (error) {
    throw new NonRetryableError(`The list is no CSV: ${(error as Error).message}`, { cause: error });
  }
  if (rows.length === 0 || rows.length > MAX_RECIPIENTS) {
    throw new NonRetryableError(`The list has ${rows.length} rows; 1 to ${MAX_RECIPIENTS} are taken.`);
  }
  return rows.map((row) => {
    if (row.email === undefined) throw new NonRetryableError("The list has no column named email.");
    return { ...row, email: row.email.trim() } as Recipient;
  });
}

/** Which of the made-up addresses bounce; real ones never do. */
function bouncesOf(ctx: TaskContext<Params>, total: number): boolean[] {
  const { recipients, upload_id, failure_rate } = ctx.params;
  const random = randomFrom(seedOf(ctx.id));
  return Array.from({ length: total }, () => random() < failure_rate && !recipients && !upload_id);
}

/** Puts values in the place of `{{name}}`; what has no value stays as it is. */
export function fill(template: string, values: Record<string, string | number>): string {
  return template.replaceAll(/\{\{\s*(\w+)\s*\}\}/g, (whole, name) => String(values[name] ?? whole));
}
