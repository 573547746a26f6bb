/**
 * One mail server: its connections, what it says it can do, and how fast it may be used. It is spoken to by nodemailer.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import { Readable } from "node:stream";
import nodemailer from "nodemailer";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import type { Clock } from "../../task/clock.ts";
import type { Reply, Stage } from "./refusal.ts";

/** How long the answer to the end of a message is waited for: 10 minutes (RFC 5321, 4.5.3.2.6). */
export const ANSWER_TIMEOUT_MS = 600_000;

/** Connections to one server, unless its URL says otherwise. */
const CONNECTIONS = 5;
/** Messages by one connection. A server that wants fewer closes it, which costs no message. */
const MESSAGES = 1_000;
/** Bytes of a message that are handed over at once. */
const PIECE = 64 * 1024;
/** How long what a server says it can do is believed. */
const CAPABILITIES_MS = 3_600_000;
/** How long a server that could not be used is passed over where there are others. */
const DOWN_MS = 60_000;
/** Characters of a server's words that are kept. */
const WORDS = 200;

/** How much may be sent by a server. */
export interface SendLimits {
  perHour: number | null;
  perDay: number | null;
}

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

/** What the URL of a mail server says. */
export interface ServerUrl {
  host: string;
  port: number;
  secure: boolean;
  login: { user: string; pass: string } | undefined;
  connections: number;
  /** Messages a second; null: as fast as it takes them. */
  rate: number | null;
  limits: SendLimits;
}

/**
 * Reads `smtp://user:password@host:587` or `smtps://…`, with `?connections=5&rate=10&per_hour=1000&per_day=10000` as
 * needed.
 *
 * @throws {RangeError} If it is something else. The URL, which may hold a password, is in no error.
 */
export function parseServerUrl(text: string): ServerUrl {
  const url = URL.parse(text);
  if (!url || !/^smtps?:$/.test(url.protocol) || url.hostname === "") {
    throw new RangeError("this is not smtp://user:password@host:587 or smtps://user:password@host.");
  }
  const query = url.searchParams;
  const known = ["connections", "rate", "per_hour", "per_day"];
  const unknown = [...query.keys()].find((name) => !known.includes(name));
  if (unknown !== undefined) throw new RangeError(`${unknown} is none of ${known.join(", ")}.`);
  const number = (name: string, least: number, most: number): number | null => {
    const value = query.get(name);
    if (value === null) return null;
    const n = value === "" ? NaN : Number(value);
    if (n >= least && n <= most && (name === "rate" || Number.isInteger(n))) return n;
    throw new RangeError(`${name} must be a number from ${least} to ${most}.`);
  };
  const secure = url.protocol === "smtps:";
  return {
    host: url.hostname,
    port: Number(url.port) || (secure ? 465 : 587),
    secure,
    login: url.username === ""
      ? undefined
      : { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) },
    connections: number("connections", 1, 100) ?? CONNECTIONS,
    rate: number("rate", 0.001, 10_000),
    limits: { perHour: number("per_hour", 1, 1e9), perDay: number("per_day", 1, 1e9) },
  };
}

/** A mail server. */
export class SmtpServer {
  /** `host:port`. */
  readonly name: string;
  readonly connections: number;
  readonly limits: SendLimits;
  readonly #options: Record<string, unknown>;
  readonly #pool: { send(mail: unknown, done: (error: unknown, info: { response: string }) => void): void };
  readonly #clock: Clock;
  /** Milliseconds between two messages. */
  readonly #gap: number;
  #inUse = 0;
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

  /** Whether a message could be sent now, apart from limits by hour and day. */
  get isFree(): boolean {
    return this.#inUse < this.connections;
  }

  /** Whether it could not be used a moment ago. */
  get isDown(): boolean {
    return this.#clock.monotonic() < this.#downUntil;
  }

  /** Passes it over for a minute where there are others. */
  markDown(): void {
    this.#downUntil = this.#clock.monotonic() + DOWN_MS;
  }

  /** Takes a connection. Returns how long to wait before it is used, in milliseconds. */
  take(): number {
    this.#inUse++;
    const now = this.#clock.monotonic();
    const at = Math.max(now, this.#nextAt);
    this.#nextAt = at + this.#gap;
    return at - now;
  }

  /** Gives a connection back. */
  giveBack(): void {
    this.#inUse--;
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
      // The connection was closed before anything was sent by it, as idle ones are: another one is opened, once.
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
    (this.#pool as unknown as { close(): void }).close();
  }
}

function sendError(error: SmtpError, isHandedOver: boolean): SendError {
  const { responseCode: code, response = error.message, command = "" } = error;
  const words = shortened(response);
  const isLogin = error.code === "EAUTH";
  const stage = STAGES.find(([pattern]) => pattern.test(command))?.[1];
  let reply: Reply | null = null;
  if (!isLogin && stage && code !== undefined && code >= 400) reply = { stage, code, words };
  // The library itself compares with the size that the server has announced.
  else if (error.code === "EMESSAGE" && stage === "sender") reply = { stage, code: 552, words };
  return new SendError(words, reply, code === undefined && reply === null && isHandedOver, isLogin, error);
}

/** A server's words on one line. */
export function shortened(words: string): string {
  // deno-lint-ignore no-control-regex
  return words.replaceAll(/[\u0000-\u001f\u007f]+/g, " ").slice(0, WORDS);
}

/** A file that goes with each message. */
export interface Attachment {
  filename: string;
  content: Buffer;
  contentType: string;
}
