/**
 * Task type `webhook_delivery`: POSTs JSON to a URL, signed by Standard Webhooks
 * (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md), until it is taken.
 * It reaches nothing private: addresses are checked after the name is resolved, and the connection goes to what was
 * checked.
 *
 * @module
 */

import ipaddr from "ipaddr.js";
import { lookup as resolveName, type LookupAddress } from "node:dns";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { LookupFunction } from "node:net";
import { Webhook } from "standardwebhooks";
import * as z from "zod";
import type { Clock } from "../clock.ts";
import { defineTask, type TaskDefinition } from "../define.ts";
import { NonRetryableError } from "../errors.ts";
import { callbackUrl } from "../callbacks.ts";

const params = z.strictObject({
  url: callbackUrl.meta({ title: "URL", description: "Where the JSON is sent to, by http or https." }),
  body: z.json().default({ type: "test", data: { hello: "world" } })
    .meta({ title: "Body", description: "Any JSON.", "x-json": true }),
});

/** Settings of deliveries. */
export interface WebhookOptions {
  /** Secrets to sign with, each `whsec_` and base64; the receiver takes any. None: nothing is signed. */
  secrets?: string[];
  /** Whether loopback, private and link-local addresses may be reached. Default false. */
  allowPrivate?: boolean;
  /** Finds the addresses of a name. Default: the system's resolver. */
  resolve?: (host: string) => Promise<LookupAddress[]>;
}

/** Longest wait for the whole answer in milliseconds. */
const TIMEOUT_MS = 30_000;
/** Bytes of an answer that are kept. */
const KEPT_BYTES = 64 * 1024;
/** Statuses of 4xx after which another attempt may go better. */
const PASSING = new Set([408, 409, 425, 429]);

/** Makes the definition. */
export function webhookDelivery(clock: Clock, options: WebhookOptions = {}): TaskDefinition<typeof params> {
  const { secrets = [], allowPrivate = false, resolve = systemResolver } = options;
  const signers = secrets.map((secret) => new Webhook(secret));
  return defineTask({
    type: "webhook_delivery",
    title: "Deliver a webhook",
    description: "POSTs JSON to a URL, signed, and tries again until it is taken.",
    params,
    concurrency: 20,
    maxAttempts: 8,
    timeoutMs: TIMEOUT_MS + 5_000,
    // 5 s, 30 s, 3 min, 18 min, then every hour at most.
    backoff: { base: 5_000, factor: 6, cap: 3_600_000 },
    titleOf: ({ url }) => `POST ${new URL(url).host}`,
    async run(ctx) {
      const url = new URL(ctx.params.url);
      const body = JSON.stringify(ctx.params.body);
      const id = `msg_${ctx.id}`;
      const at = new Date(clock.now());
      const headers: Record<string, string | number> = {
        "Content-Type": "application/json",
        "Content-Length": new TextEncoder().encode(body).length,
        "User-Agent": "Millrace",
        "webhook-id": id,
        "webhook-timestamp": Math.floor(at.getTime() / 1000),
      };
      // The same id at every attempt: the receiver can tell a repetition.
      if (signers.length > 0) headers["webhook-signature"] = signers.map((one) => one.sign(id, at, body)).join(" ");
      else ctx.log.warn("not signed: WEBHOOK_SECRET is not set");
      const answer = await post(url, body, headers, pinned(resolve, allowPrivate), ctx.signal, clock);
      const { status, bytes, truncated } = answer;
      await ctx.artifact("response.txt", bytes, "text/plain");
      ctx.log.info(`${url.host} answered ${status} with ${bytes.length.toLocaleString("en")} bytes`);
      if (status >= 200 && status < 300) {
        return { status, response_bytes: bytes.length, response_truncated: truncated, signed: signers.length > 0 };
      }
      const message = status >= 300 && status < 400
        ? `${url.host} answered ${status}: redirects are not followed.`
        : `${url.host} answered ${status}.`;
      if (status >= 500 || PASSING.has(status)) throw new Error(message);
      throw new NonRetryableError(message);
    },
  }) as TaskDefinition<typeof params>;
}

/** Whether anyone may be at an address: not this machine, not this network, nothing reserved. */
export function isPublic(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.process(address).range() === "unicast";
}

function systemResolver(host: string): Promise<LookupAddress[]> {
  return new Promise((resolve, reject) => {
    resolveName(host, { all: true }, (error, found) => error ? reject(error) : resolve(found));
  });
}

function refuse(host: string): NonRetryableError {
  return new NonRetryableError(`${host} is not a public address. WEBHOOK_ALLOW_PRIVATE=1 lets it be reached.`);
}

/** A lookup that gives only addresses which may be reached: the connection goes to what was checked. */
function pinned(resolve: NonNullable<WebhookOptions["resolve"]>, allowPrivate: boolean) {
  return {
    /** @throws {NonRetryableError} If the host is an address that may not be reached. */
    assertHost({ hostname }: URL): void {
      const literal = hostname.replace(/^\[|\]$/g, "");
      if (!allowPrivate && ipaddr.isValid(literal) && !isPublic(literal)) throw refuse(literal);
    },
    lookup: ((host, _options, callback) => {
      resolve(host).then((found) => {
        // One private address among them is enough: which one is taken is not ours to say.
        if (!allowPrivate && !found.every(({ address }) => isPublic(address))) throw refuse(host);
        callback(null, found);
      }).catch((error) => callback(error, []));
    }) as LookupFunction,
  };
}

function post(
  url: URL,
  body: string,
  headers: Record<string, string | number>,
  { assertHost, lookup }: ReturnType<typeof pinned>,
  signal: AbortSignal,
  clock: Clock,
): Promise<{ status: number; bytes: Uint8Array; truncated: boolean }> {
  assertHost(url);
  const request = url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: "POST", headers, lookup, agent: false });
    const stop = (reason: unknown) => sent.destroy(reason instanceof Error ? reason : new Error(String(reason)));
    const onAbort = () => stop(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const cancelTimer = clock.after(TIMEOUT_MS, () => stop(new Error(`${url.host} did not answer within 30 s.`)));
    const settle = (then: () => void) => {
      cancelTimer();
      signal.removeEventListener("abort", onAbort);
      then();
    };
    sent.on("error", (error) => settle(() => reject(signal.aborted ? signal.reason : reasonOf(error, url))));
    sent.on("response", (answer: IncomingMessage) => {
      const chunks: Uint8Array[] = [];
      let size = 0;
      const end = () =>
        settle(() => {
          const bytes = new Uint8Array(chunks.flatMap((chunk) => [...chunk])).subarray(0, KEPT_BYTES);
          resolve({ status: answer.statusCode!, bytes, truncated: size > KEPT_BYTES });
        });
      answer.on("data", (chunk: Uint8Array) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size <= KEPT_BYTES) return;
        end();
        // What comes after is not read.
        sent.destroy();
      });
      answer.on("end", end);
      answer.on("error", (error) => settle(() => reject(reasonOf(error, url))));
    });
    sent.end(body);
  });
}

/** The URL is left out of what is said: its query may hold a secret. */
function reasonOf(error: Error, { host }: URL): Error {
  if (error instanceof NonRetryableError) return error;
  return new Error(`${host} could not be reached: ${error.message}`, { cause: error });
}
