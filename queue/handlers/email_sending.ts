/**
 * Task type `email_sending`: one message for each recipient, by SMTP or into the built-in outbox. That a message is
 * about to be sent is stored before it is, and its outcome as soon as it is known: nobody gets it twice unasked.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Clock } from "../task/clock.ts";
import { defineTask, type TaskContext, type TaskDefinition } from "../define.ts";
import { NonRetryableError } from "../task/errors.ts";
import type { Json } from "../task/record.ts";
import { Letter } from "./email/letter.ts";
import { Mailing, mailingCheckpoint, type MailingContext } from "./email/mailing.ts";
import { MAX_ATTACHMENTS, type Params, params } from "./email/params.ts";
import { MAX_LIST_BYTES, parseRecipients, type Recipient, recipientsOf } from "./email/recipients.ts";
import { leftOf, redoParams } from "./email/redo.ts";
import { Sending } from "./email/sending.ts";
import type { Attachment, MailTransport } from "./email/transport.ts";
import { randomFrom, seedOf } from "./random.ts";

/** Recipients of a mailing into the outbox, which keeps a file for each. */
const MAX_OUTBOX = 1_000;

/** Recipients without a message that the result lists; all are in the artifact. */
const NAMED = 50;

/** Makes the definition; messages go by `transport`. */
export function emailSending(
  transport: MailTransport,
  clock: Clock,
): TaskDefinition<typeof params, typeof mailingCheckpoint> {
  return defineTask({
    type: "email_sending",
    title: "Send emails",
    description: transport.sends
      ? "Sends a message to each recipient by SMTP."
      : "Saves each message as a file in the outbox; nothing is sent.",
    params,
    checkpoint: mailingCheckpoint,
    concurrency: 10,
    maxAttempts: 10,
    timeoutMs: 24 * 60 * 60_000,
    backoff: { base: 10_000, factor: 4, cap: 900_000 },
    checkpointVersion: 2,
    sideEffects: "Messages recorded as sent are sent again only if it starts from the beginning.",
    example: { num_emails: 8, delay_per_email: 0.8 },
    titleOf: ({ num_emails, recipients, upload_id, subject }, files) => {
      const to = upload_id ? files[0] ?? "list" : `${recipients?.length ?? num_emails}`;
      // What a template fills in differs from message to message.
      return `${subject.replaceAll(/\{\{[^}]*\}\}/g, "…")} → ${to}${
        upload_id ? "" : to === "1" ? " recipient" : " recipients"
      }`;
    },
    redo: { left: leftOf, params: redoParams },
    run: (ctx) => run(ctx, transport, clock),
  });
}

async function run(ctx: MailingContext, transport: MailTransport, clock: Clock): Promise<Json> {
  const recipients = await readRecipients(ctx);
  const letter = new Letter(ctx.params, recipients, await readAttachments(ctx));
  letter.assertFields();
  const first = recipients.findIndex(({ fault }, i) => fault === null && letter.faultOf(i) === null);
  if (ctx.params.dry_run) return await preview(ctx, transport, letter, first);
  if (!transport.sends && recipients.length > MAX_OUTBOX) {
    const detail = `The outbox takes ${MAX_OUTBOX.toLocaleString("en")}; set SMTP_URL to send to more.`;
    throw new NonRetryableError(`The list has ${recipients.length.toLocaleString("en")} recipients. ${detail}`);
  }
  const mailing = await Mailing.load(ctx);
  ctx.artifactAtEnd("outcomes.csv", () => mailing.csv(recipients), "text/csv");
  if (mailing.isResumed) ctx.log.info(`resuming after ${mailing.done} of ${recipients.length}`);
  else if (first >= 0) await ctx.artifact("preview.html", letter.preview(first), "text/html");
  await new Sending(ctx, transport, clock, mailing, letter, bouncesOf(ctx, recipients.length)).run();
  await ctx.artifact("outcomes.csv", mailing.csv(recipients), "text/csv");
  const failures = recipients.flatMap(({ email }, i) => {
    const [outcome, reason] = mailing.outcomeOf(i)!;
    return outcome === "sent" ? [] : [{ email: email.slice(0, 100), outcome, reason }];
  });
  return {
    recipients: recipients.length,
    sent: mailing.count("sent"),
    failed: mailing.count("bounced"),
    skipped: mailing.count("skipped"),
    unknown: mailing.count("unknown"),
    can_be_retried:
      recipients.filter(({ fault }, i) => fault === null && ["bounced", "skipped"].includes(mailing.outcomeOf(i)![0]))
        .length,
    failures: failures.slice(0, NAMED),
  };
}

async function preview(ctx: MailingContext, transport: MailTransport, letter: Letter, first: number): Promise<Json> {
  const { recipients } = letter;
  if (first < 0) {
    const reason = recipients[0].fault ?? letter.faultOf(0);
    throw new NonRetryableError(`Nobody can be sent a message. The first recipient: ${reason}.`);
  }
  const message = letter.message(first, `<preview@${transport.from.address.split("@")[1]}>`);
  await ctx.artifact("preview.eml", await transport.render(message), "message/rfc822");
  await ctx.artifact("preview.html", letter.preview(first), "text/html");
  ctx.log.info("preview only: nothing was sent");
  const skipped = recipients.filter(({ fault }) => fault !== null).length;
  return { dry_run: true, recipients: recipients.length, skipped, sent: 0 };
}

async function readRecipients(ctx: TaskContext<Params>): Promise<Recipient[]> {
  const { num_emails, recipients, upload_id } = ctx.params;
  if (recipients) return recipientsOf(recipients);
  if (!upload_id) return recipientsOf(Array.from({ length: num_emails }, (_, i) => `person${i + 1}@example.com`));
  const file = await ctx.openUpload(upload_id);
  if (file.size > MAX_LIST_BYTES) {
    await file.stream.cancel();
    const limit = MAX_LIST_BYTES.toLocaleString("en");
    throw new NonRetryableError(`The list has ${file.size.toLocaleString("en")} bytes; the limit is ${limit}.`);
  }
  return parseRecipients(await new Response(file.stream).bytes());
}

async function readAttachments(ctx: TaskContext<Params>): Promise<Attachment[]> {
  const attachments: Attachment[] = [];
  let left = MAX_ATTACHMENTS;
  for (const id of ctx.params.attachments ?? []) {
    const { name, size, media_type, stream } = await ctx.openUpload(id);
    left -= size;
    if (left < 0) {
      await stream.cancel();
      throw new NonRetryableError(
        `The attachments have more than ${MAX_ATTACHMENTS.toLocaleString("en")} bytes in total.`,
      );
    }
    attachments.push({
      filename: name,
      content: Buffer.from(await new Response(stream).arrayBuffer()),
      contentType: media_type,
    });
  }
  return attachments;
}

/** Which of the generated addresses bounce; given ones never do. */
function bouncesOf(ctx: TaskContext<Params>, total: number): boolean[] {
  const { recipients, upload_id, failure_rate } = ctx.params;
  const random = randomFrom(seedOf(ctx.id));
  return Array.from({ length: total }, () => random() < failure_rate && !recipients && !upload_id);
}
