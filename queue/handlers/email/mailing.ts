/**
 * The state of a mailing, recipient by recipient, stored so that each update writes little: outcomes are kept in pages,
 * a full page as a step of the task, the current page in the checkpoint.
 *
 * @module
 */

import * as z from "zod";
import { stringify } from "@std/csv";
import type { TaskContext } from "../../define.ts";
import { withoutFormula } from "../csv/output/cleaned.ts";
import type { Values } from "./template.ts";

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
  pages: z.int(),
  /** Of the current page. */
  outcomes: z.array(outcomeSchema),
  deferred: z.array(deferredSchema),
  /** Final outcomes of deferred recipients, by index. */
  late: z.record(z.string(), outcomeSchema),
});

type Saved = z.output<typeof mailingCheckpoint>;

/** The context of a mailing's handler. */
export type MailingContext = TaskContext<unknown, Saved>;

/** A recipient whose message was deferred. */
export type Deferred = z.output<typeof deferredSchema>;

/**
 * The outcome of a recipient: `sent`; `bounced`: permanently rejected; `skipped`: nothing was sent; `unknown`: the
 * message was being sent when the task was stopped; `deferred`: temporarily rejected, will be retried.
 */
export type Outcome = z.output<typeof outcomeSchema>;

/** Outcomes of a page: with all their words they fit into a step. */
const PAGE = 100;
/** Most recipients that may be deferred in one mailing. */
export const MAX_DEFERRED = 1_000;

/** The outcomes of a mailing. */
export class Mailing {
  readonly #ctx: MailingContext;
  #saved: Saved;
  /** By index. */
  readonly outcomes: Outcome[];
  /** The recipient whose message is being sent. */
  current: number | null = null;

  private constructor(ctx: MailingContext, saved: Saved, outcomes: Outcome[]) {
    this.#ctx = ctx;
    this.#saved = saved;
    this.outcomes = outcomes;
  }

  /** Resumes from what earlier attempts have saved. */
  static async load(ctx: MailingContext): Promise<Mailing> {
    const saved = ctx.resume ?? { pages: 0, outcomes: [], deferred: [], late: {} };
    const outcomes: Outcome[] = [];
    for (let page = 0; page < saved.pages; page++) {
      outcomes.push(...await ctx.step(nameOf(page), () => lost(page)));
    }
    outcomes.push(...saved.outcomes);
    for (const [index, outcome] of Object.entries(saved.late)) outcomes[Number(index)] = outcome;
    return new Mailing(ctx, saved, outcomes);
  }

  /** The next recipient without an outcome. */
  get next(): number {
    return this.#saved.pages * PAGE + this.#saved.outcomes.length;
  }

  /** The deferred recipients. */
  get deferred(): readonly Deferred[] {
    return this.#saved.deferred;
  }

  /** How many recipients were deferred so far. */
  get putOff(): number {
    return this.#saved.deferred.length + Object.keys(this.#saved.late).length;
  }

  /** Records the outcome of the next recipient. It is durable once the promise resolves. */
  async record(outcome: Outcome, deferred?: Deferred): Promise<void> {
    this.outcomes.push(outcome);
    const { pages, outcomes } = this.#saved;
    // A full page is already in the checkpoint: a kill between the step and the next checkpoint loses nothing.
    if (outcomes.length === PAGE) {
      await this.#ctx.step(nameOf(pages), () => outcomes);
      this.#saved = { ...this.#saved, pages: pages + 1, outcomes: [] };
    }
    this.#saved.outcomes.push(outcome);
    if (deferred) this.#saved.deferred.push(deferred);
    await this.#save();
  }

  /** Records the next state of a deferred recipient: an outcome, or another deferral. */
  async recordLate(index: number, next: Outcome | Deferred): Promise<void> {
    const others = this.#saved.deferred.filter((one) => one.index !== index);
    if (Array.isArray(next)) {
      this.outcomes[index] = next;
      this.#saved.late[index] = next;
      this.#saved.deferred = others;
    } else this.#saved.deferred = [...others, next];
    await this.#save();
  }

  async #save(): Promise<void> {
    await this.#ctx.checkpoint(this.#saved);
  }

  /** How many recipients have this outcome. */
  count(status: Outcome[0]): number {
    return this.outcomes.filter(([each]) => each === status).length;
  }

  /** All recipients and their current outcomes. */
  csv(recipients: Values[]): string {
    const rows = recipients.map(({ email }, i) => {
      let [outcome, words] = this.outcomes[i] ?? ["skipped", "had not been sent when the task was stopped"];
      const final = this.outcomes[i] && outcome !== "deferred";
      if (this.current === i && !final) [outcome, words] = ["unknown", "was on its way when the task was stopped"];
      // Untrusted text that may be opened in a spreadsheet.
      return {
        number: i + 1,
        email: withoutFormula(email),
        outcome: outcome === "deferred" ? "skipped" : outcome,
        words: withoutFormula(words),
      };
    });
    return stringify(rows, { columns: ["number", "email", "outcome", "words"] });
  }
}

function nameOf(page: number): string {
  return `outcomes ${page * PAGE + 1} to ${(page + 1) * PAGE}`;
}

function lost(page: number): Outcome[] {
  throw new Error(`The ${nameOf(page)} no longer exist.`);
}
