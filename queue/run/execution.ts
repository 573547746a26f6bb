/**
 * One attempt of one task in this process: it gives the handler its context, commits what the handler reports, and
 * ends the attempt in exactly one way. Whatever comes first (the handler's return, a cancel, a timeout, the loss of
 * the instance) ends it; whatever comes later is refused.
 *
 * @module
 */

import { type Clock, delay } from "../task/clock.ts";
import type { Blobs, WrittenBlob } from "../store/blobs.ts";
import { Checkpoints } from "./checkpoints.ts";
import { decode, encode, jsonSize } from "../store/codec.ts";
import type { Committer } from "../store/commit/committer.ts";
import { type AnyTaskDefinition, type OpenedFile, parseParams, type TaskContext } from "../define.ts";
import {
  AbortedError,
  ClosedError,
  FencedError,
  InvalidInputError,
  NonRetryableError,
  NotFoundError,
  OutcomeUnknownError,
  QueueError,
} from "../task/errors.ts";
import { keys } from "../store/keys.ts";
import type { Logger } from "../log.ts";
import { readTask, type StoredFile } from "../store/reads.ts";
import { LogBuffer } from "./task_log.ts";
import * as task from "../task/transitions.ts";
import type { Json, RunRecord, TaskError, TaskState } from "../task/record.ts";
import { type Changeset, emptyChangeset, MAX_MESSAGE, merge, transition } from "../store/changeset.ts";

/** Progress and log are committed at most once in this time. */
const FLUSH_MS = 250;
/** How long a handler may take to return after its signal was aborted; then it is abandoned. */
export const ABANDON_MS = 5_000;
/** Bytes of a result. */
export const MAX_RESULT_BYTES = 32 * 1024;
/** Bytes of an artifact: 4 GiB. */
const MAX_ARTIFACT_BYTES = 4 * 1024 ** 3;

/** What an execution works with. */
export interface ExecutionTools {
  kv: Deno.Kv;
  clock: Clock;
  log: Logger;
  committer: Committer;
  blobs: Blobs;
  /** Whether it is certain that nobody has taken over what this instance holds. */
  holdsLease(): boolean;
}

/** An artifact that is written with the end of an attempt. */
interface LastArtifact {
  name: string;
  content: () => string;
  mediaType: string;
}

type RunningState = TaskState & { run: RunRecord };

/** One attempt. */
export class Execution {
  readonly id: string;
  readonly #tools: ExecutionTools;
  readonly #definition: AnyTaskDefinition;
  readonly #controller = new AbortController();
  readonly #log: LogBuffer;
  readonly #checkpoints: Checkpoints;
  /** By name, the last thing that is being done with the artifact. */
  readonly #turns = new Map<string, Promise<void>>();
  #state: TaskState;
  /** The last state before the end. */
  #running: TaskState;
  #lost = false;
  #progress = 0;
  #message = "";
  #dirty = false;
  /** Whether something was kept for the task beside its record. */
  #hasPieces = false;
  #cancelFlush: (() => void) | null = null;
  #cancelTimeout: () => void = () => {};
  /** What is written with an end that the handler has not brought about. */
  #atEnd: LastArtifact | null = null;
  /** The commit that ends the attempt, once something has ended it. */
  #end: Promise<unknown> | null = null;
  #abandon: () => void = () => {};

  constructor(tools: ExecutionTools, definition: AnyTaskDefinition, state: RunningState) {
    this.id = state.task.id;
    this.#tools = tools;
    this.#definition = definition;
    this.#state = state;
    this.#running = state;
    this.#log = new LogBuffer(this.id, state.run.attempt);
    this.#checkpoints = new Checkpoints(tools.kv, tools.blobs, state.task, definition.checkpointVersion ?? 1);
  }

  /** The newest state, as handed to the committer. */
  get state(): TaskState {
    return this.#state;
  }

  /**
   * Runs the handler and ends the attempt; resolves when the end is committed. Never rejects.
   *
   * @param onReturned Called when the handler has returned or is abandoned: its slot is free.
   */
  async run(onReturned: () => void = () => {}): Promise<void> {
    const { clock } = this.#tools;
    const abandoned = new Promise<void>((resolve) => {
      let cancel = () => {};
      const onAbort = () => cancel = clock.after(ABANDON_MS, resolve);
      this.#controller.signal.addEventListener("abort", onAbort, { once: true });
      this.#abandon = () => {
        this.#controller.signal.removeEventListener("abort", onAbort);
        cancel();
        resolve();
      };
    });
    this.#cancelTimeout = clock.after(
      this.#state.task.timeout_ms,
      () => this.#controller.abort(new AbortedError("timeout")),
    );
    let outcome: { result: Json } | { error: unknown } | null = null;
    await Promise.race([
      this.#handle().then((result) => outcome = { result }, (error) => outcome = { error }),
      abandoned,
    ]);
    this.#abandon();
    this.#cancelTimeout();
    onReturned();
    if (outcome === null) {
      const text = `The handler did not stop within ${ABANDON_MS / 1000} s of its signal and was abandoned.`;
      outcome = { error: new Error(text) };
      this.#tools.log.warn(text, { id: this.id, task_type: this.#definition.type });
      if (!this.#end) this.#log.add(clock.now(), "warn", text);
    }
    await this.#finish(outcome).catch((error) => this.#salvage(error)).catch(() => {
      // Fenced or closed: the attempt's end is not ours to write any more; recovery will.
    });
  }

  /** The end itself could not be stored (its result is no JSON, its record is too large): end in a way that can. */
  async #salvage(error: unknown): Promise<void> {
    if (error instanceof FencedError || error instanceof ClosedError || error instanceof OutcomeUnknownError) return;
    if (!this.#running.run || this.#lost) return;
    this.#end = null;
    this.#state = this.#running;
    const message = `The end of the attempt could not be stored: ${toTaskError(error).message}`.slice(0, MAX_MESSAGE);
    await this.#endWith((state) => task.fail(state, { code: "unstorable", message }, this.#tools.clock.now()));
  }

  async #handle(): Promise<Json> {
    const { task, run } = this.#state;
    let resume: Json | undefined;
    if (task.attempt > 0) {
      const { state, refused } = await this.#checkpoints.load();
      resume = state;
      if (refused !== null) {
        const text = `The checkpoint is of version ${refused} of this handler and is not used.`;
        this.#log.add(this.#tools.clock.now(), "warn", text);
      }
    }
    const params = this.#parse(task.input_params);
    this.#assertOpen();
    return await this.#definition.run(this.#context(params, run!.attempt, resume)) ?? null;
  }

  /** @throws {NonRetryableError} If the parameters, which were valid when they were sent, are so no more. */
  #parse(sent: Json): unknown {
    try {
      return parseParams(this.#definition, sent, "");
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      const what = "The definition of the task type has changed since the task was submitted";
      throw new NonRetryableError(`${what}; its parameters do not fit any more: ${error.message}`, { cause: error });
    }
  }

  async #finish(outcome: { result: Json } | { error: unknown }): Promise<void> {
    if (this.#end) return void await this.#end;
    const now = this.#tools.clock.now();
    const reason = (this.#controller.signal.reason as AbortedError | undefined)?.code;
    if (reason === "timeout") {
      const seconds = this.#state.task.timeout_ms / 1000;
      await this.#fail({ code: "timeout", message: `The attempt ran longer than ${seconds} s.` }, true);
    } else if ("result" in outcome) {
      const size = jsonSize(outcome.result);
      if (size > MAX_RESULT_BYTES) {
        const message = `The result takes ${size} bytes, more than ${MAX_RESULT_BYTES}. Keep it as an artifact.`;
        await this.#fail({ code: "result_too_large", message }, false);
      } else await this.#endWith((state) => task.succeed(state, outcome.result, now));
    } else if (reason === "shutdown" || reason === "lost") {
      await this.#endWith((state) => task.interrupt(state, now));
    } else await this.#fail(toTaskError(outcome.error), !(outcome.error instanceof NonRetryableError));
  }

  async #fail(error: TaskError, retryable: boolean): Promise<void> {
    const now = this.#tools.clock.now();
    const { failures, max_attempts } = this.#state.task;
    if (!retryable || failures + 1 >= max_attempts) {
      await this.#endWith((state) => task.fail(state, error, now));
      return;
    }
    const { base, factor, cap } = this.#definition.backoff ?? { base: 1_000, factor: 2, cap: 300_000 };
    const wait = Math.random() * Math.min(cap, base * factor ** failures);
    await this.#endWith((state) => task.retryLater(state, error, now, Math.ceil(now + wait)));
  }

  /** Cancels the attempt: the handler's signal fires at once, and the promise resolves with the committed state. */
  async cancel(by: string | null): Promise<TaskState> {
    if (this.#lost) throw new FencedError();
    if (this.#end) {
      await this.#end;
      return this.#state;
    }
    const now = this.#tools.clock.now();
    const end = this.#endWith((state) => task.cancel(state, now, by));
    this.#controller.abort(new AbortedError("cancelled"));
    await end;
    return this.#state;
  }

  /** Asks the handler to stop, so that the task can go on elsewhere or later. */
  interrupt(): void {
    this.#controller.abort(new AbortedError("shutdown"));
  }

  /** The instance lost its lease: nothing of this attempt may be written any more. */
  lose(): void {
    this.#lost ||= this.#end === null;
    this.#end ??= Promise.resolve();
    this.#cancelFlush?.();
    this.#controller.abort(new AbortedError("lost"));
  }

  #endWith(next: (state: TaskState) => TaskState): Promise<unknown> {
    this.#cancelFlush?.();
    // What one write can take of the log goes with the end itself; a longer log goes ahead of it.
    while (this.#log.large) this.#commit(this.#advance({})).catch(() => {});
    const before = this.#state;
    if (!before.run) return Promise.resolve();
    this.#running = before;
    const last: RunRecord = { ...before.run, progress: this.#progress, message: this.#message };
    let after = next({ task: before.task, run: last });
    // One that has left nothing else is deleted without a look for it.
    const bare = last.attempt === 1 && before.task.generation === 0 && !this.#hasPieces && !this.#log.dirty;
    if (bare && after.task.status === "SUCCESS") after = { ...after, task: { ...after.task, record_only: true } };
    const write = transition(before, after);
    this.#log.drainInto(write);
    if (after.task.status === "SUCCESS") this.#checkpoints.drop(write);
    this.#state = after;
    const file = after.task.status === "SUCCESS" ? null : this.#atEnd;
    this.#end = file ? this.#storeLast(file, write).then(() => this.#commit(write)) : this.#commit(write);
    return this.#end;
  }

  /** Adds the artifact that goes with the end. The end itself matters more: it comes without, if that fails. */
  async #storeLast({ name, content, mediaType }: LastArtifact, write: Changeset): Promise<void> {
    try {
      const stream = new Blob([content()]).stream();
      const written = await this.#tools.blobs.write(stream, MAX_ARTIFACT_BYTES, { asTaskOwner: true });
      await this.#inTurn(name, () => this.#store(name, written, mediaType, write));
    } catch (error) {
      this.#tools.log.error("The artifact at the end of an attempt was not kept.", { id: this.id, name, error });
    }
  }

  /** Adds to a write what makes a stored file an artifact. */
  async #store(name: string, written: WrittenBlob, mediaType: string, write: Changeset): Promise<void> {
    const { kv, blobs, clock } = this.#tools;
    this.#hasPieces = true;
    const key = keys.artifact(this.id, name);
    const earlier = await kv.get(key);
    const { mark, ...rest } = written;
    const file: StoredFile = { ...rest, name, media_type: mediaType, created_at: clock.now() };
    write.puts.push({ key, value: encode(file) });
    blobs.adopt(write, { blob: rest.blob, mark });
    // Marked in the same atomic: whatever happens now, the janitor finds the chunks of the replaced file.
    if (earlier.value) blobs.disown(write, decode<StoredFile>(earlier.value).blob);
  }

  /** Does one thing after the other with the artifact of a name: whoever replaces it must know what it replaces. */
  async #inTurn(name: string, step: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(name) ?? Promise.resolve()).then(step);
    this.#turns.set(name, turn.catch(() => {}));
    await turn;
  }

  #commit(write: Changeset): Promise<string> {
    // What this instance held under an earlier id is not its own any more.
    if (this.#running.run?.instance !== this.#tools.committer.instance) return Promise.reject(new FencedError());
    return this.#tools.committer.commit(write, { asTaskOwner: true });
  }

  /** The write that brings the run record up to what the handler has reported. */
  #advance(change: Partial<RunRecord>): Changeset {
    const before = this.#state;
    const { progress, message } = before.run!;
    const moved = progress !== this.#progress || message !== this.#message;
    const run: RunRecord = {
      ...before.run!,
      progress: this.#progress,
      progress_at: moved ? this.#tools.clock.now() : before.run!.progress_at,
      message: this.#message,
      ...change,
      version: before.run!.version + 1,
    };
    this.#state = { task: before.task, run };
    this.#dirty = false;
    if (this.#log.dirty) this.#hasPieces = true;
    const write = transition(before, this.#state);
    this.#log.drainInto(write);
    return write;
  }

  /** Commits something that the next attempt can build on. */
  async #save(fill: (write: Changeset) => void): Promise<void> {
    this.#assertOpen();
    this.#hasPieces = true;
    const write = this.#advance({ checkpointed: true });
    fill(write);
    await this.#commit(write);
    this.#assertOpen();
  }

  #touch(): void {
    if (this.#end || this.#cancelFlush) return;
    this.#cancelFlush = this.#tools.clock.after(FLUSH_MS, () => {
      this.#cancelFlush = null;
      if (this.#end || !(this.#dirty || this.#log.dirty)) return;
      this.#commit(this.#advance({})).catch(() => {});
      if (this.#log.dirty) this.#touch();
    });
  }

  /**
   * Every call of the handler passes here. An instance that has slept past its lease may have been taken over without
   * knowing it yet: then the handler must not go on to its next effect.
   *
   * @throws {AbortedError} If the attempt may not go on.
   */
  #assertOpen(): void {
    if (this.#end) throw this.#controller.signal.reason ?? new AbortedError("lost");
    if (this.#tools.holdsLease()) return;
    this.#controller.abort(new AbortedError("lost"));
    throw this.#controller.signal.reason;
  }

  #context(params: unknown, attempt: number, resume: Json | undefined): TaskContext {
    const { clock, kv, blobs } = this.#tools;
    const { id } = this;
    const logAt = (level: string) => (text: string) => {
      if (this.#end) return;
      this.#log.add(clock.now(), level, text);
      this.#touch();
    };
    return {
      id,
      params,
      attempt,
      resume,
      signal: this.#controller.signal,
      log: { info: logAt("info"), warn: logAt("warn"), error: logAt("error") },
      progress: (percent, message) => {
        if (!Number.isFinite(percent)) throw new RangeError("Progress is a number from 0 to 100.");
        this.#progress = Math.max(this.#progress, Math.min(100, Math.max(0, Math.round(percent * 10) / 10)));
        if (message !== undefined) this.#message = message.slice(0, 200);
        this.#dirty = true;
        this.#touch();
      },
      checkpoint: async (state) => {
        this.#assertOpen();
        await this.#save(await this.#checkpoints.prepare(state));
      },
      step: async <T extends Json>(name: string, run: () => Promise<T> | T) => {
        this.#assertOpen();
        const runOpen = () => {
          this.#assertOpen();
          return run();
        };
        return await this.#checkpoints.step(name, runOpen, (fill) => this.#save(fill)) as T;
      },
      parents: async () => {
        const states = await Promise.all(this.#state.task.depends_on.map((parent) => readTask(kv, parent)));
        return states.flatMap((state) => {
          if (!state) return [];
          const { id, task_type, title, result } = state.task;
          return [{ id, task_type, title, result }];
        });
      },
      artifact: async (name, content, mediaType) => {
        this.#assertOpen();
        assertArtifactName(name);
        const stream = content instanceof ReadableStream ? content : new Blob([content as BlobPart]).stream();
        const written = await blobs.write(stream, MAX_ARTIFACT_BYTES, { asTaskOwner: true });
        await this.#inTurn(name, async () => {
          const stored = emptyChangeset();
          await this.#store(name, written, mediaType, stored);
          if (this.#end) await blobs.delete(written.blob);
          this.#assertOpen();
          const write = this.#advance({});
          merge(write, stored);
          await this.#commit(write);
        });
      },
      artifactAtEnd: (name, content, mediaType) => {
        this.#assertOpen();
        assertArtifactName(name);
        this.#atEnd = { name, content, mediaType };
      },
      openArtifact: (name, from) => this.#open(keys.artifact(id, name), from),
      openUpload: async (upload, from) => {
        const file = await this.#open(keys.upload(upload), from);
        if (!file) throw new NotFoundError(`Upload ${upload}`);
        return file;
      },
      sleep: async (ms) => {
        await delay(clock, ms, this.#controller.signal);
        this.#assertOpen();
      },
    };
  }

  async #open(key: Deno.KvKey, from?: number): Promise<OpenedFile | null> {
    const entry = await this.#tools.kv.get(key);
    if (!entry.value) return null;
    const { name, size, media_type, blob, chunks } = decode<StoredFile>(entry.value);
    return { name, size, media_type, stream: this.#tools.blobs.read(blob, chunks, from) };
  }
}

function assertArtifactName(name: string): void {
  // deno-lint-ignore no-control-regex
  if (!/^[^/\\\u0000-\u001f]{1,200}$/.test(name) || name === "." || name === "..") {
    throw new InvalidInputError([{ pointer: "", detail: `"${name}" is not a name for an artifact.` }]);
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
