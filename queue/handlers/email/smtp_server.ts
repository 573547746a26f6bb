/**
 * One mail server: its connections, what it says it can do, and how fast it may be used. It is spoken to by nodemailer.
 *
 * @module
 */

import { Readable } from "node:stream";
import nodemailer from "nodemailer";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import type { Clock } from "../../task/clock.ts";
import type { Reply, Stage } from "./refusal.ts";
import { parseServerUrl, type SendLimits } from "./server_url.ts";

/** How long the answer to the end of a message is waited for: 10 minutes (RFC 5321, 4.5.3.2.6). */
export const ANSWER_TIMEOUT_MS = 600_000;

/** Messages by one connection. A server that wants fewer closes it, which costs no message. */
const MESSAGES = 1_000;
/** Messages for each connection that are recorded as being sent: one that is, and some that follow at once. */
export const AHEAD = 3;
/** Bytes of a message that are handed over at once. */
const PIECE = 64 * 1024;
/** How long what a server says it can do is believed. */
const CAPABILITIES_MS = 3_600_000;
/** How long a server that could not be used is passed over where there are others. */
const DOWN_MS = 60_000;
/** Characters of a server's words that are kept. */
const WORDS = 200;

/** What a server says it can do. */
export interface Capabilities {
  /** The largest message in bytes; null: it says none. */
  maxBytes: number | null;
  /** Whether it takes addresses that are not ASCII. */
  utf8: boolean;
}

/** A message that was not taken, or of which that is not known. */
export class SendError extends Error {
  override name = "SendError";

  /**
   * @param words What the server or the system said.
   * @param reply The server's refusal; null: the server could not be used, or the connection broke.
   * @param mayBeTaken Whether the whole message was handed over and no answer came.
   * @param isLogin Whether the server refused the sign-in.
   */
  constructor(
    readonly words: string,
    readonly reply: Reply | null,
    readonly mayBeTaken: boolean,
    readonly isLogin: boolean,
    cause: unknown,
  ) {
    super(words, { cause });
  }
}

/** What nodemailer tells of a failure. */
interface SmtpError extends Error {
  code?: string;
  command?: string;
  response?: string;
  responseCode?: number;
}

/** A message on its way. Whether it was read to its end says whether the server can have taken it. */
class Body extends Readable {
  #from = 0;
  isHandedOver = false;

  constructor(private readonly bytes: Uint8Array) {
    super();
  }

  override _read(): void {
    if (this.#from < this.bytes.length) {
      this.push(this.bytes.subarray(this.#from, this.#from += PIECE));
      return;
    }
    this.isHandedOver = true;
    this.push(null);
  }
}

const STAGES: [RegExp, Stage][] = [[/^MAIL FROM/, "sender"], [/^RCPT TO/, "recipient"], [/^DATA/, "data"]];

/** A mail server. */
export class SmtpServer {
  /** `host:port`. */
  readonly name: string;
  readonly connections: number;
  readonly limits: SendLimits;
  readonly #options: Record<string, unknown>;
  readonly #pool: {
    send(mail: unknown, done: (error: unknown, info: { response: string }) => void): void;
    close(): void;
  };
  readonly #clock: Clock;
  /** Milliseconds between two messages. */
  readonly #gap: number;
  /** Messages that are made ready or sent, those that are sent, and those that wait to be. */
  #inUse = 0;
  #sending = 0;
  readonly #waiting = new Set<() => void>();
  #nextAt = -Infinity;
  #downUntil = -Infinity;
  #capabilities: { value: Promise<Capabilities>; until: number } | null = null;

  /**
   * @param text As {@linkcode parseServerUrl} reads it.
   * @param ca Certificates in PEM that are trusted besides the system's.
   */
  constructor(text: string, ca: string | undefined, clock: Clock) {
    const { host, port, secure, login, connections, rate, limits } = parseServerUrl(text);
    this.#clock = clock;
    this.name = `${host}:${port}`;
    this.connections = connections;
    this.limits = limits;
    this.#gap = rate === null ? 0 : 1000 / rate;
    this.#options = {
      host,
      port,
      secure,
      // A password is never sent unencrypted. STARTTLS is used wherever it is offered; certificates are checked.
      requireTLS: !secure && login !== undefined,
      tls: { rejectUnauthorized: true, ca },
      connectionTimeout: 10_000,
      greetingTimeout: 10_000,
      dnsTimeout: 5_000,
      socketTimeout: ANSWER_TIMEOUT_MS,
    };
    this.#pool = nodemailer.createTransport({
      ...this.#options,
      pool: true,
      auth: login,
      maxConnections: this.connections,
      maxMessages: MESSAGES,
      // A message whose connection broke may have been taken: the library must not decide to send it again.
      maxRequeues: 0,
      // deno-lint-ignore no-explicit-any
    } as any).transporter as any;
  }

  /** Whether it takes another message, apart from its limits. */
  get isFree(): boolean {
    return this.#inUse < AHEAD * this.connections;
  }

  /** Whether it could not be used a moment ago. */
  get isDown(): boolean {
    return this.#clock.monotonic() < this.#downUntil;
  }

  /** Passes it over for a minute where there are others. */
  markDown(): void {
    this.#downUntil = this.#clock.monotonic() + DOWN_MS;
  }

  /** Takes a place, which {@linkcode giveBack} gives back. */
  take(): void {
    this.#inUse++;
  }

  /** Gives a place back. */
  giveBack(): void {
    this.#inUse--;
  }

  /** Waits for a connection. Returns what gives it back. */
  async connection(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#sending >= this.connections) {
      await new Promise<void>((resolve, reject) => {
        const onAbort = () => {
          this.#waiting.delete(next);
          reject(signal.reason);
        };
        const next = () => {
          signal.removeEventListener("abort", onAbort);
          resolve();
        };
        this.#waiting.add(next);
        signal.addEventListener("abort", onAbort, { once: true });
      });
    } else this.#sending++;
    return () => {
      const [next] = this.#waiting;
      // A connection is handed on, or free.
      if (!next) return void this.#sending--;
      this.#waiting.delete(next);
      next();
    };
  }

  /** Takes the next moment by its rate. Returns how long that is to wait for, in milliseconds. */
  next(): number {
    const now = this.#clock.monotonic();
    const at = Math.max(now, this.#nextAt);
    this.#nextAt = at + this.#gap;
    return at - now;
  }

  /**
   * What the server says it can do.
   *
   * @throws {SendError} If it cannot be used.
   */
  async capabilities(): Promise<Capabilities> {
    const now = this.#clock.monotonic();
    if (!this.#capabilities || this.#capabilities.until < now) {
      const value = this.#ask();
      this.#capabilities = { value, until: now + CAPABILITIES_MS };
      value.catch(() => this.#capabilities = null);
    }
    return await this.#capabilities.value;
  }

  #ask(): Promise<Capabilities> {
    // The library tells what a server can do to its handlers of sign-ins only: these fields are read from within.
    const connection = new SMTPConnection(this.#options) as InstanceType<typeof SMTPConnection> & {
      _supportedExtensions: string[];
      _maxAllowedSize: number;
    };
    return new Promise<Capabilities>((resolve, reject) => {
      const fail = (error: unknown) => reject(sendError(error as SmtpError, false));
      connection.once("error", fail);
      connection.connect((error?: unknown) => {
        if (error) return fail(error);
        resolve({
          maxBytes: connection._maxAllowedSize || null,
          utf8: connection._supportedExtensions.includes("SMTPUTF8"),
        });
      });
    }).finally(() => connection.close());
  }

  /**
   * Sends a message.
   *
   * @returns The server's words.
   * @throws {SendError} If the server does not say that it has taken it.
   */
  async send(from: string, to: string, messageId: string, bytes: Uint8Array): Promise<string> {
    try {
      return await this.#try(from, to, messageId, bytes);
    } catch (error) {
      // Nothing was taken, and no command refused: often an idle connection that had been closed. Once more by another.
      if (!(error instanceof SendError) || error.reply || error.mayBeTaken || error.isLogin) throw error;
      return await this.#try(from, to, messageId, bytes);
    }
  }

  #try(from: string, to: string, messageId: string, bytes: Uint8Array): Promise<string> {
    let body = new Body(bytes);
    const message = {
      getEnvelope: () => ({ from, to: [to], size: bytes.length }),
      messageId: () => messageId,
      getHeader: () => messageId,
      createReadStream: () => body = new Body(bytes),
    };
    return new Promise((resolve, reject) => {
      this.#pool.send({ message, data: {} }, (error, info) => {
        if (error) reject(sendError(error as SmtpError, body.isHandedOver));
        else resolve(shortened(info.response));
      });
    });
  }

  /** Closes idle connections. */
  close(): void {
    this.#pool.close();
  }
}

function sendError(error: SmtpError, isHandedOver: boolean): SendError {
  const { responseCode: code, response = error.message, command = "" } = error;
  const words = shortened(response);
  // A temporary failure of the sign-in is the server's.
  const isLogin = error.code === "EAUTH" && !(code !== undefined && code < 500);
  const stage = STAGES.find(([pattern]) => pattern.test(command))?.[1];
  let reply: Reply | null = null;
  if (!isLogin && stage && code !== undefined && code >= 400) reply = { stage, code, words };
  // The library itself compares with the size that the server has announced.
  else if (error.code === "EMESSAGE" && stage === "sender") reply = { stage, code: 552, words };
  // Only a refusal says that a message which was handed over has not been taken.
  const isRefused = reply !== null || code !== undefined && code >= 400;
  return new SendError(words, reply, isHandedOver && !isRefused, isLogin, error);
}

/** A server's words on one line. */
function shortened(words: string): string {
  // deno-lint-ignore no-control-regex
  return words.replaceAll(/[\u0000-\u001f\u007f]+/g, " ").slice(0, WORDS);
}
