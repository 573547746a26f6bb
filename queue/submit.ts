/**
 * Submitting: makes a task from what was sent, keeps the uploads that it names, and makes sure that an idempotency
 * key makes one task only.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { Clock } from "./clock.ts";
import { decode, encode, jsonSize } from "./codec.ts";
import type { AtomicLimits, Committer } from "./commit.ts";
import { parseParams, type Registry, uploadsOf } from "./define.ts";
import { IdempotencyMismatchError, InvalidInputError } from "./errors.ts";
import { newId } from "./ids.ts";
import { keys } from "./keys.ts";
import type { StoredFile } from "./reads.ts";
import { type Json, placementAt, type TaskState } from "./task.ts";
import { emptyWrite, transition, type Write } from "./write.ts";

/** Bytes of `input_params`. */
export const MAX_PARAMS_BYTES = 32 * 1024;
/** Tasks in one batch. */
export const MAX_BATCH = 200;
/** How long an idempotency key is remembered: 24 hours. */
const IDEMPOTENCY_MS = 24 * 3_600_000;
/** What is submitted. */
export interface Submission {
  task_type: string;
  input_params?: unknown;
  /** 0 (default) to 9; each step is worth a minute of waiting. */
  priority?: number;
  /** When it may start, milliseconds since the epoch; the past means now. */
  run_at?: number;
  max_attempts?: number;
  timeout_ms?: number;
  tags?: string[];
  retried_from?: string;
}

/** An Idempotency-Key: within its scope (whoever sent it), the same key makes one task. */
export interface IdempotencyKey {
  scope: string;
  key: string;
  /** What was sent, to be compared when the key comes again. Default: a hash of the submission. */
  body?: string;
}

interface IdempotencyRecord {
  id: string;
  body: string;
  expires_at: number;
}

/** An uploaded file. */
export type Upload = StoredFile & { used_at: number };

/** Makes tasks and commits them. */
export class Submitter {
  readonly #kv: Deno.Kv;
  readonly #committer: Committer;
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #limits: AtomicLimits;

  constructor(kv: Deno.Kv, committer: Committer, registry: Registry, clock: Clock, limits: AtomicLimits) {
    this.#kv = kv;
    this.#committer = committer;
    this.#registry = registry;
    this.#clock = clock;
    this.#limits = limits;
  }

  /**
   * Submits a task. Once the promise resolves the task is durable.
   *
   * @returns Its id, and its state if it is new (null: the idempotency key has made it before).
   * @throws {InvalidInputError} If something is wrong with it. Nothing is stored.
   * @throws {IdempotencyMismatchError} If the key has made a task from another submission.
   * @throws {OutcomeUnknownError} If the store did not answer in time.
   */
  async submit(
    submission: Submission,
    idempotency?: IdempotencyKey,
  ): Promise<{ id: string; created: TaskState | null }> {
    const state = this.#make(submission, "");
    const body = idempotency ? idempotency.body ?? fingerprint(submission) : "";
    // Whoever loses a race (for the key, for an upload) looks again: each round, one of them wins.
    while (true) {
      const write = transition(null, state);
      if (idempotency) {
        const known = await this.#claimKey(write, idempotency, body, state.task.id);
        if (known) return { id: known, created: null };
      }
      await this.#referToUploads(write, [state], () => "");
      if (await this.#committer.commitUnlessConflict(write)) return { id: state.task.id, created: state };
    }
  }

  /** Adds the idempotency key to a write, or gives the id of the task that it has made before. */
  async #claimKey(write: Write, { scope, key }: IdempotencyKey, body: string, id: string): Promise<string | null> {
    const entry = await this.#kv.get(keys.idempotency(scope, key));
    const known = entry.value ? decode<IdempotencyRecord>(entry.value) : null;
    // KV collects expired keys late: what they say is void from their own time on.
    if (known && known.expires_at > this.#clock.now()) {
      if (known.body !== body) throw new IdempotencyMismatchError();
      // A key does not outlive its task: retention may be shorter than a day.
      if ((await this.#kv.get(keys.task(known.id))).value) return known.id;
    }
    const record: IdempotencyRecord = { id, body, expires_at: this.#clock.now() + IDEMPOTENCY_MS };
    write.locks.push(`idempotency:${scope}:${key}`);
    write.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
    write.puts.push({ key: entry.key, value: encode(record), expireIn: IDEMPOTENCY_MS });
    return null;
  }

  /**
   * Submits up to {@linkcode MAX_BATCH} tasks in one atomic: all of them or none.
   *
   * @throws {InvalidInputError} With pointers below `/tasks`. Nothing is stored.
   */
  async submitBatch(submissions: Submission[]): Promise<TaskState[]> {
    if (submissions.length === 0 || submissions.length > MAX_BATCH) {
      throw new InvalidInputError([{ pointer: "/tasks", detail: `A batch has 1 to ${MAX_BATCH} tasks.` }]);
    }
    const states = submissions.map((submission, i) => this.#make(submission, `/tasks/${i}`));
    while (true) {
      const all = emptyWrite();
      for (const state of states) {
        const write = transition(null, state);
        all.locks.push(...write.locks);
        all.puts.push(...write.puts);
        all.counts.push(...write.counts);
        all.changes.push(...write.changes);
      }
      await this.#referToUploads(all, states, (i) => `/tasks/${i}`);
      if (await this.#committer.commitUnlessConflict(all)) return states;
    }
  }

  #make(submission: Submission, root: string): TaskState {
    const definition = this.#registry.get(submission.task_type);
    if (!definition) {
      const known = this.#registry.all().map(({ type }) => type).join(", ");
      throw new InvalidInputError([
        { pointer: `${root}/task_type`, detail: `There is no such task type. There are: ${known}.` },
      ]);
    }
    const pointer = `${root}/input_params`;
    const params = parseParams(definition, submission.input_params ?? {}, pointer) as Json;
    if (jsonSize(params) > MAX_PARAMS_BYTES) {
      const detail = `Parameters may take ${MAX_PARAMS_BYTES.toLocaleString("en")} bytes. Upload what is larger.`;
      throw new InvalidInputError([{ pointer, detail }]);
    }
    const now = this.#clock.now();
    const priority = submission.priority ?? 0;
    const runAt = submission.run_at !== undefined && submission.run_at > now ? submission.run_at : null;
    return {
      run: null,
      task: {
        id: newId(now),
        task_type: definition.type,
        title: (definition.titleOf?.(params) ?? definition.title).slice(0, 200),
        status: "PENDING",
        placement: placementAt(runAt ?? now, priority, now),
        progress: 0,
        message: "",
        input_params: params,
        result: null,
        error: null,
        attempt: 0,
        failures: 0,
        interruptions: 0,
        max_attempts: submission.max_attempts ?? definition.maxAttempts ?? 3,
        timeout_ms: submission.timeout_ms ?? definition.timeoutMs ?? 600_000,
        priority,
        tags: submission.tags ?? [],
        run_at: runAt,
        created_at: now,
        started_at: null,
        completed_at: null,
        retried_from: submission.retried_from ?? null,
        attempts: [],
        uploads: uploadsOf(definition, params),
        version: 1,
      },
    };
  }

  /** Adds to a write what keeps the uploads that its tasks name. */
  async #referToUploads(write: Write, states: TaskState[], rootOf: (i: number) => string): Promise<void> {
    const seen = new Set<string>();
    for (const [i, { task: { id, uploads } }] of states.entries()) {
      for (const upload of uploads) {
        write.puts.push({ key: keys.uploadRef(upload, id), value: encode(0) });
        if (seen.has(upload)) continue;
        seen.add(upload);
        const entry = await this.#kv.get(keys.upload(upload));
        const refuse = (detail: string) => {
          throw new InvalidInputError([{ pointer: `${rootOf(i)}/input_params`, detail }]);
        };
        if (!entry.value) refuse(`There is no upload ${upload}. Uploads without a task are kept for 24 hours.`);
        if (seen.size >= this.#limits.checks - 1) refuse("These are more uploads than one request can name.");
        const used: Upload = { ...decode<Upload>(entry.value), used_at: this.#clock.now() };
        write.locks.push(`upload:${upload}`);
        // Rewriting the upload makes a janitor that is about to delete it fail its check.
        write.puts.push({ key: keys.upload(upload), value: encode(used) });
        write.checks.push({ key: keys.upload(upload), versionstamp: entry.versionstamp });
      }
    }
  }
}

/** A hash of what was sent (SHA-256 of its JSON), to tell whether the same came again. */
export function fingerprint(submission: unknown): string {
  return createHash("sha256").update(encode(submission)).digest("hex");
}
