/**
 * Sends the messages of one mailing: several at once, as fast as it and its servers may.
 *
 * @module
 */

import type { Clock } from "../../task/clock.ts";
import { AbortedError, NonRetryableError } from "../../task/errors.ts";
import { traced } from "../../tracing.ts";
import type { Letter } from "./letter.ts";
import { type Deferred, type Mailing, type MailingContext, MAX_DEFERRED, type Outcome, STOPPED } from "./mailing.ts";
import { understand } from "./refusal.ts";
import { AHEAD, SendError, type SmtpServer } from "./smtp_server.ts";
import type { MailTransport, Message } from "./transport.ts";

/** Delays before a deferred message is retried: 30 s, 2 min, 8 min, 32 min; then it has failed. */
const DEFERRAL_MS = [30_000, 120_000, 480_000, 1_920_000];

/** How long a stop waits for the server's answers to the messages that are on their way. */
const LAST_ANSWER_MS = 2_000;

/** Messages in a row whose outcome is unknown after which the server is not trusted with more. */
const MAX_UNKNOWN_IN_A_ROW = 3;

/** Recipients that are looked up in the suppression list at once. */
const LOOK_UP = 100;

/** Shorter waits than this add up to one: timers are no finer. Milliseconds. */
const FINEST_WAIT_MS = 5;

const COUNT = new Intl.NumberFormat("en");

/** A recipient's turn: the first, or a later one after a deferral. */
type Turn = { index: number; tries: number };

/** Sends a mailing. */
export class Sending {
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #underWay = new Set<Promise<void>>();
  /** Which recipients of one page are on the suppression list. */
  #suppressed: { page: number; known: Promise<boolean[]> } | null = null;
  /** What ends the attempt. */
  #failure: { error: unknown } | null = null;
  #unknownInARow = 0;
  #limitToldAt = -Infinity;
  /** Deferred recipients whose next try is under way. */
  readonly #retried = new Set<number>();

  constructor(
    private readonly ctx: MailingContext,
    private readonly transport: MailTransport,
    private readonly clock: Clock,
    private readonly mailing: Mailing,
    private readonly letter: Letter,
    private readonly bounces: readonly boolean[],
  ) {
    this.#signal = AbortSignal.any([ctx.signal, this.#stop.signal]);
  }

  /** Sends everything; resolves when each recipient has an outcome. */
  async run(): Promise<void> {
    const pace = this.#pace();
    const most = AHEAD * Math.max(1, this.transport.connections);
    try {
      while (!this.#failure) {
        const turn = this.#next();
        if (turn === null) {
          if (!await this.#wait()) break;
          continue;
        }
        const reason = await this.#reasonToSkip(turn);
        if (reason !== null) {
          this.#settle(turn.index, ["skipped", reason]);
          continue;
        }
        await pace();
        const sending = this.#send(turn).catch((error) => this.#fail(error)).finally(() =>
          this.#underWay.delete(sending)
        );
        this.#underWay.add(sending);
        while (this.#underWay.size >= most) await Promise.race(this.#underWay);
      }
    } catch (error) {
      this.#fail(error);
    }
    await Promise.all(this.#underWay);
    await this.mailing.flush().catch((error) => this.#fail(error));
    if (this.#failure) throw this.#failure.error;
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#stop.abort(error);
  }

  /** Ends the attempt before anything else is sent by the connection that is given back. */
  #giveUp(error: Error): never {
    this.#fail(error);
    throw error;
  }

  /** Who is next: a new recipient, or a deferred one that is due. */
  #next(): Turn | null {
    const due = this.mailing.deferred.find(({ index, due }) => !this.#retried.has(index) && due <= this.clock.now());
    const index = this.mailing.claim(this.letter.recipients.length);
    if (index !== null) return { index, tries: 0 };
    if (!due) return null;
    this.#retried.add(due.index);
    return { index: due.index, tries: due.tries };
  }

  /** Waits until there may be a next one; false: there is none. */
  async #wait(): Promise<boolean> {
    if (this.#underWay.size > 0) {
      await Promise.race(this.#underWay);
      return true;
    }
    if (this.mailing.done + this.mailing.count("deferred") < this.letter.recipients.length) {
      // The next ones come once the outcomes before them are stored.
      await this.mailing.flush();
      return true;
    }
    const deferred = this.mailing.deferred;
    if (deferred.length === 0) return false;
    const next = Math.min(...deferred.map(({ due }) => due));
    this.ctx.progress(
      99,
      `${deferred.length} deferred by the server, next try at ${new Date(next).toISOString()}`,
    );
    await this.ctx.sleep(Math.max(0, next - this.clock.now()));
    return true;
  }

  /** Why a recipient gets nothing; null if nothing is against it. */
  async #reasonToSkip({ index, tries }: Turn): Promise<string | null> {
    const { to, fault } = this.letter.recipients[index];
    if (fault !== null) return fault;
    // The list may have grown since the last try.
    if (tries > 0) this.#suppressed = null;
    if (await this.#isSuppressed(index)) return "on the suppression list";
    if (!await this.transport.takesAddress(to!.address)) {
      return "the mail server does not take this address: no SMTPUTF8";
    }
    return this.letter.faultOf(index);
  }

  async #isSuppressed(index: number): Promise<boolean> {
    const page = Math.floor(index / LOOK_UP);
    if (this.#suppressed?.page !== page) {
      const recipients = this.letter.recipients.slice(page * LOOK_UP, (page + 1) * LOOK_UP);
      const known = this.transport.suppressed(recipients.map(({ to, email }) => to?.address ?? email));
      this.#suppressed = { page, known };
    }
    return (await this.#suppressed.known)[index % LOOK_UP];
  }

  /** Sends one message, or puts it off. */
  async #send({ index, tries }: Turn): Promise<void> {
    const { mailing, letter, transport } = this;
    if (this.bounces[index]) return this.#settle(index, ["bounced", "550 no such mailbox (simulated)"]);
    const message = letter.message(index, this.#messageId(index));
    if (!transport.sends) return await this.#keep(index, message);
    const bytes = await transport.render(message);
    const { maxBytes } = await transport.capabilities();
    if (maxBytes !== null && bytes.length > maxBytes) {
      const [size, most] = [bytes.length, maxBytes].map((n) => n.toLocaleString("en"));
      throw new NonRetryableError(`The message has ${size} bytes; the mail server takes ${most}.`);
    }
    try {
      await this.#deliver(index, tries, message, bytes);
    } finally {
      this.#retried.delete(index);
      // Without an outcome it was not sent.
      mailing.release(index);
    }
  }

  /** The outcome of a message that goes to the built-in outbox. */
  async #keep(index: number, message: Message): Promise<void> {
    const name = `${String(index + 1).padStart(4, "0")}.eml`;
    await this.ctx.artifact(name, await this.transport.render(message), "message/rfc822");
    this.#settle(index, ["sent", ""]);
  }

  /** Derived from task, attempt and number: a receiver can detect a duplicate, and one that began anew is none. */
  #messageId(index: number): string {
    const { run } = this.mailing;
    const domain = this.transport.from.address.split("@")[1];
    return `<${this.ctx.id.toLowerCase()}.${run > 1 ? `${run}.` : ""}${index + 1}@${domain}>`;
  }

  /** Hands a message to a server, and to another one if the first cannot be used. */
  async #deliver(index: number, tries: number, message: Message, bytes: Uint8Array): Promise<void> {
    while (true) {
      const { server, end } = await this.transport.turn(this.#signal, (ms) => this.#tellLimit(ms));
      try {
        await this.mailing.begin(index);
        const hangUp = await server.connection(this.#signal);
        // Whoever is next on this connection must know the outcome first.
        try {
          this.mailing.markOnWire(index);
          const from = this.transport.from.address;
          const send = () => server.send(from, message.to.address, message.messageId, bytes);
          const sending = traced("send mail", { "server.address": server.name }, send);
          const words = await this.#untilStopped(sending);
          this.#unknownInARow = 0;
          return this.#settle(index, words === null ? ["unknown", STOPPED] : ["sent", words]);
        } catch (error) {
          if (!(error instanceof SendError)) throw error;
          const outcome = this.#outcomeOf(error, index, tries, message.to.address);
          if (outcome) return Array.isArray(outcome) ? this.#settle(index, outcome) : this.#defer(outcome);
          this.#passOver(server, error);
        } finally {
          hangUp();
        }
      } finally {
        end();
      }
    }
  }

  /** Puts a message off. */
  #defer(deferred: Deferred): void {
    const { index, tries, words } = deferred;
    if (tries === 1 && this.mailing.putOff >= MAX_DEFERRED) {
      this.#giveUp(new Error(`The mail server deferred too many messages: ${words}`));
    }
    this.ctx.log.warn(`${this.letter.recipients[index].email}: deferred: ${words}`);
    this.mailing.settle(index, ["deferred", words], deferred);
  }

  /** Leaves the message to another server, if there is one. */
  #passOver(server: SmtpServer, error: SendError): void {
    server.markDown();
    if (this.transport.servers.every(({ isDown }) => isDown)) {
      this.#giveUp(new Error(`The mail server could not be used: ${error.words}`, { cause: error }));
    }
    this.ctx.log.warn(`${server.name} could not be used: ${error.words}`);
  }

  /** What an error means for the recipient; null: nothing, it is the server's. */
  #outcomeOf(error: SendError, index: number, tries: number, to: string): Outcome | Deferred | null {
    const { words, reply } = error;
    if (error.isLogin) this.#giveUp(new NonRetryableError(`The mail server refused the login: ${words}`));
    if (error.mayBeTaken) {
      const outcome: Outcome = ["unknown", `the server gave no clear answer: ${words}`];
      if (++this.#unknownInARow >= MAX_UNKNOWN_IN_A_ROW) {
        this.#settle(index, outcome);
        this.#giveUp(new Error(`The mail server did not answer ${MAX_UNKNOWN_IN_A_ROW} messages in a row: ${words}`));
      }
      return outcome;
    }
    if (!reply) return null;
    const { fault, permanent } = understand(reply, to);
    if (fault === "server") return null;
    if (fault === "sender") {
      if (permanent) this.#giveUp(new NonRetryableError(`The mail server refuses the sender: ${words}`));
      return null;
    }
    if (permanent && fault === "message") {
      this.#giveUp(new NonRetryableError(`The mail server refuses the message: ${words}`));
    }
    if (permanent) return ["bounced", words];
    if (tries < DEFERRAL_MS.length) {
      return { index, tries: tries + 1, due: this.clock.now() + DEFERRAL_MS[tries], words };
    }
    return [fault === "recipient" ? "bounced" : "skipped", words];
  }

  /** The server's words; null if the task was stopped before they came. A shutdown waits a moment for them. */
  async #untilStopped(sending: Promise<string>): Promise<string | null> {
    const { signal } = this.ctx;
    sending.catch(() => {});
    let cancel = () => {};
    const stopped = new Promise<null>((resolve) => {
      const onAbort = () => {
        const { reason } = signal;
        const wait = reason instanceof AbortedError && reason.code === "shutdown" ? LAST_ANSWER_MS : 0;
        cancel = this.clock.after(wait, () => resolve(null));
      };
      if (signal.aborted) return onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      cancel = () => signal.removeEventListener("abort", onAbort);
    });
    try {
      return await Promise.race([sending, stopped]);
    } finally {
      cancel();
    }
  }

  /** Records a final outcome. */
  #settle(index: number, outcome: Outcome): void {
    const { mailing, letter, ctx } = this;
    const [status, words] = outcome;
    const email = letter.recipients[index].email;
    ctx.log[status === "sent" ? "info" : "warn"](`${email}: ${status}${words ? `: ${words}` : ""}`);
    mailing.settle(index, outcome);
    const total = letter.recipients.length;
    ctx.progress(mailing.done / total * 99, `${COUNT.format(mailing.done)} of ${COUNT.format(total)}`);
    const { max_failures } = ctx.params;
    const failures = mailing.count("bounced") + mailing.count("unknown");
    if (max_failures === undefined || failures <= max_failures) return;
    this.#fail(new NonRetryableError(`${failures} messages have bounced or their outcome is unknown: ${words}`));
  }

  #tellLimit(ms: number): void {
    const now = this.clock.now();
    if (now - this.#limitToldAt < 60_000) return;
    this.#limitToldAt = now;
    const { done } = this.mailing;
    const until = new Date(now + ms).toISOString();
    this.ctx.progress(
      done / this.letter.recipients.length * 99,
      `the limit of the mail server is reached until ${until}`,
    );
  }

  /** Waits as needed to keep within the rate of the mailing. */
  #pace(): () => Promise<void> {
    const { ctx, clock } = this;
    const { delay_per_email, rate_per_second } = ctx.params;
    const gap = rate_per_second === undefined ? delay_per_email * 1000 : 1000 / rate_per_second;
    let next = clock.monotonic() + (rate_per_second === undefined ? gap : 0);
    return async () => {
      const now = clock.monotonic();
      next = Math.max(next, now - gap);
      if (next - now >= FINEST_WAIT_MS) await ctx.sleep(next - now);
      next += gap;
    };
  }
}
