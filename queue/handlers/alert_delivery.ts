/**
 * Task type `alert_delivery`: tells someone of alerts, by mail or a webhook. Only the service itself submits it.
 *
 * @module
 */

import * as z from "zod";
import { ALERT_TYPE, type Channel, channelSchema, type Notice } from "../alerts/rule.ts";
import { defineTask, type TaskContext, type TaskDefinition } from "../define.ts";
import type { Clock } from "../task/clock.ts";
import { NonRetryableError } from "../task/errors.ts";
import { parseAddress } from "./email/address.ts";
import type { MailTransport } from "./email/transport.ts";
import { post, POST_TIMEOUT_MS, systemResolver } from "./webhook/post.ts";
import { webhookHeaders } from "./webhook/sign.ts";
import type { WebhookOptions } from "./webhook_delivery.ts";

const params = z.strictObject({
  channel: channelSchema,
  notices: z.array(z.strictObject({
    rule: z.string(),
    kind: z.enum(["alarm", "recovery", "test"]),
    detail: z.string(),
  })).min(1),
});

const WORDS = { alarm: "Alert", recovery: "Over", test: "Test" } as const;
/** The most characters of a text: Discord takes 2,000. */
const MAX_TEXT = 1_900;

/** One line for all of them. */
export function subjectOf(notices: Notice[]): string {
  const [{ kind, rule }, ...rest] = notices;
  return `${WORDS[kind]}: ${rule}${rest.length > 0 ? ` and ${rest.length} more` : ""}`;
}

/** What is said. */
export function textOf(notices: Notice[]): string {
  return notices.map(({ kind, rule, detail }) => `${WORDS[kind]}: ${rule}\n${detail}`).join("\n\n");
}

/** The body of a POST to a channel. */
function bodyOf(
  kind: Exclude<Channel["kind"], "mail">,
  url: URL,
  notices: Notice[],
  now: Date,
): Record<string, unknown> {
  const text = textOf(notices).slice(0, MAX_TEXT);
  switch (kind) {
    case "slack":
      return { text };
    case "discord":
      // Nobody is called by a text that holds their name.
      return { content: text, allowed_mentions: { parse: [] } };
    case "ntfy":
      return { topic: url.pathname.split("/").at(-1), title: subjectOf(notices), message: text, tags: ["millrace"] };
    case "webhook":
      return { type: "alert", timestamp: now.toISOString(), data: { notices } };
  }
}

/** Makes the definition. */
export function alertDelivery(
  clock: Clock,
  transport: MailTransport,
  { secrets = [], allowPrivate = false, resolver = systemResolver }: WebhookOptions = {},
): TaskDefinition<typeof params> {
  return defineTask({
    type: ALERT_TYPE,
    title: "Tell of an alert",
    description: "Sends a notice of alerts by mail or a webhook.",
    params,
    internal: true,
    titleOf: ({ notices }) => subjectOf(notices),
    timeoutMs: POST_TIMEOUT_MS + 5_000,
    maxAttempts: 8,
    backoff: { base: 5_000, factor: 6, cap: 3_600_000 },
    async run(ctx) {
      const { channel, notices } = ctx.params;
      if (channel.kind === "mail") {
        await mail(ctx, transport, channel.to, notices);
        return null;
      }
      const target = new URL(channel.url);
      // ntfy takes JSON at its root, and the topic within it.
      const url = new URL(target);
      if (channel.kind === "ntfy") url.pathname = url.pathname.slice(0, url.pathname.lastIndexOf("/") + 1);
      const now = new Date(clock.now());
      const body = JSON.stringify(bodyOf(channel.kind, target, notices, now));
      const headers = channel.kind === "webhook"
        ? webhookHeaders(secrets, ctx.id, now, body)
        : { "Content-Type": "application/json" };
      const { status } = await post({ url, headers, body, signal: ctx.signal }, allowPrivate, resolver, clock);
      const answered = `${url.host} answered ${status}.`;
      if (status >= 200 && status < 300) return { status };
      throw status >= 500 || status === 429 ? new Error(answered) : new NonRetryableError(answered);
    },
  }) as TaskDefinition<typeof params>;
}

/** Sends one message by the servers of mailings; without any it is kept with the task. */
async function mail(ctx: TaskContext, transport: MailTransport, to: string, notices: Notice[]): Promise<void> {
  const address = parseAddress(to)!;
  const messageId = `<${ctx.id.toLowerCase()}@${transport.from.address.split("@")[1]}>`;
  const bytes = await transport.render({
    ...{ to: address, subject: subjectOf(notices), text: textOf(notices), messageId },
    ...{ html: undefined, replyTo: undefined, unsubscribe: undefined, headers: {}, attachments: [] },
  });
  if (!transport.sends) return await ctx.artifact("alert.eml", bytes as Uint8Array<ArrayBuffer>, "message/rfc822");
  const { server, end } = await transport.turn(ctx.signal, () => {});
  try {
    const hangUp = await server.connection(ctx.signal);
    try {
      await server.send(transport.from.address, address.address, messageId, bytes);
    } finally {
      hangUp();
    }
  } finally {
    end();
  }
}
