/**
 * Task type `webhook_delivery`: POSTs JSON to a URL, signed by Standard Webhooks
 * (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md), until it is accepted.
 *
 * @module
 */

import * as z from "zod";
import { callbackUrl, DELIVERY_TYPE } from "../task/callback_url.ts";
import type { Clock } from "../task/clock.ts";
import { defineTask, type TaskDefinition } from "../define.ts";
import { NonRetryableError, RetryLaterError } from "../task/errors.ts";
import { post, POST_TIMEOUT_MS, type Resolver, systemResolver } from "./webhook/post.ts";
import { webhookHeaders } from "./webhook/sign.ts";

/** What is sent if there is no body. */
const TEST = { type: "test", data: { hello: "world" } };

/** Any JSON, with all its members: `z.json()` loses one that is called `__proto__`. */
const anyJson = z.unknown().refine(isJson, "This is not JSON.");

function isJson(value: unknown): boolean {
  if (value === null || typeof value === "string" || typeof value === "boolean") return true;
  if (typeof value === "number") return Number.isFinite(value);
  return typeof value === "object" && Object.values(value).every(isJson);
}

function isJsonText(text: string): boolean {
  try {
    JSON.parse(text);
    return text.isWellFormed();
  } catch {
    return false;
  }
}

const params = z.strictObject({
  url: callbackUrl.meta({ title: "URL", description: "http or https URL." }),
  body: anyJson.optional().meta({
    title: "Body",
    description: "Any JSON. Without one, a test message is sent.",
    examples: [TEST],
    "x-json": true,
  }),
  body_text: z.string().min(1).refine(isJsonText, "This is not JSON.").optional()
    .meta({
      title: "Body as text",
      description: "JSON that is sent byte for byte, instead of the body.",
      "x-multiline": true,
    }),
}).refine(({ body, body_text }) => body === undefined || body_text === undefined, {
  path: ["body_text"],
  error: "Pass body or body_text, not both.",
});

/** Settings of deliveries. */
export interface WebhookOptions {
  /** Signing secrets, each `whsec_` plus base64; the receiver accepts any of them. Empty: nothing is signed. */
  secrets?: string[];
  /** Whether loopback, private and link-local addresses may be reached. Default false. */
  allowPrivate?: boolean;
  /** Finds the addresses of a name. Default: the system. */
  resolver?: Resolver;
}

/** The longest wait that a receiver may ask for. Milliseconds. */
const MAX_WAIT_MS = 24 * 3_600_000;

/** A date as HTTP writes it (RFC 9110, 5.6.7). */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/;

/** What `Retry-After` asks for, in seconds or by a date (RFC 9110, 10.2.3), in milliseconds; null: nothing. */
export function waitOf(header: string, now: number): number | null {
  const text = header.trim();
  const wait = /^\d+$/.test(text) ? Number(text) * 1_000 : HTTP_DATE.test(text) ? Date.parse(text) - now : 0;
  return wait > 0 ? Math.min(MAX_WAIT_MS, wait) : null;
}

/** Statuses below 500 that are retried. */
const PASSING = [408, 409, 425, 429];

/** Makes the definition. */
export function webhookDelivery(
  clock: Clock,
  { secrets = [], allowPrivate = false, resolver = systemResolver }: WebhookOptions = {},
): TaskDefinition<typeof params> {
  return defineTask({
    type: DELIVERY_TYPE,
    title: "Send a webhook",
    description: "POSTs signed JSON and retries until it is accepted.",
    params,
    sideEffects: "Webhooks will be sent again.",
    titleOf: ({ url }) => `POST ${new URL(url).host}`,
    concurrency: 20,
    timeoutMs: POST_TIMEOUT_MS + 5_000,
    maxAttempts: 8,
    // Random delays of up to 5 s, 30 s, 3 min, 18 min, then an hour.
    backoff: { base: 5_000, factor: 6, cap: 3_600_000 },
    async run(ctx) {
      const url = new URL(ctx.params.url);
      const body = ctx.params.body_text ?? JSON.stringify(ctx.params.body ?? TEST);
      const headers = webhookHeaders(secrets, ctx.id, new Date(clock.now()), body);
      if (secrets.length === 0) ctx.log.warn("not signed: WEBHOOK_SECRET is not set");

      const { status, bytes, truncated, retryAfter } = await post(
        { url, headers, body, signal: ctx.signal },
        allowPrivate,
        resolver,
        clock,
      );
      await ctx.artifact("response.txt", bytes, "text/plain");
      const answered = `${url.host} answered ${status}`;
      ctx.log.info(answered);
      if (status >= 200 && status < 300) {
        return { status, response_bytes: bytes.length, response_truncated: truncated, signed: secrets.length > 0 };
      }
      if (status >= 500 || PASSING.includes(status)) {
        const wait = retryAfter === null ? null : waitOf(retryAfter, clock.now());
        if (wait === null) throw new Error(`${answered}.`);
        throw new RetryLaterError(`${answered}, and asks to wait for ${Math.ceil(wait / 1000)} s.`, wait);
      }
      const redirected = status >= 300 && status < 400 ? ": redirects are not followed" : "";
      throw new NonRetryableError(`${answered}${redirected}.`);
    },
  }) as TaskDefinition<typeof params>;
}
