/**
 * Connections that stay open: WebSockets and server-sent events. They are limited per token and per address, and end
 * with the sign-in that opened them.
 *
 * @module
 */

import { MAX_STREAMS, MAX_STREAMS_PER_CALLER } from "../limits/defaults.ts";
import type { Context } from "hono";
import { type Clock, repeat, type Repeating } from "../../queue/task/clock.ts";
import type { Logger } from "../../queue/log.ts";
import { hasAuth } from "../access/credentials.ts";
import { addressOf } from "../http/address.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { Problem } from "../http/problem.ts";

/** How often to check whether another instance has ended a sign-in. */
const LOOK_MS = 5_000;

type End = (code: number, reason: string) => void;

/** A stream that was admitted. */
export interface StreamSlot {
  /** Sets how to end it. */
  onEnd(end: End): void;
  /** Records that it has ended. May be called more than once. */
  leave(): void;
}

interface Entry {
  token: string;
  address: string;
  kind: "websocket" | "sse";
  /** The id of its token, if it was made at run time and so may be revoked. */
  tokenId: string | undefined;
  session: string | undefined;
  end: End | null;
}

const STOPPING = "The service is stopping.";

/** Admits streams and ends them. */
export class StreamLimits {
  readonly #entries = new Set<Entry>();
  readonly #options: AppOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  #look: Repeating | null = null;
  #closed = false;

  constructor(options: AppOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /**
   * Admits a stream.
   *
   * @throws {Problem} 429 if its caller has too many, 503 if there are too many in all or the service is stopping.
   */
  enter(c: Context<AppEnv>): StreamSlot {
    // A page that reconnects at once would keep the server from stopping.
    if (this.#closed) throw new Problem(503, "stopping", STOPPING, [], { "Retry-After": "10" });
    const { maxStreams = MAX_STREAMS, maxStreamsPerCaller = MAX_STREAMS_PER_CALLER } = this.#options;
    const { name, session, expires_at, token_id: tokenId } = c.get("principal");
    const kind = c.req.path === "/ws" ? "websocket" : "sse";
    const entry: Entry = { token: name, address: addressOf(c, this.#options), kind, tokenId, session, end: null };
    const others = [...this.#entries];
    // Without tokens everyone has the same name.
    const ofToken = hasAuth(this.#options) ? others.filter(({ token }) => token === name).length : 0;
    const ofAddress = others.filter(({ address }) => address === entry.address).length;
    if (Math.max(ofToken, ofAddress) >= maxStreamsPerCaller) {
      const detail = `A caller may have at most ${maxStreamsPerCaller} streams open at once.`;
      throw new Problem(429, "too_many_streams", detail, [], { "Retry-After": "10" });
    }
    if (others.length >= maxStreams) {
      throw new Problem(503, "too_many_streams", "Too many streams are open.", [], { "Retry-After": "10" });
    }
    this.#entries.add(entry);
    let cancelExpiry = () => {};
    if (expires_at !== undefined) {
      const left = expires_at - this.#clock.now();
      cancelExpiry = this.#clock.after(left, () => entry.end?.(4401, "signed out"));
    }
    if (session !== undefined || tokenId !== undefined) {
      this.#look ??= repeat(this.#clock, LOOK_MS, () => this.#endForeign(), (error) => {
        this.#log.warn("Ended sign-ins could not be read; will retry.", { error });
      });
    }
    return {
      onEnd: (end) => {
        entry.end = end;
        if (this.#closed) end(1001, STOPPING);
      },
      leave: () => {
        cancelExpiry();
        this.#entries.delete(entry);
      },
    };
  }

  /** Whether no more are admitted, since the service stops. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /** How many are open, by kind. An answer that waits counts as one of events. */
  get counts(): Record<Entry["kind"], number> {
    const counts = { websocket: 0, sse: 0 };
    for (const { kind } of this.#entries) counts[kind]++;
    return counts;
  }

  /** Ends the streams of a token that was revoked, by its id. */
  endToken(id: string): void {
    for (const entry of [...this.#entries]) if (entry.tokenId === id) entry.end?.(4401, "token revoked");
  }

  /** Ends the streams of a sign-in. */
  endSession(session: string): void {
    for (const entry of [...this.#entries]) if (entry.session === session) entry.end?.(4401, "signed out");
  }

  async #endForeign(): Promise<void> {
    for (const { token, tokenId } of [...this.#entries]) {
      // Another token may have its name by now.
      if (tokenId !== undefined && (await this.#options.queue.tokens.named(token))?.id !== tokenId) {
        this.endToken(tokenId);
      }
    }
    const sessions = new Set([...this.#entries].flatMap(({ session }) => session ?? []));
    for (const session of sessions) {
      if (await this.#options.queue.sessions.isEnded(session)) this.endSession(session);
    }
  }

  /** Ends all of them, and admits no more. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const entry of [...this.#entries]) entry.end?.(1001, STOPPING);
    await this.#look?.stop();
  }
}
