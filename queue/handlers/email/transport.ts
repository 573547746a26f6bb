/**
 * Makes messages out of their parts and sends them by one of several servers; without a server, they are only made.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { Writable } from "node:stream";
import DKIM from "nodemailer/lib/dkim";
import MailComposer from "nodemailer/lib/mail-composer";
import { type Clock, delay } from "../../task/clock.ts";
import { type Address, needsUtf8, parseAddress } from "./address.ts";
import type { SendLimits } from "./server_url.ts";
import { type Capabilities, SmtpServer } from "./smtp_server.ts";

/** A key to sign messages with (RFC 6376). */
export interface DkimKey {
  domainName: string;
  keySelector: string;
  /** In PEM. */
  privateKey: string;
}

/** What is shared by all instances: how much was sent, and to whom nothing may be sent. */
export interface SharedMail {
  /**
   * Counts one more message by a server, if its limits allow that.
   *
   * @returns 0, or how long to wait before it is asked again, in milliseconds.
   */
  take(server: string, limits: SendLimits): Promise<number>;
  /** Which of some addresses are on the suppression list. */
  suppressed(addresses: string[]): Promise<boolean[]>;
}

/** Where messages are sent to and from. */
export interface MailOptions {
  /** URLs as {@linkcode parseServerUrl} reads them; empty or undefined: messages are only kept as files. */
  servers?: string[];
  /** Who sends. Default {@linkcode DEFAULT_SENDER}. */
  from?: string;
  /** Default: messages are not signed. */
  dkim?: DkimKey;
  /** Certificates in PEM that are trusted besides the system's. */
  ca?: string;
  /** Needed by limits by hour and day. Default: nothing is suppressed. */
  ledger?: () => SharedMail;
}

/** A file that goes with each message. */
export interface Attachment {
  filename: string;
  content: Buffer;
  contentType: string;
}

/** A message that is ready to be made. */
export interface Message {
  to: Address;
  subject: string;
  text: string;
  html: string | undefined;
  messageId: string;
  replyTo: string | undefined;
  unsubscribe: string | undefined;
  headers: Record<string, string>;
  attachments: (Attachment & { cid?: string; contentDisposition?: "inline" })[];
}

/** Who sends by default. */
export const DEFAULT_SENDER = "Millrace <millrace@localhost>";

/** How long a free place is waited for before it is asked again. One that is given back wakes at once. */
const RECHECK_MS = 1_000;

/** Header fields that a signature covers: those of RFC 6376, 5.4.1, and both of one-click unsubscribing (RFC 8058, 4). */
const SIGNED = "From:Reply-To:Subject:Date:To:Message-ID:MIME-Version:Content-Type:Content-Transfer-Encoding:" +
  "List-Unsubscribe:List-Unsubscribe-Post";

/** Permission to send one message by a server, by one of its connections. */
export interface Turn {
  server: SmtpServer;
  end(): void;
}

/** Makes and sends messages. */
export class MailTransport {
  readonly from: Address;
  readonly servers: readonly SmtpServer[];
  readonly #clock: Clock;
  readonly #ledger: (() => SharedMail) | undefined;
  readonly #dkim: DKIM | null;
  readonly #wake = new Set<() => void>();
  #last = -1;

  /** @throws {RangeError} If a URL or the sender is wrong. */
  constructor(clock: Clock, { servers = [], from = DEFAULT_SENDER, dkim, ca, ledger }: MailOptions = {}) {
    this.#clock = clock;
    this.from = parseSender(from);
    this.servers = servers.map((url) => new SmtpServer(url, ca, clock));
    this.#ledger = ledger;
    if (!ledger && this.servers.some(({ limits }) => limits.perHour !== null || limits.perDay !== null)) {
      throw new RangeError("limits by hour and day need a ledger.");
    }
    this.#dkim = dkim ? new DKIM({ ...dkim, headerFieldNames: SIGNED }) : null;
  }

  /** Whether messages leave this machine. */
  get sends(): boolean {
    return this.servers.length > 0;
  }

  /** Connections of all servers. */
  get connections(): number {
    return this.servers.reduce((sum, { connections }) => sum + connections, 0);
  }

  /** A message as it goes over the wire. */
  async render({ to, unsubscribe, headers, ...message }: Message): Promise<Uint8Array> {
    const list: Record<string, string> = {};
    if (unsubscribe !== undefined) {
      list["List-Unsubscribe"] = `<${unsubscribe}>`;
      if (unsubscribe.startsWith("https:")) list["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click";
    }
    const node = new MailComposer({
      ...message,
      from: this.from,
      to,
      headers: Object.entries({ ...headers, ...list }).map(([key, value]) => ({
        key,
        // A URL is in ASCII and must not be folded within.
        value: key in list ? { prepared: true, value } : value,
      })),
      // No field of a message can make it read a file or fetch a URL.
      disableFileAccess: true,
      disableUrlAccess: true,
    }).compile();
    const bytes = await written((stream, done) => node.stream(stream, {}, done));
    if (!this.#dkim) return bytes;
    return await written((stream, done) => this.#dkim!.sign(bytes).once("error", done).once("end", done).pipe(stream));
  }

  /**
   * What all servers can do that can be used; the smallest size counts.
   *
   * @throws {Error} If none can be used.
   */
  async capabilities(): Promise<Capabilities> {
    const asked = await Promise.allSettled(
      this.#usable().map(async (server) => {
        try {
          return await server.capabilities();
        } catch (error) {
          server.markDown();
          throw error;
        }
      }),
    );
    const found = asked.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
    if (found.length === 0) {
      const { reason } = asked[0] as PromiseRejectedResult;
      throw new Error(`The mail server could not be used: ${(reason as Error).message}`, { cause: reason });
    }
    const sizes = found.flatMap(({ maxBytes }) => maxBytes ?? []);
    return { maxBytes: sizes.length > 0 ? Math.min(...sizes) : null, utf8: found.every(({ utf8 }) => utf8) };
  }

  /** Whether an address can be sent to. */
  async takesAddress(address: string): Promise<boolean> {
    return !this.sends || !needsUtf8(address) || (await this.capabilities()).utf8;
  }

  /** Which of some addresses are on the suppression list. */
  async suppressed(addresses: string[]): Promise<boolean[]> {
    return await this.#ledger?.().suppressed(addresses) ?? addresses.map(() => false);
  }

  #usable(): readonly SmtpServer[] {
    const up = this.servers.filter(({ isDown }) => !isDown);
    return up.length > 0 ? up : this.servers;
  }

  /**
   * Waits for a server that has a place for another message and whose rate and limits allow it.
   *
   * @param onLimit Told how long all servers have to wait for their limits by hour or day, in milliseconds.
   */
  async turn(signal: AbortSignal, onLimit: (ms: number) => void): Promise<Turn> {
    while (true) {
      signal.throwIfAborted();
      const usable = this.#usable();
      const free = usable.filter(({ isFree }) => isFree);
      // By turns.
      const first = free.length > 0 ? ++this.#last % free.length : 0;
      const order = [...free.slice(first), ...free.slice(0, first)];
      let wait = Infinity;
      for (const server of order) {
        if (!server.isFree) continue;
        server.take();
        const end = () => {
          server.giveBack();
          for (const wake of [...this.#wake]) wake();
        };
        try {
          const limited = await this.#limit(server);
          if (limited === 0) {
            const pause = server.next();
            if (pause > 0) await delay(this.#clock, pause, signal);
            return { server, end };
          }
          wait = Math.min(wait, limited);
        } catch (error) {
          end();
          throw error;
        }
        server.giveBack();
      }
      if (wait < Infinity && free.length === usable.length) onLimit(wait);
      await this.#sleep(Math.min(wait, RECHECK_MS), signal);
    }
  }

  async #limit(server: SmtpServer): Promise<number> {
    if (server.limits.perHour === null && server.limits.perDay === null) return 0;
    return await this.#ledger?.().take(server.name, server.limits) ?? 0;
  }

  /** Waits for a while, for a connection that is given back, or for the signal. */
  #sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#wake.delete(wake);
        cancel();
        signal.removeEventListener("abort", wake);
        resolve();
      };
      const cancel = this.#clock.after(ms, wake);
      signal.addEventListener("abort", wake, { once: true });
      this.#wake.add(wake);
    });
  }

  /** Closes idle connections. */
  close(): void {
    for (const server of this.servers) server.close();
  }
}

/** What is written to a stream, each line ended by CRLF. */
function written(write: (stream: Writable, done: (error?: unknown) => void) => void): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk, _encoding, callback) {
      chunks.push(chunk);
      callback();
    },
  });
  return new Promise((resolve, reject) => {
    write(stream, (error) => {
      if (error) return reject(error);
      const text = Buffer.concat(chunks).toString("latin1").replaceAll(/\r?\n/g, "\r\n");
      resolve(Buffer.from(text.endsWith("\n") ? text : `${text}\r\n`, "latin1"));
    });
  });
}

/**
 * A sender as `Name <address>` or an address. It may be on this machine: `millrace@localhost`.
 *
 * @throws {RangeError} If it is neither.
 */
export function parseSender(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed) return parsed;
  const match = /^(?:([^<>\r\n]*)<)?\s*([^\s<>@]+@[^\s<>@]+?)\s*>?$/.exec(text.trim());
  if (!match) throw new RangeError(`"${text}" is not an address such as Millrace <millrace@example.com>.`);
  return { name: (match[1] ?? "").trim().replaceAll(/^"|"$/g, ""), address: match[2] };
}
