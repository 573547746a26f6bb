/**
 * One attempt of one task in this process: it gives the handler its context, commits what the handler reports, and
 * ends the attempt exactly once. The first event (the handler's return, a cancel, a timeout, the loss of the
 * instance) ends it; later ones are rejected.
 *
 * @module
 */

import { MAX_RESULT_BYTES } from "../task/limits.ts";
import type { Clock } from "../task/clock.ts";
import { Checkpoints } from "./checkpoints.ts";
import { jsonSize } from "../store/codec.ts";
import type { Core } from "../core.ts";
import type { AnyTaskDefinition } from "../define.ts";
import { parseParams } from "../params.ts";
import {
  AbortedError,
  ClosedError,
  FencedError,
  InvalidInputError,
  NonRetryableError,
  OutcomeUnknownError,
  QueueError,
  RetryLaterError,
} from "../task/errors.ts";
import { Artifacts, type FinalArtifact } from "./artifacts.ts";
import { HandlerContext, type OpenAttempt } from "./context.ts";
import { LogBuffer } from "./task_log.ts";
import { tracedAttempt } from "../tracing.ts";
import * as task from "../task/transitions.ts";
import type { Json, RunningState, RunRecord, TaskError, TaskState } from "../task/record.ts";
import { type Changeset, merge, transition } from "../store/changeset.ts";
import { MAX_MESSAGE } from "../store/task_codec.ts";

/** The minimum time between commits of progress and log. */
const FLUSH_MS = 250;
/** How long a handler may take to return after its signal was aborted; then it is abandoned. */
const ABANDON_MS = 5_000;

/** How a handler has ended. */
type Outcome = { result: Json } | { error: unknown };

/** One attempt. */
export class Execution implements OpenAttempt {
  readonly id: string;
  /** Resolves when the end of the attempt is committed. */
  done: Promise<void> = Promise.resolve();
  readonly #core: Core;
  readonly #holdsLease: () => boolean;
  readonly #definition: AnyTaskDefinition;
  /** These are made when a handler first uses them: most tasks are short and use few. */
  #controller: AbortController | null = null;
  #lines: LogBuffer | null = null;
  #checkpoints: Checkpoints | null = null;
  #artifacts: Artifacts | null = null;
  #state: TaskState;
  /** The last state before the end. */
  #running: TaskState;
  #lost = false;
  #progress = 0;
  #message = "";
  #dirty = false;
  /** When a task that was claimed ahead was started. */
  #startedAt: number | null = null;
  /** Whether anything besides its record was stored for the task. */
  #hasPieces = false;
  #cancelFlush: (() => void) | null = null;
  #cancelTimeout: (() => void) | null = null;
  /** Why the attempt must stop; null: it need not. */
  #reason: AbortedError | null = null;
  /** When the handler was started, by the monotonic clock; null: not yet, or it has returned. */
  #runningSince: number | null = null;
  /** The artifact that is written if the attempt does not succeed. */
  #atEnd: FinalArtifact | null = null;
  /** The commit that ends the attempt, once something has ended it. */
  #end: Promise<unknown> | null = null;
  #abandon: () => void = () => {};

  /** @param holdsLease Whether this instance certainly still holds its lease. */
  constructor(core: Core, holdsLease: () => boolean, definition: AnyTaskDefinition, state: RunningState) {
    this.id = state.task.id;
    this.#core = core;
    this.#holdsLease = holdsLease;
    this.#definition = definition;
    this.#state = state;
    this.#running = state;
  }

  /** The store that the handler's reads go to. */
  get kv(): Deno.Kv {
    return this.#core.kv;
  }

  /** The time of its schedule that the task is for. */
  get scheduledFor(): number | null {
    return this.#state.task.scheduled_for;
  }

  /** Whether the attempt and its steps are spans of a trace. */
  get isTraced(): boolean {
    return this.#core.tracing;
  }

  /** The clock that the handler waits by. */
  get clock(): Clock {
    return this.#core.clock;
  }

  /** Aborted when the attempt must stop. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#reason) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** The checkpoints and steps of the task. */
  get checkpoints(): Checkpoints {
    return this.#checkpoints ??= new Checkpoints(this.#core.kv, this.#core.blobs, this.#state.task, this.#definition);
  }

  /** The files of the task. */
  get artifacts(): Artifacts {
    return this.#artifacts ??= new Artifacts(this.#core.kv, this.#core.blobs, this.#core.clock, this.id);
  }

  get #log(): LogBuffer {
    return this.#lines ??= new LogBuffer(this.id, this.#state.run!.attempt);
  }

  /** The tasks that this one depends on. */
  get dependsOn(): readonly string[] {
    return this.#state.task.depends_on;
  }

  /** The newest state, as handed to the committer. */
  get state(): TaskState {
    return this.#state;
  }

  /**
   * Runs the handler and ends the attempt; resolves when the end is committed. Never rejects.
   *
   * @param onReturned Called when the handler has returned or is abandoned, with the milliseconds that it took: its
   * slot is free.
   */
  async run(onReturned: (ms: number) => void): Promise<void> {
    const { clock } = this.#core;
    const since = this.#runningSince = clock.monotonic();
    if (this.#state.run?.waiting) this.#startedAt = clock.now();
    const outcome = await this.#outcome();
    this.#runningSince = null;
    this.#cancelTimeout?.();
    onReturned(clock.monotonic() - since);
    try {
      await this.#finish(outcome);
    } catch (error) {
      // Fenced or closed: this instance may no longer write the attempt's end; recovery will.
      await this.#salvage(error).catch(() => {});
    }
  }

  /** How the handler ends; if it is abandoned, an error that says so. */
  #outcome(): Promise<Outcome> {
    return new Promise((resolve) => {
      this.#abandon = () => {
        const text = `The handler did not stop within ${ABANDON_MS / 1000} s of its signal and was abandoned.`;
        this.#core.log.warn(text, { task_id: this.id, task_type: this.#definition.type });
        if (!this.#end) this.#log.add(this.#core.clock.now(), "warn", text);
        resolve({ error: new Error(text) });
      };
      this.#handle().then((result) => resolve({ result }), (error) => resolve({ error }));
    });
  }

  /**
   * Limits the time of a handler that is still running, and stores that it was started if it was claimed ahead. Handlers
   * that return within one turn need neither.
   */
  watch(): void {
    if (this.#runningSince === null || this.#reason || this.#end) return;
    if (this.#state.run?.waiting) this.#commit(this.#advance({})).catch(() => {});
    const { clock } = this.#core;
    const left = this.#state.task.timeout_ms - (clock.monotonic() - this.#runningSince);
    this.#cancelTimeout = clock.after(left, () => this.#abort("timeout"));
  }

  /** Asks the handler to stop; one that does not is abandoned. Only the first reason counts. */
  #abort(code: AbortedError["code"]): void {
    if (this.#reason) return;
    this.#reason = new AbortedError(code);
    this.#controller?.abort(this.#reason);
    if (this.#runningSince === null) return;
    this.#cancelTimeout?.();
    this.#cancelTimeout = this.#core.clock.after(ABANDON_MS, this.#abandon);
  }

  /** The end could not be stored (its result is not JSON, its record is too large): fail the attempt instead. */
  async #salvage(error: unknown): Promise<void> {
    if (error instanceof FencedError || error instanceof ClosedError || error instanceof OutcomeUnknownError) return;
    if (!this.#running.run || this.#lost) return;
    this.#end = null;
    this.#state = this.#running;
    const message = `The outcome of the attempt could not be stored: ${toTaskError(error).message}`.slice(
      0,
      MAX_MESSAGE,
    );
    await this.#endWith((state) => task.fail(state, { code: "unstorable", message }, this.#core.clock.now()));
  }

  async #handle(): Promise<Json> {
    const { task, run } = this.#state;
    let resume: unknown;
    if (task.attempt > 0) {
      const { state, refused } = await this.checkpoints.load();
      resume = state;
      if (refused !== null) this.#log.add(this.#core.clock.now(), "warn", refused);
    }
    const params = this.#parse(task.input_params);
    this.assertOpen();
    const start = () => this.#definition.run(new HandlerContext(this, params, run!.attempt, resume));
    return await (this.isTraced ? tracedAttempt(task, run!.attempt, start) : start()) ?? null;
  }

  /** @throws {NonRetryableError} If the parameters, valid when submitted, are no longer valid. */
  #parse(sent: Json): unknown {
    try {
      return parseParams(this.#definition, sent, "");
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      const what = "The definition of the task type has changed since the task was submitted";
      throw new NonRetryableError(`${what}; its parameters are no longer valid: ${error.message}`, { cause: error });
    }
  }

  async #finish(outcome: Outcome): Promise<void> {
    if (this.#end) return void await this.#end;
    const now = this.#core.clock.now();
    const reason = this.#reason?.code;
    if (reason === "timeout") {
      const seconds = this.#state.task.timeout_ms / 1000;
      await this.#fail({ code: "timeout", message: `The attempt ran longer than ${seconds} s.` }, true);
    } else if ("result" in outcome) {
      const size = jsonSize(outcome.result);
      if (size > MAX_RESULT_BYTES) {
        const message = `The result is ${size} bytes, over the limit of ${MAX_RESULT_BYTES}. Store it as an artifact.`;
        await this.#fail({ code: "result_too_large", message }, false);
      } else await this.#endWith((state) => task.succeed(state, outcome.result, now));
    } else if (reason === "shutdown" || reason === "lost") {
      await this.#endWith((state) => task.interrupt(state, now));
    } else {
      const { error } = outcome;
      const least = error instanceof RetryLaterError ? error.waitMs : 0;
      await this.#fail(toTaskError(error), !(error instanceof NonRetryableError), least);
    }
  }

  async #fail(error: TaskError, retryable: boolean, leastWait = 0): Promise<void> {
    const now = this.#core.clock.now();
    const { failures, max_attempts } = this.#state.task;
    if (!retryable || failures + 1 >= max_attempts) {
      await this.#endWith((state) => task.fail(state, error, now));
      return;
    }
    const { base, factor, cap } = this.#definition.backoff;
    const backoff = Math.random() * Math.min(cap, base * factor ** failures);
    // Added, so that not all who were asked to wait come back at the same moment.
    const wait = leastWait > 0 ? leastWait + Math.min(backoff, leastWait) : backoff;
    await this.#endWith((state) => task.retryLater(state, error, now, Math.ceil(now + wait)));
  }

  /** Cancels the attempt: the handler's signal fires at once, and the promise resolves with the committed state. */
  async cancel(by: string | null): Promise<TaskState> {
    if (this.#lost) throw new FencedError();
    if (this.#end) {
      await this.#end;
      return this.#state;
    }
    const now = this.#core.clock.now();
    const end = this.#endWith((state) => task.cancel(state, now, by));
    this.#abort("cancelled");
    await end;
    return this.#state;
  }

  /** Whether something has ended the attempt. */
  get ended(): boolean {
    return this.#end !== null;
  }

  /** Gives the task back before its handler was started: this was no attempt. */
  async giveBack(): Promise<void> {
    if (this.#end) return;
    await this.#endWith(task.giveBack);
  }

  /** Asks the handler to stop, so that the task can go on elsewhere or later. */
  interrupt(): void {
    this.#abort("shutdown");
  }

  /** The instance lost its lease: nothing of this attempt may be written any more. */
  loseLease(): void {
    this.#lost ||= this.#end === null;
    this.#end ??= Promise.resolve();
    this.#cancelFlush?.();
    this.#abort("lost");
  }

  #endWith(next: (state: TaskState) => TaskState): Promise<unknown> {
    this.#cancelFlush?.();
    // The part of the log that fits is committed with the end; the rest is committed first.
    while (this.#lines?.large) this.#commit(this.#advance({})).catch(() => {});
    const before = this.#state;
    if (!before.run) return Promise.resolve();
    this.#running = before;
    const last: RunRecord = { ...this.#started(before.run), progress: this.#progress, message: this.#message };
    let after = next({ task: before.task, run: last });
    // A task with nothing but its record is deleted without looking for more.
    const bare = last.attempt === 1 && before.task.generation === 0 && !this.#hasPieces && !this.#lines?.dirty;
    if (bare && after.task.status === "SUCCESS") after = { ...after, task: { ...after.task, record_only: true } };
    const changeset = transition(before, after);
    this.#lines?.drainInto(changeset);
    if (after.task.status === "SUCCESS") this.#checkpoints?.remove(changeset);
    this.#state = after;
    const file = after.task.status === "SUCCESS" ? null : this.#atEnd;
    this.#end = file ? this.#commitWithFinal(file, changeset) : this.#commit(changeset);
    return this.#end;
  }

  /** Commits the end with its final artifact, or without it if it cannot be stored: the end matters more. */
  async #commitWithFinal({ name, content, mediaType }: FinalArtifact, changeset: Changeset): Promise<unknown> {
    try {
      const written = await this.artifacts.write(content());
      await this.artifacts.put(name, written, mediaType, (changes) => {
        merge(changeset, changes);
        return Promise.resolve();
      });
    } catch (error) {
      this.#core.log.error("The final artifact of an attempt was not stored.", { task_id: this.id, name, error });
    }
    return await this.#commit(changeset);
  }

  #commit(changeset: Changeset): Promise<string> {
    // This instance no longer owns tasks that it claimed under an earlier id.
    if (this.#running.run?.instance !== this.#core.committer.instance) return Promise.reject(new FencedError());
    return this.#core.committer.commit(changeset, { asTaskOwner: true });
  }

  /** A run record as it is once the handler was started. */
  #started(run: RunRecord): RunRecord {
    if (!run.waiting || this.#startedAt === null) return run;
    const { waiting: _, ...started } = run;
    return { ...started, started_at: this.#startedAt };
  }

  /** The changeset that updates the run record with what the handler has reported. */
  #advance(change: Partial<RunRecord>): Changeset {
    const before = this.#state;
    const { progress, message } = before.run!;
    const moved = progress !== this.#progress || message !== this.#message;
    const run: RunRecord = {
      ...this.#started(before.run!),
      progress: this.#progress,
      progress_at: moved ? this.#core.clock.now() : before.run!.progress_at,
      message: this.#message,
      ...change,
      version: before.run!.version + 1,
    };
    this.#state = { task: before.task, run };
    this.#dirty = false;
    if (this.#lines?.dirty) this.#hasPieces = true;
    const changeset = transition(before, this.#state);
    this.#lines?.drainInto(changeset);
    return changeset;
  }

  /** Commits something that the next attempt can build on. */
  async save(fill: (changeset: Changeset) => void): Promise<void> {
    this.assertOpen();
    this.#hasPieces = true;
    const changeset = this.#advance({ checkpointed: true });
    fill(changeset);
    await this.#commit(changeset);
    this.assertOpen();
  }

  /** Commits changes together with the progress so far; false if the attempt has ended. */
  async commitWithProgress(changes: Changeset): Promise<boolean> {
    if (this.#end) return false;
    this.assertOpen();
    this.#hasPieces = true;
    const changeset = this.#advance({});
    merge(changeset, changes);
    await this.#commit(changeset);
    return true;
  }

  /** Adds a line to the task's log; after the end it is dropped. */
  log(level: string, text: string): void {
    if (this.#end) return;
    this.#log.add(this.#core.clock.now(), level, text);
    this.#touch();
  }

  /**
   * Reports progress.
   *
   * @throws {RangeError} If `percent` is not a number.
   */
  report(percent: number, message?: string): void {
    if (!Number.isFinite(percent)) throw new RangeError("Progress must be a number from 0 to 100.");
    this.#progress = Math.max(this.#progress, Math.min(100, Math.max(0, Math.round(percent * 10) / 10)));
    if (message !== undefined) this.#message = message.slice(0, 200);
    this.#dirty = true;
    this.#touch();
  }

  /** Names an artifact that is written with the end of the attempt. */
  setFinalArtifact(artifact: FinalArtifact): void {
    this.#atEnd = artifact;
  }

  #touch(): void {
    if (this.#end || this.#cancelFlush) return;
    this.#cancelFlush = this.#core.clock.after(FLUSH_MS, () => {
      this.#cancelFlush = null;
      if (this.#end || !(this.#dirty || this.#lines?.dirty)) return;
      this.#commit(this.#advance({})).catch(() => {});
      if (this.#lines?.dirty) this.#touch();
    });
  }

  /**
   * Every call of the handler passes through here. An instance that slept past its lease may have been recovered
   * without knowing it yet: then the handler must not go on to its next side effect.
   *
   * @throws {AbortedError} If the attempt may not go on.
   */
  assertOpen(): void {
    if (this.#end) throw this.#reason ?? new AbortedError("lost");
    if (this.#holdsLease()) return;
    this.#abort("lost");
    throw this.#reason;
  }
}

function toTaskError(thrown: unknown): TaskError {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  return {
    code: error instanceof QueueError ? error.code : "error",
    message: (error.message || error.name).slice(0, MAX_MESSAGE),
    stack: error.stack?.slice(0, 2_000),
  };
}
