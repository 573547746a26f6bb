/**
 * Submitting: makes a task from what was sent, ties it to the uploads and the tasks that it names, and makes sure that
 * an idempotency key or a unique key makes one task only.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { DELIVERY_TYPE } from "../task/callback_url.ts";
import type { Clock } from "../task/clock.ts";
import { decode, encode, jsonSize } from "../store/codec.ts";
import type { Committer } from "../store/commit/committer.ts";
import { type AtomicLimits, AtomicSize } from "../store/commit/atomic_size.ts";
import { getAll } from "../store/kv.ts";
import { type AnyTaskDefinition, onlyChecks, parseParams, pointerTo, type Registry, uploadsOf } from "../define.ts";
import { assertParents, follow, resolveRefs } from "./dependencies.ts";
import { InvalidInputError } from "../task/errors.ts";
import { newId } from "../task/ids.ts";
import { keys } from "../store/keys.ts";
import type { Upload } from "../store/reads.ts";
import { claimIdempotencyKey, claimUniqueKey, type IdempotencyKey, type Unique } from "./deduplication.ts";
import type { Json, TaskRecord, TaskState } from "../task/record.ts";
import { placementAt } from "../task/transitions.ts";
import { type Changeset, emptyChangeset, merge, transition } from "../store/changeset.ts";

/** Bytes of `input_params`. */
export const MAX_PARAMS_BYTES = 32 * 1024;
/** Tasks in one batch. */
export const MAX_BATCH = 200;
/** Tasks that one task may depend on. */
export const MAX_DEPENDENCIES = 200;

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
  /** If it has not been started within this time, it is cancelled. Milliseconds from now. */
  expires_in_ms?: number;
  /** How long it is kept after its end, in milliseconds. Default: as its status says. */
  retention_ms?: number;
  /** Tasks of the type with the same key run one after another, or as many at once as the type says. */
  concurrency_key?: string;
  /** Answers the task that there is already instead of making another. Not in a batch. */
  unique?: Unique;
  /** Ids of tasks, or in a batch the `ref` of others in it, that must be SUCCESS before this one may start. */
  depends_on?: string[];
  /** Within a batch, what others call this task in their `depends_on`. */
  ref?: string;
  /** The schedule that submits it. */
  schedule_id?: string;
  /** An http or https URL that is told how it ended, by a task of the type `webhook_delivery`. */
  callback_url?: string;
  retried_from?: string;
  /** Who submits it; left out: a program that shares the process. */
  submitted_by?: string;
}

/** Who may start a task together with its submit. */
export interface Starter {
  startAtOnce(state: TaskState): TaskState;
  submitted(task: TaskRecord): void;
}

/** Makes tasks and commits them. */
export class Submitter {
  readonly #kv: Deno.Kv;
  readonly #committer: Committer;
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #limits: AtomicLimits;
  readonly #starter: Starter;

  constructor(
    kv: Deno.Kv,
    committer: Committer,
    registry: Registry,
    clock: Clock,
    limits: AtomicLimits,
    starter: Starter,
  ) {
    this.#kv = kv;
    this.#committer = committer;
    this.#registry = registry;
    this.#clock = clock;
    this.#limits = limits;
    this.#starter = starter;
  }

  /**
   * Submits a task. Once the promise resolves the task is durable.
   *
   * @param internal Whether the service itself submits.
   * @returns Its id, and its state if it is new (null: the idempotency key has made it before).
   * @throws {InvalidInputError} If something is wrong with it. Nothing is stored.
   * @throws {IdempotencyMismatchError} If the key has made a task from another submission.
   * @throws {OutcomeUnknownError} If the store did not answer in time.
   */
  async submit(
    submission: Submission,
    idempotency?: IdempotencyKey,
    internal = false,
  ): Promise<{ id: string; created: TaskState | null }> {
    const made = await this.#named(this.#make(submission, "", internal));
    await assertParents(this.#kv, made.task.depends_on, (i) => `/depends_on/${i}`);
    const state = this.#starter.startAtOnce(made);
    try {
      return await this.#commit(submission, idempotency, state);
    } finally {
      if (state.run) this.#starter.submitted(state.task);
    }
  }

  async #commit(
    submission: Submission,
    idempotency: IdempotencyKey | undefined,
    state: TaskState,
  ): Promise<{ id: string; created: TaskState | null }> {
    const body = idempotency ? idempotency.body ?? fingerprint(submission) : "";
    // Whoever loses a race (for the key, for an upload) looks again: each round, one of them wins.
    while (true) {
      const write = transition(null, state);
      if (idempotency) {
        const known = await claimIdempotencyKey(this.#kv, this.#clock, write, idempotency, body, [state.task.id]);
        if (known) return { id: known[0], created: null };
      }
      if (submission.unique) {
        const known = await claimUniqueKey(this.#kv, write, submission.unique, state.task);
        if (known) {
          // The key answers the same task when it comes again.
          const remember = emptyChangeset();
          if (idempotency) await claimIdempotencyKey(this.#kv, this.#clock, remember, idempotency, body, [known]);
          if (idempotency && !await this.#committer.commitUnlessConflict(remember)) continue;
          return { id: known, created: null };
        }
      }
      follow(write, state.task.depends_on);
      await this.#referToOlder(write, [state.task]);
      await this.referToUploads(write, [state.task], () => "");
      if (await this.#committer.commitUnlessConflict(write)) return { id: state.task.id, created: state };
    }
  }

  /**
   * What an idempotency key has made; null: nothing yet.
   *
   * @throws {IdempotencyMismatchError} If it was used for something else.
   */
  async madeBy(key: IdempotencyKey & { body: string }): Promise<string[] | null> {
    return await claimIdempotencyKey(this.#kv, this.#clock, emptyChangeset(), key, key.body, [""]);
  }

  /**
   * Submits up to {@linkcode MAX_BATCH} tasks in one atomic: all of them or none.
   *
   * @returns Their ids, and their states if they are new (null: the idempotency key has made them before).
   * @throws {InvalidInputError} With pointers below `/tasks`. Nothing is stored.
   */
  async submitBatch(
    submissions: Submission[],
    idempotency?: IdempotencyKey,
  ): Promise<{ ids: string[]; created: TaskState[] | null }> {
    if (submissions.length === 0 || submissions.length > MAX_BATCH) {
      throw new InvalidInputError([{ pointer: "/tasks", detail: `A batch has 1 to ${MAX_BATCH} tasks.` }]);
    }
    const made = submissions.map((submission, i) => this.#make(submission, `/tasks/${i}`));
    const states = await Promise.all(made.map((state) => this.#named(state)));
    const outside = resolveRefs(submissions, states);
    const parents = [...outside.keys()];
    if (parents.length > 0) {
      // Before anything is read for it: a batch may name more tasks than could ever be stored.
      const bare = emptyChangeset();
      for (const state of states) merge(bare, transition(null, state));
      this.#assertFits(bare);
    }
    await assertParents(this.#kv, parents, (i) => outside.get(parents[i])!);
    const ids = states.map(({ task }) => task.id);
    const body = idempotency ? idempotency.body ?? fingerprint(submissions) : "";
    const started = states.map((state) => this.#starter.startAtOnce(state));
    try {
      while (true) {
        const all = emptyChangeset();
        for (const state of started) merge(all, transition(null, state));
        follow(all, parents);
        await this.#referToOlder(all, states.map(({ task }) => task));
        if (idempotency) {
          const known = await claimIdempotencyKey(this.#kv, this.#clock, all, idempotency, body, ids);
          if (known) return { ids: known, created: null };
        }
        await this.referToUploads(all, states.map(({ task }) => task), (i) => `/tasks/${i}`);
        this.#assertFits(all);
        if (await this.#committer.commitUnlessConflict(all)) return { ids, created: started };
      }
    } finally {
      for (const { task, run } of started) if (run) this.#starter.submitted(task);
    }
  }

  /** @throws {InvalidInputError} If a batch is more than one atomic takes. */
  #assertFits(write: Changeset): void {
    const size = new AtomicSize(this.#limits);
    size.add(write);
    if (!size.excess) return;
    const [needed, limit, what] = size.excess.map((part) => part.toLocaleString("en"));
    const detail = `A batch is stored in one atomic of at most ${limit} ${what}; this one needs ${needed}. Split it.`;
    throw new InvalidInputError([{ pointer: "/tasks", detail }]);
  }

  /**
   * The write that makes a task, for whoever submits together with a change of his own.
   *
   * @returns Also the id of the task that there is already, by its unique key: then the write is not to be used.
   * @throws {InvalidInputError} As {@linkcode submit} does.
   */
  async prepare(submission: Submission): Promise<{ write: Changeset; state: TaskState; known: string | null }> {
    const state = await this.#named(this.#make(submission, ""));
    const write = transition(null, state);
    await this.#referToOlder(write, [state.task]);
    const known = submission.unique ? await claimUniqueKey(this.#kv, write, submission.unique, state.task) : null;
    await this.referToUploads(write, [state.task], () => "");
    return { write, state, known };
  }

  /** The task with a title that tells the names of its uploads. */
  async #named(state: TaskState): Promise<TaskState> {
    const { task } = state;
    if (task.uploads.length === 0) return state;
    const entries = await getAll(this.#kv, task.uploads.map((id) => keys.upload(id)));
    const names = entries.flatMap(({ value }) => value ? [decode<Upload>(value).name] : []);
    const definition = this.#registry.get(task.task_type)!;
    const title = titleOf(definition, parseParams(definition, task.input_params, "") as Json, names);
    return { run: state.run, task: { ...task, title } };
  }

  #make(submission: Submission, root: string, internal = false): TaskState {
    const definition = this.#registry.get(submission.task_type);
    if (!definition || definition.internal && !internal) {
      const known = this.#registry.public().map(({ type }) => type).join(", ");
      throw new InvalidInputError([
        { pointer: `${root}/task_type`, detail: `There is no such task type. There are: ${known}.` },
      ]);
    }
    const pointer = `${root}/input_params`;
    const given = submission.input_params ?? {};
    // What is kept as it was sent is parsed as it will be read.
    const sent = onlyChecks(definition) ? null : JSON.parse(JSON.stringify(given)) as Json;
    const params = parseParams(definition, sent ?? given, pointer) as Json;
    const kept = sent ?? params;
    const bytes = jsonSize(kept);
    if (bytes > MAX_PARAMS_BYTES) {
      const detail = `Parameters may take ${MAX_PARAMS_BYTES.toLocaleString("en")} bytes. Upload what is larger.`;
      throw new InvalidInputError([{ pointer, detail }]);
    }
    const now = this.#clock.now();
    const priority = submission.priority ?? 0;
    const runAt = submission.run_at !== undefined && submission.run_at > now ? submission.run_at : null;
    const expiresAt = submission.expires_in_ms === undefined ? null : now + submission.expires_in_ms;
    if (expiresAt !== null && runAt !== null && expiresAt <= runAt) {
      throw new InvalidInputError([{ pointer: `${root}/expires_in`, detail: "It would expire before it may start." }]);
    }
    if (submission.callback_url !== undefined && !this.#registry.get(DELIVERY_TYPE)) {
      const detail = `There is no task type ${DELIVERY_TYPE} here that could deliver it.`;
      throw new InvalidInputError([{ pointer: `${root}/callback_url`, detail }]);
    }
    const concurrency_key = submission.concurrency_key ?? null;
    const depends_on = [...submission.depends_on ?? []];
    if (new Set(depends_on).size < depends_on.length) {
      throw new InvalidInputError([{ pointer: `${root}/depends_on`, detail: "A task is named twice." }]);
    }
    if (depends_on.length > MAX_DEPENDENCIES) {
      const detail = `A task may depend on ${MAX_DEPENDENCIES} others.`;
      throw new InvalidInputError([{ pointer: `${root}/depends_on`, detail }]);
    }
    return {
      run: null,
      task: {
        id: newId(now),
        task_type: definition.type,
        title: titleOf(definition, params, []),
        status: "PENDING",
        placement: depends_on.length > 0
          ? { kind: "blocked", unmet: depends_on.length }
          : placementAt(runAt ?? now, { priority, concurrency_key }, now),
        progress: 0,
        message: "",
        input_params: kept,
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
        expires_at: expiresAt,
        created_at: now,
        started_at: null,
        completed_at: null,
        retention_ms: submission.retention_ms ?? null,
        concurrency_key,
        unique_key: submission.unique?.key ?? null,
        depends_on,
        has_dependents: false,
        generation: 0,
        schedule_id: submission.schedule_id ?? null,
        callback_url: submission.callback_url ?? null,
        retried_from: submission.retried_from ?? null,
        submitted_by: submission.submitted_by ?? null,
        params_bytes: bytes < 1_024 ? 0 : bytes,
        attempts: [],
        actions: [],
        uploads: uploadsOf(definition, params),
        record_only: false,
        version: 1,
      },
    };
  }

  /**
   * Adds to a write what lets older tasks know which ones were submitted in their place, as long as they are there. An
   * entry that comes to stand behind the deletion of its older task is the janitor's to find.
   */
  async #referToOlder(write: Changeset, tasks: TaskRecord[]): Promise<void> {
    const named = tasks.filter(({ retried_from }) => retried_from !== null);
    if (named.length === 0) return;
    const entries = await getAll(this.#kv, named.map(({ retried_from }) => keys.task(retried_from!)));
    named.forEach(({ id, retried_from }, i) => {
      if (entries[i].value) write.puts.push({ key: keys.retriedAs(retried_from!, id), value: encode(0) });
    });
  }

  /**
   * Adds to a write what keeps uploads for as long as their owner is there. However many they are, it takes one check:
   * whoever deletes an upload rewrites the fence, and checks that the upload is as it was read.
   *
   * @throws {InvalidInputError} If one of them is not there.
   */
  async referToUploads(
    write: Changeset,
    owners: { id: string; uploads: string[]; input_params: Json }[],
    rootOf: (i: number) => string,
  ): Promise<void> {
    if (owners.every(({ uploads }) => uploads.length === 0)) return;
    const fence = await this.#kv.get(keys.uploadFence());
    write.checks.push({ key: fence.key, versionstamp: fence.versionstamp });
    const wanted = [...new Set(owners.flatMap(({ uploads }) => uploads))];
    const entries = await getAll(this.#kv, wanted.map((upload) => keys.upload(upload)));
    const stored = new Map(wanted.map((upload, i) => [upload, entries[i]]));
    const seen = new Set<string>();
    for (const [i, { id, uploads, input_params }] of owners.entries()) {
      for (const upload of uploads) {
        write.puts.push({ key: keys.uploadRef(upload, id), value: encode(0) });
        if (seen.has(upload)) continue;
        seen.add(upload);
        const entry = stored.get(upload)!;
        const refuse = (detail: string) => {
          const pointer = `${rootOf(i)}/input_params${pointerTo(input_params, upload)}`;
          throw new InvalidInputError([{ pointer, detail }]);
        };
        if (!entry.value) refuse(`There is no upload ${upload}. Uploads without a task are kept for 24 hours.`);
        const used: Upload = { ...decode<Upload>(entry.value), used_at: this.#clock.now() };
        write.locks.push(`upload:${upload}`);
        write.puts.push({ key: keys.upload(upload), value: encode(used) });
      }
    }
  }
}

function titleOf(definition: AnyTaskDefinition, params: Json, files: string[]): string {
  return (definition.titleOf?.(params, files) || definition.title).slice(0, 200);
}

/** A hash of what was sent (SHA-256 of its JSON), to tell whether the same came again. */
export function fingerprint(submission: unknown): string {
  return createHash("sha256").update(encode(submission)).digest("hex");
}
