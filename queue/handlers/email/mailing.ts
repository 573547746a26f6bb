/**
 * The state of a mailing, recipient by recipient, stored so that each update writes little: outcomes are kept in pages,
 * a full page as a step of the task, the current ones in the checkpoint. That a message is about to be sent is stored
 * before it is: whatever happens then, it is never sent a second time unasked.
 *
 * @module
 */

import * as z from "zod";
import { stringify } from "@std/csv";
import type { TaskContext } from "../../define.ts";
import { withoutFormula } from "../csv/output/cleaned.ts";
import type { Params } from "./params.ts";
import type { Recipient } from "./recipients.ts";

const outcomeSchema = z.tuple([z.enum(["sent", "bounced", "skipped", "unknown", "deferred"]), z.string()]);

const deferredSchema = z.strictObject({
  index: z.int(),
  tries: z.int(),
  /** When it is retried, milliseconds since the epoch. */
  due: z.number(),
  words: z.string(),
});

/** The checkpoint of a mailing. */
export const mailingCheckpoint = z.strictObject({
  /** The attempt that has begun it: part of each Message-ID. */
  run: z.int().default(1),
  pages: z.int(),
  /** After those of the pages; null: none yet. */
  outcomes: z.array(outcomeSchema.nullable()),
  /** Whose message may have been sent without an outcome. */
  sending: z.array(z.int()).default([]),
  deferred: z.array(deferredSchema),
  /** Final outcomes of deferred recipients, by index. */
  late: z.record(z.string(), outcomeSchema),
});

type Saved = z.output<typeof mailingCheckpoint>;

/** The context of a mailing's handler. */
export type MailingContext = TaskContext<Params, Saved>;

/** A recipient whose message was deferred. */
export type Deferred = z.output<typeof deferredSchema>;

/**
 * The outcome of a recipient: `sent`; `bounced`: the address was permanently rejected; `skipped`: nothing was sent;
 * `unknown`: the server may have taken the message, but did not say so; `deferred`: will be sent later.
 */
export type Outcome = z.output<typeof outcomeSchema>;

/** Outcomes of a page: with all their words they fit into a step. */
const PAGE = 100;
/** Recipients without an outcome may be this far behind those with one: each checkpoint holds what is between. */
const WINDOW = 3 * PAGE;
/** Most recipients that may be deferred in one mailing. */
export const MAX_DEFERRED = 1_000;

export const STOPPED = "was on its way when the task was stopped";

/** The outcomes of a mailing. */
export class Mailing {
  readonly #ctx: MailingContext;
  readonly #saved: Saved;
  /** By index. */
  readonly #outcomes: (Outcome | undefined)[];
  readonly #counts = { sent: 0, bounced: 0, skipped: 0, unknown: 0, deferred: 0 };
  readonly #onWire = new Set<number>();
  /** Recipients that an earlier attempt has passed over. */
  readonly #holes: number[] = [];
  /** The first recipient that no attempt has come to. */
  #next: number;
  /** What the next save resolves. */
  #waiting: PromiseWithResolvers<void> | null = null;
  #isSaving = false;

  private constructor(ctx: MailingContext, saved: Saved, outcomes: (Outcome | undefined)[]) {
    this.#ctx = ctx;
    this.#saved = saved;
    this.#outcomes = outcomes;
    this.#next = outcomes.length;
    for (const outcome of outcomes) if (outcome) this.#counts[outcome[0]]++;
  }

  /** Resumes from what earlier attempts have saved. */
  static async load(ctx: MailingContext): Promise<Mailing> {
    const saved: Saved = ctx.resume ??
      { run: ctx.attempt, pages: 0, outcomes: [], sending: [], deferred: [], late: {} };
    const outcomes: (Outcome | undefined)[] = [];
    for (let page = 0; page < saved.pages; page++) {
      outcomes.push(...await ctx.step(nameOf(page), () => lost(page)));
    }
    outcomes.push(...saved.outcomes.map((outcome) => outcome ?? undefined));
    for (const [index, outcome] of Object.entries(saved.late)) outcomes[Number(index)] = outcome;
    const mailing = new Mailing(ctx, saved, outcomes);
    // Nothing says whether the server has taken them.
    for (const index of [...saved.sending]) mailing.settle(index, ["unknown", "was on its way when the service ended"]);
    for (let index = 0; index < outcomes.length; index++) if (!outcomes[index]) mailing.#holes.push(index);
    return mailing;
  }

  /** How the messages of this mailing are told apart from those of one that began anew. */
  get run(): number {
    return this.#saved.run;
  }

  /** Whether earlier attempts have got somewhere. */
  get isResumed(): boolean {
    return this.#next > 0;
  }

  /** The next recipient without an outcome; null: there is none, or earlier ones must get theirs first. */
  claim(total: number): number | null {
    const { pages, outcomes } = this.#saved;
    const hole = this.#holes.shift();
    if (hole !== undefined) return hole;
    if (this.#next >= total || this.#next - pages * PAGE >= WINDOW) return null;
    outcomes.push(null);
    return this.#next++;
  }

  /** The deferred recipients. */
  get deferred(): readonly Deferred[] {
    return this.#saved.deferred;
  }

  /** How many recipients were deferred so far. */
  get putOff(): number {
    return this.#saved.deferred.length + Object.keys(this.#saved.late).length;
  }

  /** How many recipients have an outcome. */
  get done(): number {
    const { sent, bounced, skipped, unknown } = this.#counts;
    return sent + bounced + skipped + unknown;
  }

  /** How many recipients have this outcome. */
  count(status: Outcome[0]): number {
    return this.#counts[status];
  }

  /** The outcome of a recipient. */
  outcomeOf(index: number): Outcome | undefined {
    return this.#outcomes[index];
  }

  /** Records that a message is about to be sent. Only then may it be. */
  async begin(index: number): Promise<void> {
    // By a second server it is the same message.
    if (!this.#saved.sending.includes(index)) this.#saved.sending.push(index);
    await this.#save();
  }

  /** A message is now on its way. */
  markOnWire(index: number): void {
    this.#onWire.add(index);
  }

  /** A message was not sent after all: another attempt may send it. */
  release(index: number): void {
    if (!this.#saved.sending.includes(index)) return;
    this.#leave(index);
    void this.#save().catch(() => {});
  }

  #leave(index: number): void {
    this.#onWire.delete(index);
    const { sending } = this.#saved;
    const at = sending.indexOf(index);
    if (at >= 0) sending.splice(at, 1);
  }

  /** Records an outcome, or that the message is sent later. It is stored with the next save. */
  settle(index: number, outcome: Outcome, deferred?: Deferred): void {
    const { pages, outcomes, late } = this.#saved;
    const before = this.#outcomes[index];
    if (before) this.#counts[before[0]]--;
    this.#counts[outcome[0]]++;
    this.#outcomes[index] = outcome;
    this.#leave(index);
    this.#saved.deferred = [
      ...this.#saved.deferred.filter((one) => one.index !== index),
      ...deferred ? [deferred] : [],
    ];
    if (before?.[0] !== "deferred") outcomes[index - pages * PAGE] = outcome;
    else if (!deferred) late[index] = outcome;
    void this.#save().catch(() => {});
  }

  /** Waits until everything is stored. */
  async flush(): Promise<void> {
    await this.#save();
  }

  #save(): Promise<void> {
    const { promise } = this.#waiting ??= Promise.withResolvers<void>();
    if (!this.#isSaving) void this.#saveAll();
    return promise;
  }

  /** Changes that come while one save is under way share the next one. */
  async #saveAll(): Promise<void> {
    this.#isSaving = true;
    while (this.#waiting) {
      const { resolve, reject } = this.#waiting;
      this.#waiting = null;
      try {
        const { sending, late, ...others } = this.#saved;
        const outcomes = [...this.#saved.outcomes];
        await this.#ctx.checkpoint({ ...others, outcomes, sending: [...sending], late: { ...late } });
        resolve();
        // What happens meanwhile shares the next save.
        await this.#ctx.sleep(0);
        // A page is a step once it is in a checkpoint: a kill between the two loses nothing.
        const page = outcomes.slice(0, PAGE);
        if (page.length < PAGE || page.includes(null)) continue;
        await this.#ctx.step(nameOf(this.#saved.pages), () => page as Outcome[]);
        this.#saved.pages++;
        this.#saved.outcomes = this.#saved.outcomes.slice(PAGE);
      } catch (error) {
        reject(error);
      }
    }
    this.#isSaving = false;
  }

  /** All recipients and their current outcomes. */
  csv(recipients: Recipient[]): string {
    const rows = recipients.map(({ email }, i) => {
      const [outcome, words] = this.#final(i);
      // Untrusted text that may be opened in a spreadsheet.
      return { number: i + 1, email: withoutFormula(email), outcome, words: withoutFormula(words) };
    });
    return stringify(rows, { columns: ["number", "email", "outcome", "words"] });
  }

  #final(index: number): Outcome {
    if (this.#onWire.has(index)) return ["unknown", STOPPED];
    const outcome = this.#outcomes[index];
    if (!outcome) return ["skipped", "had not been sent when the task was stopped"];
    return outcome[0] === "deferred" ? ["skipped", outcome[1]] : outcome;
  }
}

function nameOf(page: number): string {
  return `outcomes ${page * PAGE + 1} to ${(page + 1) * PAGE}`;
}

function lost(page: number): Outcome[] {
  throw new Error(`The ${nameOf(page)} no longer exist.`);
}
