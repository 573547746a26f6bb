/**
 * Task type `email_sending`: one message for each recipient, by SMTP or into the built-in outbox. Each outcome is
 * recorded before the next message is sent, so that no later attempt sends to the same recipient again.
 *
 * @module
 */

import type * as z from "zod";
import { Buffer } from "node:buffer";
import type { Clock } from "../task/clock.ts";
import { defineTask, type TaskContext, type TaskDefinition } from "../define.ts";
import { AbortedError, NonRetryableError } from "../task/errors.ts";
import type { Json } from "../task/record.ts";
import { type Deferred, Mailing, mailingCheckpoint, MAX_DEFERRED, type Outcome } from "./email/mailing.ts";
import { isAddress, MAX_LIST_BYTES, parseRecipients } from "./email/recipients.ts";
import { fieldsOf, type Values } from "./email/template.ts";
import { type Attachment, type Delivery, type MailTransport, ServerError } from "./email/transport.ts";
import { randomFrom, seedOf } from "./random.ts";
import { keepPreview, type Letter, MAX_MESSAGE, messageOf, sizeOf, unsubscribeOf } from "./email/letter.ts";
import { MAX_ATTACHMENTS, type Params, params } from "./email/params.ts";

/** Recipients of a mailing into the outbox, which keeps a file for each. */
const MAX_OUTBOX = 1_000;

/** Failures that the result lists; all are in the artifact. */
const NAMED = 100;

/** Delays before a deferred message is retried: 30 s, 2 min, 8 min, 32 min; then it has failed. */
const DEFERRAL_MS = [30_000, 120_000, 480_000, 1_920_000];

/** How long a stop waits for the server's answer to the message that is on its way. */
const LAST_ANSWER_MS = 2_000;

/** Makes the definition; messages go by `transport`. */
export function emailSending(
  transport: MailTransport,
  clock: Clock,
): TaskDefinition<typeof params, typeof mailingCheckpoint> {
  return defineTask({
    type: "email_sending",
    title: "Send emails",
    description: transport.sends
      ? "A message for each recipient, by SMTP."
      : "Messages to the built-in outbox, one file each.",
    params,
    checkpoint: mailingCheckpoint,
    concurrency: 10,
    maxAttempts: 10,
    timeoutMs: 24 * 60 * 60_000,
    backoff: { base: 10_000, factor: 4, cap: 900_000 },
    checkpointVersion: 2,
    sideEffects: "It sends its messages again, but those recorded as sent only if it starts from the beginning.",
    example: { num_emails: 8, delay_per_email: 0.8 },
    titleOf: ({ num_emails, recipients, upload_id, subject }, files) => {
      const to = upload_id ? files[0] ?? "list" : `${recipients?.length ?? num_emails}`;
      return `${subject} → ${to}${upload_id ? "" : to === "1" ? " recipient" : " recipients"}`;
    },
    run: (ctx) => run(ctx, transport, clock),
  });
}

async function run(
  ctx: TaskContext<Params, z.output<typeof mailingCheckpoint>>,
  transport: MailTransport,
  clock: Clock,
): Promise<Json> {
  const letter = { recipients: await readRecipients(ctx), attachments: await readAttachments(ctx) };
  const { recipients } = letter;
  assertFields(ctx.params, recipients[0]);
  if (ctx.params.dry_run) return await preview(ctx, transport, letter);
  if (!transport.sends && recipients.length > MAX_OUTBOX) {
    const detail = `The outbox takes ${MAX_OUTBOX.toLocaleString("en")}; set SMTP_URL to send to more.`;
    throw new NonRetryableError(`The list has ${recipients.length.toLocaleString("en")} recipients. ${detail}`);
  }
  const mailing = await Mailing.load(ctx);
  ctx.artifactAtEnd("outcomes.csv", () => mailing.csv(recipients), "text/csv");
  const bounces = bouncesOf(ctx, recipients.length);
  const pace = paceOf(ctx, clock);
  if (mailing.next > 0) ctx.log.info(`resuming after message ${mailing.next}`);
  else if (sizeOf(ctx, letter, 0) <= MAX_MESSAGE) await keepPreview(ctx, messageOf(ctx, transport, letter, 0));
  while (mailing.next < recipients.length) {
    const index = mailing.next;
    const { email } = recipients[index];
    await pace();
    const size = sizeOf(ctx, letter, index);
    if (size > MAX_MESSAGE) {
      const words = `the message would have ${size.toLocaleString("en")} characters; ` +
        `${MAX_MESSAGE.toLocaleString("en")} are allowed`;
      await settle(ctx, mailing, index, email, ["skipped", words]);
    } else if (unsubscribeOf(ctx, letter, index) === null) {
      await settle(ctx, mailing, index, email, ["skipped", "its unsubscribe address is not a URL"]);
    } else if (!isAddress(email)) await settle(ctx, mailing, index, email, ["skipped", "not an address"]);
    else if (bounces[index]) await settle(ctx, mailing, index, email, ["bounced", "550 no such mailbox (simulated)"]);
    else {
      const delivery = await deliver(ctx, transport, clock, mailing, letter, index);
      if (delivery.status === "deferred") {
        if (mailing.putOff >= MAX_DEFERRED) {
          throw new Error(`The mail server deferred too many messages: ${delivery.words}`);
        }
        const deferred = { index, tries: 1, due: clock.now() + DEFERRAL_MS[0], words: delivery.words };
        ctx.log.warn(`${email}: deferred: ${delivery.words}`);
        await mailing.record(["deferred", delivery.words], deferred);
        mailing.current = null;
      } else await settle(ctx, mailing, index, email, [delivery.status, delivery.words]);
    }
    ctx.progress((index + 1) / recipients.length * 99, `${index + 1} of ${recipients.length}`);
  }
  await deliverDeferred(ctx, transport, clock, mailing, letter, pace);
  await ctx.artifact("outcomes.csv", mailing.csv(recipients), "text/csv");
  const failures = mailing.outcomes.flatMap(([status, reason], i) =>
    status === "sent" ? [] : [{ email: recipients[i].email.slice(0, 100), reason }]
  );
  return {
    sent: mailing.count("sent"),
    failed: mailing.count("bounced"),
    skipped: mailing.count("skipped"),
    failures: failures.slice(0, NAMED),
  };
}

/** Retries deferred messages when they are due. */
async function deliverDeferred(
  ctx: TaskContext<Params>,
  transport: MailTransport,
  clock: Clock,
  mailing: Mailing,
  letter: Letter,
  pace: () => Promise<void>,
): Promise<void> {
  while (mailing.deferred.length > 0) {
    const next = mailing.deferred.reduce((first, one) => one.due < first.due ? one : first);
    const count = mailing.deferred.length;
    ctx.progress(99, `${count} deferred by the server, next try at ${new Date(next.due).toISOString()}`);
    await ctx.sleep(Math.max(0, next.due - clock.now()));
    await pace();
    const { email } = letter.recipients[next.index];
    const { status, words } = await deliver(ctx, transport, clock, mailing, letter, next.index);
    const tries = next.tries + 1;
    let then: Outcome | Deferred = [status === "deferred" ? "bounced" : status, words];
    if (status === "deferred" && tries <= DEFERRAL_MS.length) {
      then = { index: next.index, tries, due: clock.now() + DEFERRAL_MS[tries - 1], words };
    }
    ctx.log[status === "sent" ? "info" : "warn"](`${email}: ${status}: ${words}`);
    await mailing.recordLate(next.index, then);
    mailing.current = null;
  }
}

/** Records a final outcome. */
async function settle(
  ctx: TaskContext,
  mailing: Mailing,
  index: number,
  email: string,
  outcome: Outcome,
): Promise<void> {
  const [status, words] = outcome;
  ctx.log[status === "sent" ? "info" : "warn"](`${email}: ${status}${words ? `: ${words}` : ""}`);
  await mailing.record(outcome);
  if (mailing.current === index) mailing.current = null;
}

/** Sends one message. A stop of the service waits a moment for the answer, so that it can be recorded. */
async function deliver(
  ctx: TaskContext<Params>,
  transport: MailTransport,
  clock: Clock,
  mailing: Mailing,
  letter: Letter,
  index: number,
): Promise<Delivery> {
  const message = messageOf(ctx, transport, letter, index);
  if (!transport.sends) {
    const name = `${String(index + 1).padStart(4, "0")}.eml`;
    await ctx.artifact(name, await transport.render(message), "message/rfc822");
    return { status: "sent", words: "" };
  }
  ctx.signal.throwIfAborted();
  mailing.current = index;
  const sending = transport.send(message);
  sending.catch(() => {});
  let cancel = () => {};
  const stopped = new Promise<never>((_, reject) => {
    const onAbort = () => {
      const { reason } = ctx.signal;
      const wait = reason instanceof AbortedError && reason.code === "shutdown" ? LAST_ANSWER_MS : 0;
      cancel = clock.after(wait, () => reject(reason));
    };
    if (ctx.signal.aborted) return onAbort();
    ctx.signal.addEventListener("abort", onAbort, { once: true });
    cancel = () => ctx.signal.removeEventListener("abort", onAbort);
  });
  try {
    return await Promise.race([sending, stopped]);
  } catch (error) {
    // If the connection broke in the middle, it is unknown whether the server has accepted the message.
    if (!ctx.signal.aborted && !(error instanceof ServerError && error.maySent)) mailing.current = null;
    throw error;
  } finally {
    cancel();
  }
}

async function preview(ctx: TaskContext<Params>, transport: MailTransport, letter: Letter): Promise<Json> {
  const { recipients } = letter;
  const invalid = recipients.filter(({ email }) => !isAddress(email)).length;
  const first = recipients.findIndex(({ email }) => isAddress(email));
  if (first < 0) throw new NonRetryableError("None of the recipients has a valid address.");
  const size = sizeOf(ctx, letter, first);
  if (size > MAX_MESSAGE) {
    throw new NonRetryableError(`The first message would have ${size.toLocaleString("en")} characters.`);
  }
  const message = messageOf(ctx, transport, letter, first);
  await ctx.artifact("preview.eml", await transport.render(message), "message/rfc822");
  await keepPreview(ctx, message);
  ctx.log.info("preview only: nothing was sent");
  return { dry_run: true, recipients: recipients.length, not_addresses: invalid, sent: 0 };
}

/** Waits as needed to keep within the allowed rate. */
function paceOf(ctx: TaskContext<Params>, clock: Clock): () => Promise<void> {
  const { delay_per_email, rate_per_second } = ctx.params;
  const gap = rate_per_second === undefined ? delay_per_email * 1000 : 1000 / rate_per_second;
  let next = clock.monotonic() + (rate_per_second === undefined ? gap : 0);
  return async () => {
    const now = clock.monotonic();
    next = Math.max(next, now - gap);
    await ctx.sleep(Math.max(0, next - now));
    next += gap;
  };
}

async function readRecipients(ctx: TaskContext<Params>): Promise<Values[]> {
  const { num_emails, recipients, upload_id } = ctx.params;
  if (recipients) return recipients.map((email) => ({ email }));
  if (!upload_id) return Array.from({ length: num_emails }, (_, i) => ({ email: `person${i + 1}@example.com` }));
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

/** A field without a value is a mistake that must not reach a recipient. */
function assertFields({ subject, body, html, list_unsubscribe }: Params, first: Values): void {
  const known = [...Object.keys(first), "number", "total"];
  const named = [subject, body, html ?? "", list_unsubscribe ?? ""].flatMap(fieldsOf);
  const unknown = named.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new NonRetryableError(`There is no value for {{${unknown}}}. Available: ${known.slice(0, 30).join(", ")}.`);
}

/** Which of the generated addresses bounce; given ones never do. */
function bouncesOf(ctx: TaskContext<Params>, total: number): boolean[] {
  const { recipients, upload_id, failure_rate } = ctx.params;
  const random = randomFrom(seedOf(ctx.id));
  return Array.from({ length: total }, () => random() < failure_rate && !recipients && !upload_id);
}
