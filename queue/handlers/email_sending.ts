/**
 * Task type `email_sending`: renders each message with nodemailer and delivers it to the built-in outbox, an artifact
 * a message. What was delivered is in the checkpoint, so that no later attempt delivers it again.
 *
 * @module
 */

import nodemailer from "nodemailer";
import * as z from "zod";
import { defineTask } from "../define.ts";
import { randomFrom, seedOf } from "./csv/statistics.ts";

const params = z.strictObject({
  num_emails: z.int().min(1).max(100).default(10)
    .meta({ title: "Emails", description: "Messages to send to made-up addresses." }),
  recipients: z.array(z.email()).min(1).max(100).optional()
    .meta({ title: "Recipients", description: "Addresses, one a line, instead of made-up ones." }),
  // A line break in a subject would begin a header.
  subject: z.string().min(1).max(200).regex(/^[^\r\n]*$/, "A subject is one line.").default("Hello from Millrace")
    .meta({ title: "Subject" }),
  body: z.string().min(1).max(10_000).default("Hello {{email}},\n\nthis is message {{number}} of {{total}}.")
    .meta({ title: "Body", description: "{{email}}, {{number}} and {{total}} are filled in.", "x-multiline": true }),
  delay_per_email: z.number().min(0.5).max(5).default(1)
    .meta({ title: "Delay", description: "Seconds between two messages.", "x-unit": "s" }),
  failure_rate: z.number().min(0).max(1).default(0)
    .meta({ title: "Failure rate", description: "Share of made-up addresses that bounce, 0 to 1." }),
});

interface Outcome {
  email: string;
  status: "sent" | "failed";
  reason: string | null;
}

/** Sends emails. */
export const emailSending = defineTask({
  type: "email_sending",
  title: "Send emails",
  description: "Messages to the built-in outbox, one file each.",
  params,
  concurrency: 10,
  timeoutMs: 60 * 60_000,
  titleOf: ({ num_emails, recipients, subject }) => `${recipients?.length ?? num_emails} × ${subject}`,
  async run(ctx) {
    const { num_emails, recipients, subject, body, delay_per_email, failure_rate } = ctx.params;
    const random = randomFrom(seedOf(ctx.id));
    const bounces = Array.from({ length: num_emails }, () => random() < failure_rate);
    const addresses = recipients ?? bounces.map((_, i) => `person${i + 1}@example.com`);
    const total = addresses.length;
    const renderer = nodemailer.createTransport({ streamTransport: true, buffer: true, newline: "windows" });

    const outcomes = (ctx.resume as unknown as Outcome[] | undefined) ?? [];
    if (outcomes.length > 0) ctx.log.info(`going on after message ${outcomes.length}`);
    while (outcomes.length < total) {
      const index = outcomes.length;
      const email = addresses[index];
      const number = index + 1;
      await ctx.sleep(delay_per_email * 1000);
      if (!recipients && bounces[index]) {
        outcomes.push({ email, status: "failed", reason: "550 no such mailbox (made up)" });
        ctx.log.warn(`${email}: 550 no such mailbox (made up)`);
      } else {
        const message = await renderer.sendMail({
          from: { name: "Millrace", address: "millrace@localhost" },
          to: { name: "", address: email },
          subject: fill(subject, { email, number, total }),
          text: fill(body, { email, number, total }),
          // Derived from task and index: a receiver can tell a repetition.
          messageId: `<${ctx.id.toLowerCase()}.${number}@millrace.localhost>`,
        });
        await ctx.artifact(`${String(number).padStart(4, "0")}.eml`, message.message as Uint8Array, "message/rfc822");
        outcomes.push({ email, status: "sent", reason: null });
        ctx.log.info(`${email}: sent`);
      }
      await ctx.checkpoint(outcomes as unknown as { [key: string]: string }[]);
      ctx.progress(number / total * 100, `${number} of ${total}`);
    }
    const failed = outcomes.filter(({ status }) => status === "failed");
    return {
      sent: total - failed.length,
      failed: failed.length,
      failures: failed.map(({ email, reason }) => ({ email, reason })),
    };
  },
});

/** Puts values in the place of `{{name}}`; what has no value stays as it is. */
export function fill(template: string, values: Record<string, string | number>): string {
  return template.replaceAll(/\{\{\s*(\w+)\s*\}\}/g, (whole, name) => String(values[name] ?? whole));
}
