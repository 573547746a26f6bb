/**
 * POSTs to untrusted URLs: never to this machine or its network, without redirects, and reading only as much of the
 * response as is kept.
 *
 * @module
 */

import ipaddr from "ipaddr.js";
import { lookup as resolveName, type LookupAddress } from "node:dns";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { LookupFunction } from "node:net";
import type { Clock } from "../../task/clock.ts";
import { NonRetryableError } from "../../task/errors.ts";

/** Finds the addresses of a name. */
export type Resolver = (host: string) => Promise<LookupAddress[]>;

/** What is sent. */
export interface Post {
  url: URL;
  headers: Record<string, string>;
  body: string;
  signal: AbortSignal;
}

/** What came back. */
export interface PostAnswer {
  status: number;
  /** The first 64 KB of the body. */
  bytes: Uint8Array<ArrayBuffer>;
  /** Whether there was more. */
  truncated: boolean;
  /** The header `Retry-After`; null: there was none. */
  retryAfter: string | null;
}

/** Longest wait for the whole answer in milliseconds. */
export const POST_TIMEOUT_MS = 30_000;
/** Bytes of an answer that are kept. */
const KEPT_BYTES = 64 * 1024;

/** Whether an address is public: not this machine, not its network, not reserved. */
export function isPublic(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  // ::/96 was once another way to write IPv4 addresses (RFC 4291, 2.5.5.1), and is routed to them by some.
  if (parsed.kind() === "ipv6" && parsed.match(ipaddr.parse("::"), 96)) return false;
  return parsed.range() === "unicast";
}

/** Asks the system. */
export const systemResolver: Resolver = (host) =>
  new Promise((resolve, reject) => {
    resolveName(host, { all: true }, (error, found) => error ? reject(error) : resolve(found));
  });

/**
 * Sends a request. The connection uses exactly the addresses that were checked.
 *
 * @param allowPrivate Whether private addresses may be reached.
 * @throws {NonRetryableError} If the host has an address that is not public.
 * @throws {Error} If there was no response. No message contains the URL: its query may contain a secret.
 */
export function post(request: Post, allowPrivate: boolean, resolver: Resolver, clock: Clock): Promise<PostAnswer> {
  const { url, headers, body, signal } = request;
  const literal = url.hostname.replace(/^\[|\]$/g, "");
  if (!allowPrivate && ipaddr.isValid(literal) && !isPublic(literal)) return Promise.reject(refusal(literal));
  const lookup: LookupFunction = (host, _options, callback) => {
    resolver(host).then((found) => {
      if (found.length === 0) throw new Error(`${host} has no address`);
      // One private address is enough to refuse: we do not control which one is used.
      if (!allowPrivate && !found.every(({ address }) => isPublic(address))) throw refusal(host);
      callback(null, found);
    }).catch((error) => callback(error, []));
  };
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const sent = send(url, { method: "POST", headers, lookup, agent: false });
    const cancelTimer = clock.after(POST_TIMEOUT_MS, () => {
      sent.destroy(new Error(`no answer within ${POST_TIMEOUT_MS / 1000} s`));
    });
    const onAbort = () => void sent.destroy(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    const settled = () => {
      cancelTimer();
      signal.removeEventListener("abort", onAbort);
    };
    const fail = (error: Error) => {
      settled();
      if (signal.aborted) reject(signal.reason);
      else if (error instanceof NonRetryableError) reject(error);
      else reject(new Error(`${url.host} could not be reached: ${error.message}`, { cause: error }));
    };
    sent.on("error", fail);
    // No upgrade was requested, and an upgraded connection would send no response.
    sent.on("upgrade", (_answer, socket) => {
      socket.destroy();
      fail(new Error("it answered 101, which was not requested"));
    });
    sent.on("close", () => fail(new Error("the connection was closed without an answer")));
    sent.on("response", (answer: IncomingMessage) => {
      const kept = new Uint8Array(KEPT_BYTES);
      let size = 0;
      const end = () => {
        settled();
        const bytes = kept.slice(0, Math.min(size, KEPT_BYTES));
        const retryAfter = answer.headers["retry-after"] ?? null;
        resolve({ status: answer.statusCode!, bytes, truncated: size > KEPT_BYTES, retryAfter });
      };
      answer.on("data", (chunk: Uint8Array) => {
        if (size < KEPT_BYTES) kept.set(chunk.subarray(0, KEPT_BYTES - size), size);
        size += chunk.length;
        if (size <= KEPT_BYTES) return;
        end();
        // What comes after is not read.
        sent.destroy();
      });
      answer.on("end", end);
      answer.on("error", fail);
    });
    sent.end(body);
  });
}

function refusal(host: string): NonRetryableError {
  return new NonRetryableError(`${host} is not a public address. Set WEBHOOK_ALLOW_PRIVATE=1 to allow it.`);
}
