/**
 * Transports for messages: an SMTP server, or the outbox, which only stores them as files. Both use nodemailer.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import nodemailer from "nodemailer";
import { NonRetryableError } from "../../task/errors.ts";

/** Where messages are sent to and from. */
export interface MailOptions {
  /** `smtp://user:password@host:587` or `smtps://…`; undefined: the outbox. */
  smtpUrl?: string;
  /** Who sends. Default {@linkcode DEFAULT_SENDER}. */
  from?: string;
  /** Certificates in PEM that are trusted besides the system's. */
  ca?: string;
}

/** A file that goes with each message. */
export interface Attachment {
  filename: string;
  content: Buffer;
  contentType: string;
}

/** A message that is ready to go. */
export interface Message {
  to: string;
  subject: string;
  text: string;
  html: string | undefined;
  messageId: string;
  replyTo: string | undefined;
  unsubscribe: string | undefined;
  attachments: Attachment[];
}

/** The outcome of a message: accepted, permanently rejected, or deferred. `words` is the server's response. */
export interface Delivery {
  status: "sent" | "bounced" | "deferred";
  words: string;
}

/** The server could not be used. */
export class ServerError extends Error {
  override name = "ServerError";
  /** Whether the message may have been accepted anyway. */
  readonly maySent: boolean;

  constructor(words: string, maySent: boolean, cause: Error) {
    super(`The mail server could not be used: ${words}`, { cause });
    this.maySent = maySent;
  }
}

/** Characters of a server's words that are kept. */
const WORDS = 200;

/** What nodemailer tells of a failure. */
interface SmtpError extends Error {
  code?: string;
  command?: string;
  response?: string;
  responseCode?: number;
}

/** Who sends by default. */
export const DEFAULT_SENDER = "Millrace <millrace@localhost>";

/** Renders messages, and sends them where there is a server. */
export class MailTransport {
  readonly from: { name: string; address: string };
  readonly #renderer = nodemailer.createTransport({ streamTransport: true, buffer: true, newline: "windows" });
  readonly #smtp: ReturnType<typeof createSmtp> | null;

  constructor({ smtpUrl, from = DEFAULT_SENDER, ca }: MailOptions = {}) {
    this.from = parseSender(from);
    this.#smtp = smtpUrl === undefined ? null : createSmtp(smtpUrl, ca);
  }

  /** Whether messages leave this machine. */
  get sends(): boolean {
    return this.#smtp !== null;
  }

  /** A message as it goes over the wire. */
  async render(message: Message): Promise<Uint8Array> {
    const { message: bytes } = await this.#renderer.sendMail(this.#envelope(message)) as { message: unknown };
    return bytes as Uint8Array;
  }

  /**
   * Hands a message to the server.
   *
   * @throws {ServerError} If the problem is the server and not this message: all others would fail too.
   * @throws {NonRetryableError} If the server rejects the login.
   */
  async send(message: Message): Promise<Delivery> {
    try {
      const { response } = await this.#smtp!.sendMail(this.#envelope(message)) as { response: string };
      return { status: "sent", words: shortened(response) };
    } catch (thrown) {
      const error = thrown as SmtpError;
      const { responseCode, response = error.message, command = "" } = error;
      if (error.code === "EAUTH") {
        throw new NonRetryableError(`The mail server refused the login: ${shortened(response)}`);
      }
      // 421: the server is about to close the connection (RFC 5321, 3.8).
      const ofMessage = responseCode !== undefined && responseCode !== 421 &&
        /^(MAIL FROM|RCPT TO|DATA|API)/.test(command);
      if (!ofMessage) throw new ServerError(shortened(response), command !== "CONN" && error.code !== "EDNS", error);
      return { status: responseCode >= 500 ? "bounced" : "deferred", words: shortened(response) };
    }
  }

  /** Closes idle connections. */
  close(): void {
    this.#smtp?.close();
  }

  #envelope({ to, unsubscribe, ...message }: Message) {
    return {
      ...message,
      from: this.from,
      to: { name: "", address: to },
      list: unsubscribe === undefined ? undefined : { unsubscribe },
      // No field of a message can make it read a file or fetch a URL.
      disableFileAccess: true,
      disableUrlAccess: true,
    };
  }
}

function createSmtp(smtpUrl: string, ca: string | undefined) {
  const url = new URL(smtpUrl);
  const secure = url.protocol === "smtps:";
  const auth = url.username === "" ? undefined : {
    user: decodeURIComponent(url.username),
    pass: decodeURIComponent(url.password),
  };
  return nodemailer.createTransport({
    pool: true,
    maxConnections: 5,
    // A message whose connection broke may have been accepted: the library must not decide to resend it.
    maxRequeues: 0,
    host: url.hostname,
    port: Number(url.port) || (secure ? 465 : 587),
    secure,
    auth,
    // A password is never sent unencrypted. STARTTLS is used wherever it is offered; certificates are checked.
    requireTLS: !secure && auth !== undefined,
    tls: { rejectUnauthorized: true, ca },
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    dnsTimeout: 5_000,
    socketTimeout: 30_000,
  });
}

/**
 * A sender as `Name <address>` or an address.
 *
 * @throws {RangeError} If it is neither.
 */
export function parseSender(text: string): { name: string; address: string } {
  const match = /^(?:([^<>\r\n]*)<)?\s*([^\s<>@]+@[^\s<>@]+?)\s*>?$/.exec(text.trim());
  if (!match) throw new RangeError(`"${text}" is not an address such as Millrace <millrace@example.com>.`);
  return { name: (match[1] ?? "").trim().replaceAll(/^"|"$/g, ""), address: match[2] };
}

function shortened(words: string): string {
  // deno-lint-ignore no-control-regex
  return words.replaceAll(/[\u0000-\u001f\u007f]+/g, " ").slice(0, WORDS);
}
