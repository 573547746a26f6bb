/**
 * The inbox: code that shares the KV handle submits a task in a transaction of its own, by a message of KV's queue. KV
 * delivers a message at least once; each has an id that makes one task. What cannot become a task is kept, with the
 * reason, until someone retries or discards it.
 *
 * @module
 */

import { ulid } from "ulid";
import type { Core } from "../core.ts";
import { emptyChangeset, merge } from "../store/changeset.ts";
import { decode, encode } from "../store/codec.ts";
import { keys } from "../store/keys.ts";
import { backoff } from "../store/kv.ts";
import { delay, systemClock } from "../task/clock.ts";
import { ClosedError, InvalidInputError, NotFoundError, QueueError, TooLargeError } from "../task/errors.ts";
import { assertDepth } from "../task/json/depth.ts";
import { isId } from "../task/ids.ts";
import { assertParents } from "./dependencies.ts";
import type { Submission } from "./new_task.ts";
import { parseSubmission, type SubmissionBody, toSubmission } from "./submission.ts";
import type { Submitter } from "./submit.ts";

/** Most bytes of a submission in a message: with the reason why it was refused it still fits into one value. */
const MAX_SUBMISSION_BYTES = 60_000;
/** A reason lists so many issues of a submission. */
const MAX_ISSUES = 10;
/** Characters of a text that is kept of something else. */
const KEPT_CHARS = 1_000;
/** How long it is remembered that a message was dealt with: as long as KV may delay it. Milliseconds. */
const REMEMBERED_MS = 30 * 86_400_000;
/** Messages that are dealt with at once. */
const MAX_AT_ONCE = 500;
/** A message that could not be dealt with so many times, over half a minute, is kept. */
const MAX_FAILURES = 40;
/** Errors that say nothing about the message: it is tried again. */
const PASSING = ["conflict", "fenced", "outcome_unknown", "busy"];

/** What KV's queue carries. */
interface Message {
  millrace: "submission";
  /** A ULID: makes one task, however often the message comes. */
  id: string;
  /** When it was made: what `delay` and `expires_in` count from. Milliseconds since the epoch. */
  at: number;
  submission: unknown;
}

/** Why a message did not become a task. */
export interface Refusal {
  /** Stable, machine-readable. */
  code: string;
  /** What is wrong. */
  detail: string;
  /** What is wrong with each field, by JSON pointer into the submission; at most 10. */
  errors: { pointer: string; detail: string }[];
}

/** A message that did not become a task. */
export interface UndeliveredMessage {
  /** The id of the message. */
  id: string;
  /** When it was made. Milliseconds since the epoch. */
  at: number;
  /** What it submits; null: it was no submission. */
  submission: unknown;
  /** Why it was refused. */
  refusal: Refusal;
}

type Stored = Message & { refusal?: Refusal };

const UNPROCESSED: Refusal = {
  code: "not_processed",
  detail: "The message could not be processed. The log says why.",
  errors: [],
};
const GIVEN_UP: Refusal = {
  code: "not_delivered",
  detail: "KV could not deliver the message: the process ended each time before it was dealt with.",
  errors: [],
};

/**
 * The arguments for `enqueue` that submit a task, with all that `POST /api/tasks/submit` takes. The task exists if and
 * only if the transaction is committed, and exactly once; two messages from one call make one task. KV delivers a
 * message within a tenth of a second. It must be sent by the KV handle that the queue uses; over KV Connect, KV has no
 * messages.
 *
 * @throws {InvalidInputError} If the submission is malformed. The type and its parameters are checked on delivery: what
 * is wrong then is kept in {@linkcode Inbox.list}.
 * @throws {TooLargeError} If it has more than 60,000 bytes of JSON.
 *
 * @example
 * ```ts
 * import { taskMessage } from "./inbox.ts";
 *
 * const kv = await Deno.openKv(":memory:");
 * await kv.atomic()
 *   .set(["order", 17], { paid: true })
 *   .enqueue(...taskMessage({ task_type: "webhook_delivery", input_params: { url: "https://shop.example/paid" } }))
 *   .commit();
 * kv.close();
 * ```
 */
export function taskMessage(
  submission: SubmissionBody,
): [message: Uint8Array, options: { keysIfUndelivered: Deno.KvKey[]; backoffSchedule: number[] }] {
  assertDepth(submission, "");
  parseSubmission(submission);
  if (encode(submission).length > MAX_SUBMISSION_BYTES) {
    throw new TooLargeError("A message", MAX_SUBMISSION_BYTES);
  }
  const at = systemClock.now();
  const message: Message = { millrace: "submission", id: ulid(at), at, submission };
  return [
    encode(message).slice(),
    { keysIfUndelivered: [keys.undelivered(message.id)], backoffSchedule: [100, 1_000, 10_000, 60_000, 600_000] },
  ];
}

/** Turns messages into tasks, and keeps those that cannot become one. */
export class Inbox {
  #atWork = 0;
  readonly #waiting: (() => void)[] = [];

  /** @ignore */
  constructor(private readonly core: Core, private readonly submitter: Submitter) {}

  /**
   * Deals with a message: once it resolves, there is a task, or the message is kept.
   *
   * @throws {ClosedError} If the queue is stopped. Nothing has happened.
   */
  async receive(value: unknown): Promise<void> {
    const message = read(value) ?? foreign(value, this.core.clock.now());
    if (this.#atWork >= MAX_AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#atWork++;
    try {
      await this.#receive(message);
    } finally {
      this.#atWork--;
      this.#waiting.shift()?.();
    }
  }

  async #receive(message: Stored): Promise<void> {
    const { clock, log } = this.core;
    for (let failures = 1;; failures++) {
      try {
        return await (message.refusal ? this.#keep(message, message.refusal) : this.#accept(message));
      } catch (error) {
        if (this.core.committer.closing) throw new ClosedError();
        if (failures === MAX_FAILURES) return await this.#keep(message, UNPROCESSED);
        log.warn("A message could not be dealt with; will retry.", { error, message: message.id });
        await delay(clock, backoff(failures + 5));
      }
    }
  }

  async #accept(message: Message): Promise<void> {
    try {
      await this.#submit(message, null);
    } catch (error) {
      const refusal = refusalOf(error);
      if (!refusal) throw error;
      this.core.log.error("A message did not become a task; it is kept.", { error, message: message.id });
      await this.#keep(message, refusal);
    }
  }

  /**
   * Makes the task of a message, unless it was dealt with before.
   *
   * @param kept The entry of a message that was kept, to be removed with it.
   * @returns The id of its task; "": the message was refused before.
   */
  async #submit({ id, at, submission }: Message, kept: Deno.KvEntryMaybe<unknown> | null): Promise<string> {
    const { kv, clock, committer } = this.core;
    while (true) {
      const known = await kv.get(keys.inbox(id));
      const made = known.value ? decode<string>(known.value) : null;
      const changeset = emptyChangeset(`inbox:${id}`);
      let task = made ?? "";
      if (made === null || kept && made === "") {
        const prepared = await this.submitter.prepare(submissionOf(submission, at, clock.now()));
        task = prepared.duplicate ?? prepared.state.task.id;
        if (prepared.duplicate === null) {
          await assertParents(kv, prepared.state.task.depends_on, (i) => `/depends_on/${i}`);
          merge(changeset, prepared.changeset);
        }
        changeset.checks.push({ key: known.key, versionstamp: known.versionstamp });
        changeset.puts.push({ key: known.key, value: encode(task), expireIn: REMEMBERED_MS });
      } else if (!kept) return task;
      if (kept) {
        changeset.checks.push({ key: kept.key, versionstamp: kept.versionstamp });
        changeset.deletes.push(kept.key);
      }
      if (await committer.commitUnlessConflict(changeset)) return task;
      // Someone else has dealt with what was kept.
      if (kept && (await kv.get(kept.key)).versionstamp !== kept.versionstamp) throw new NotFoundError(`Message ${id}`);
    }
  }

  async #keep(message: Message, refusal: Refusal): Promise<void> {
    const { kv, committer } = this.core;
    const { id } = message;
    while (true) {
      const known = await kv.get(keys.inbox(id));
      if (known.value) return;
      const changeset = emptyChangeset(`inbox:${id}`);
      changeset.checks.push({ key: known.key, versionstamp: null });
      changeset.puts.push(
        { key: known.key, value: encode(""), expireIn: REMEMBERED_MS },
        { key: keys.undelivered(id), value: encode({ ...message, refusal } satisfies Stored) },
      );
      if (await committer.commitUnlessConflict(changeset)) return;
    }
  }

  /** The messages that did not become tasks, oldest first, and where the next page begins (null: there is none). */
  async list(limit: number, after?: string): Promise<{ messages: UndeliveredMessage[]; next: string | null }> {
    const messages: UndeliveredMessage[] = [];
    const prefix = keys.allUndelivered();
    const start = after === undefined ? undefined : [...keys.undelivered(after), 0];
    const selector: Deno.KvListSelector = start ? { prefix, start } : { prefix };
    for await (const { value } of this.core.kv.list(selector, { limit: limit + 1 })) {
      const { id, at, submission, refusal = GIVEN_UP } = decode<Stored>(value);
      messages.push({ id, at, submission, refusal });
    }
    const more = messages.length > limit;
    if (more) messages.pop();
    return { messages, next: more ? messages[limit - 1].id : null };
  }

  /** How many messages did not become tasks, counted up to `most`. */
  async count(most: number): Promise<number> {
    let count = 0;
    const options = { limit: most, batchSize: Math.min(most, 500) };
    for await (const _ of this.core.kv.list({ prefix: keys.allUndelivered() }, options)) count++;
    return count;
  }

  /**
   * Submits a message that was kept, again: after its cause was mended.
   *
   * @returns The id of its task: a new one, or the one that it had made before or that has its unique key.
   * @throws {NotFoundError} If it is not kept.
   * @throws {InvalidInputError} If it is still refused; it is kept on.
   */
  async retry(id: string): Promise<string> {
    const entry = await this.#read(id);
    const message = decode<Stored>(entry.value);
    if (message.refusal?.code === FOREIGN) {
      throw new InvalidInputError([{ pointer: "", detail: message.refusal.detail }]);
    }
    return await this.#submit(message, entry);
  }

  /**
   * Removes a message that was kept.
   *
   * @throws {NotFoundError} If it is not kept.
   */
  async discard(id: string): Promise<void> {
    const entry = await this.#read(id);
    const changeset = { ...emptyChangeset(`inbox:${id}`), deletes: [entry.key] };
    changeset.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
    if (!await this.core.committer.commitUnlessConflict(changeset)) throw new NotFoundError(`Message ${id}`);
  }

  async #read(id: string): Promise<Deno.KvEntry<unknown>> {
    const entry = isId(id) ? await this.core.kv.get(keys.undelivered(id)) : null;
    if (!entry?.value) throw new NotFoundError(`Message ${id.slice(0, 64)}`);
    return entry as Deno.KvEntry<unknown>;
  }
}

/** A message that {@linkcode taskMessage} has made; null: it is something else. */
function read(value: unknown): Message | null {
  if (!(value instanceof Uint8Array)) return null;
  try {
    const message = decode<Partial<Message> | null>(value);
    const isOne = message?.millrace === "submission" && typeof message.id === "string" && isId(message.id);
    return isOne && typeof message.at === "number" ? message as Message : null;
  } catch {
    return null;
  }
}

const FOREIGN = "foreign_message";

/** What is kept of a message that this queue did not make. */
function foreign(value: unknown, now: number): Stored {
  const text = Deno.inspect(value, { strAbbreviateSize: KEPT_CHARS });
  const detail = `This is not a message of Millrace: ${text.slice(0, KEPT_CHARS)}${
    text.length > KEPT_CHARS ? "…" : ""
  }`;
  const refusal = { code: FOREIGN, detail, errors: [] };
  return { millrace: "submission", id: ulid(now), at: now, submission: null, refusal };
}

/** The reason why a message is refused; null: the error says nothing about it. */
function refusalOf(error: unknown): Refusal | null {
  if (!(error instanceof QueueError) || error instanceof ClosedError || PASSING.includes(error.code)) return null;
  const issues = error instanceof InvalidInputError ? error.issues : [];
  const detail = issues.length > 0 ? "The submission is invalid; see errors." : error.message;
  const cut = (text: string) => text.slice(0, KEPT_CHARS);
  const errors = issues.slice(0, MAX_ISSUES).map(({ pointer, detail }) => ({
    pointer: cut(pointer),
    detail: cut(detail),
  }));
  return { code: error.code, detail: cut(detail), errors };
}

/** What a message submits, as the queue expects it, by the time at which it was made. */
function submissionOf(body: unknown, at: number, now: number): Submission {
  assertDepth(body, "");
  const submission = toSubmission(parseSubmission(body), at);
  if (submission.expires_in_ms !== undefined) {
    submission.expires_in_ms = Math.max(1, submission.expires_in_ms - (now - at));
  }
  return submission;
}
