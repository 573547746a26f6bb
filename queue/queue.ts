/**
 * The public face of the queue: submit, cancel, retry, delete, pause, schedules, bulk, get, list, counts, files,
 * changes. It puts the parts together and knows no HTTP.
 *
 * @example
 * ```ts ignore
 * const queue = new Queue({ kv, definitions: [greet] });
 * await queue.start();
 * const { task } = await queue.submit({ task_type: "greet", input_params: { name: "Ada" } });
 * ```
 *
 * @module
 */

import { Blobs } from "./store/blobs.ts";
import { Bulk } from "./actions/bulk.ts";
import { Callbacks } from "./actions/callbacks.ts";
import { type Clock, delay, systemClock, within } from "./task/clock.ts";
import { decode, encode } from "./store/codec.ts";
import { Committer } from "./store/commit/committer.ts";
import { type AtomicLimits, CONNECT_LIMITS, FILE_LIMITS } from "./store/commit/atomic_size.ts";
import { Commands } from "./actions/task_actions.ts";
import { type Counts, type OpenWork, readCounts, readTally } from "./store/counts.ts";
import { type AnyTaskDefinition, type OpenedFile, Registry } from "./define.ts";
import { ClosedError, ConflictError, NotFoundError, OutcomeUnknownError } from "./task/errors.ts";
import { Heartbeat } from "./background/heartbeat.ts";
import { isId, newId } from "./task/ids.ts";
import { Janitor, type JanitorOptions } from "./background/janitor.ts";
import { keys } from "./store/keys.ts";
import { type Logger, silent } from "./log.ts";
import { Notifier } from "./watch/notifier.ts";
import { Pauses } from "./run/pauses.ts";
import { type Filter, listTasks, type Order, type Page } from "./store/listing.ts";
import { readArtifacts, readTasks, type StoredFile, type Upload } from "./store/reads.ts";
import { Removal } from "./store/removal.ts";
import { RoleLease } from "./background/role_lease.ts";
import { Recoverer } from "./background/recoverer.ts";
import { Releaser } from "./background/effect_worker.ts";
import { Runner } from "./run/runner.ts";
import { Scheduler } from "./background/scheduler.ts";
import { Searches } from "./store/searches.ts";
import { Schedules } from "./actions/schedules.ts";
import { Sessions } from "./actions/sessions.ts";
import { type Range, readLastHour, readSeries } from "./watch/series.ts";
import { ChangeStream } from "./watch/change_stream.ts";
import { claimIdempotencyKey, type IdempotencyKey } from "./submit/deduplication.ts";
import { fingerprint, type Submission, Submitter } from "./submit/submit.ts";
import { type LogPosition, readLog, readLogTail } from "./run/task_log.ts";
import type { PauseInfo, SeriesAnswer } from "./task/api_types.ts";
import type { TaskState } from "./task/record.ts";
import type { ArtifactInfo, Retention } from "./task/summary.ts";
import type { RetryFrom } from "./task/transitions.ts";
import { emptyChangeset } from "./store/changeset.ts";

const WEEK_MS = 7 * 24 * 3_600_000;

/** How long a health check waits for the store. */
const HEALTH_WAIT_MS = 2_000;

/** A stored file that can be read. */
export interface ArtifactFile extends Omit<OpenedFile, "stream"> {
  /** Hexadecimal. */
  sha256: string;
  /** Milliseconds since the epoch. */
  created_at: number;
  read(from?: number, until?: number): ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** How a {@linkcode Queue} is made. Everything but `kv` and `definitions` has a default. */
export interface QueueOptions {
  /** The store. The queue does not close it. */
  kv: Deno.Kv;
  /** The task types. */
  definitions: AnyTaskDefinition[];
  /** Default: the machine's clock. */
  clock?: Clock;
  /** Default: no log. */
  log?: Logger;
  /** Whether other instances share the store. Default false: this queue is the store's sole owner. */
  distributed?: boolean;
  /** Whether tasks run here. Default true. */
  worker?: boolean;
  /** Slots by type, over the definition's own number. */
  concurrency?: Record<string, number>;
  /** After this time without a heartbeat an instance is dead. Milliseconds, default 15,000. */
  leaseMs?: number;
  /** Rate limits by type, over the definition's own: `10/s`, `100/m`, `1000/h`. */
  rates?: Record<string, string>;
  /** How long ended tasks are kept, by how they ended. Milliseconds, default 7 days each. */
  retention?: Partial<Retention>;
  /** What one atomic may hold. Default: by `distributed`. */
  limits?: AtomicLimits;
  /** Atomics in flight. Default: 16 if distributed, else 2. */
  lanes?: number;
  /** Over the janitor's own numbers. */
  janitor?: Partial<JanitorOptions>;
  /** After this time a caller is told that the outcome is unknown. Milliseconds, default 10,000. */
  commitDeadlineMs?: number;
}

/** The queue. */
export class Queue {
  readonly registry: Registry;
  readonly stream: ChangeStream;
  readonly retention: Retention;
  readonly schedules: Schedules;
  readonly bulk: Bulk;
  readonly sessions: Sessions;
  readonly #kv: Deno.Kv;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #distributed: boolean;
  readonly #submitter: Submitter;
  readonly #worker: boolean;
  readonly #leaseMs: number;
  readonly #committer: Committer;
  readonly #notifier: Notifier;
  readonly #runner: Runner;
  readonly #scheduler: Scheduler;
  readonly #recoverer: Recoverer;
  readonly #heartbeat: Heartbeat;
  readonly #removal: Removal;
  readonly #janitor: Janitor;
  readonly #releaser: Releaser;
  readonly #pauses: Pauses;
  readonly #commands: Commands;
  readonly #blobs: Blobs;
  readonly #searches = new Searches();
  #started = false;
  #stopping = false;

  constructor(options: QueueOptions) {
    const { kv, definitions, clock = systemClock, log = silent, distributed = false } = options;
    this.#kv = kv;
    this.#clock = clock;
    this.#log = log;
    this.#distributed = distributed;
    this.#worker = options.worker ?? true;
    const limits = options.limits ?? (distributed ? CONNECT_LIMITS : FILE_LIMITS);
    this.retention = { SUCCESS: WEEK_MS, FAILED: WEEK_MS, CANCELLED: WEEK_MS, ...options.retention };
    this.bulk = new Bulk(kv, this.#searches, () => this.#commands, () => this.#submitter);
    this.registry = new Registry([...definitions, this.bulk.definition]);
    for (const type of [...Object.keys(options.concurrency ?? {}), ...Object.keys(options.rates ?? {})]) {
      const known = definitions.map(({ type }) => type);
      if (!known.includes(type)) {
        throw new RangeError(`There is no task type "${type}". There are: ${known.join(", ")}.`);
      }
    }
    const leaseMs = options.leaseMs ?? 15_000;
    this.#leaseMs = leaseMs;
    const notifier = new Notifier(kv, clock, log, distributed);
    const stream = new ChangeStream(kv, notifier, clock, log);
    const committer = new Committer({
      kv,
      clock,
      log,
      distributed,
      limits,
      lanes: options.lanes ?? (distributed ? 16 : 2),
      deadlineMs: options.commitDeadlineMs ?? 10_000,
      onCommitted: (versionstamp, changes) => {
        this.#runner.committed(versionstamp, changes);
        stream.committed(changes);
        notifier.committed(changes);
        this.#releaser.committed(changes);
      },
      onFenced: () => void this.#restart(),
    });
    const blobs = new Blobs(kv, committer, clock);
    this.#notifier = notifier;
    this.stream = stream;
    this.#committer = committer;
    this.#blobs = blobs;
    this.#submitter = new Submitter(kv, committer, this.registry, clock, limits, {
      startAtOnce: (state) => this.#runner.startAtOnce(state),
      submitted: (task) => this.#runner.submitted(task),
    });
    this.sessions = new Sessions(kv, committer, clock);
    this.#pauses = new Pauses(kv, committer, this.registry, notifier, clock, log, distributed);
    this.#runner = new Runner({
      kv,
      clock,
      log,
      committer,
      blobs,
      holdsLease: () => !distributed || this.#heartbeat.age < leaseMs,
      notifier,
      pauses: this.#pauses,
      limits,
      distributed,
      registry: this.registry,
      concurrency: options.concurrency ?? {},
      rates: options.rates ?? {},
    });
    this.schedules = new Schedules(kv, committer, this.#submitter, notifier, clock, log);
    this.#scheduler = new Scheduler(kv, committer, this.schedules, notifier, clock, log);
    const callbacks = new Callbacks(kv, committer, this.#submitter, this.retention, log);
    this.#releaser = new Releaser(kv, committer, this.registry, callbacks, notifier, clock, log);
    this.#recoverer = new Recoverer(kv, committer, clock, leaseMs, log);
    this.#heartbeat = new Heartbeat(committer, clock, leaseMs, log);
    const removal = new Removal(kv, committer, blobs, log);
    this.#removal = removal;
    const lease = new RoleLease(kv, committer, clock, "janitor", distributed);
    this.#janitor = new Janitor(kv, committer, removal, lease, clock, this.retention, log, options.janitor);
    this.#commands = new Commands(kv, committer, this.registry, this.#runner, removal, clock, log);
  }

  /** Registers this instance, recovers what dead ones left, and begins to work. */
  async start(): Promise<void> {
    await this.#committer.open(newId(this.#clock.now()));
    if (!this.#distributed) await this.#recoverer.recoverAll();
    this.#started = true;
    this.#heartbeat.start();
    this.#recoverer.start();
    this.stream.start();
    this.#notifier.start();
    if (this.#worker) {
      await this.#pauses.start();
      this.#scheduler.start();
      this.#releaser.start();
      this.#janitor.start();
      this.#runner.start();
    }
  }

  /**
   * Stops: claims nothing more, lets handlers save a checkpoint, hands unfinished tasks back and leaves the store so
   * that nothing needs recovery. What is not done within `graceMs` is left to recovery.
   */
  async stop(graceMs = 4_000): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#commands.stop();
    this.#pauses.stop();
    // Handlers come first: whatever else is under way must not take their time.
    const others = [
      this.#scheduler,
      this.#releaser,
      this.#janitor,
      this.stream,
      this.#notifier,
    ].map((role) => role.stop());
    await this.#runner.stop(graceMs * 0.7);
    await Promise.all(others);
    await Promise.all([this.#recoverer.stop(), this.#heartbeat.stop()]);
    await this.#committer.close(graceMs * 0.2);
  }

  /** This instance was recovered while it slept: what it held is gone, and it starts over under a new id. */
  async #restart(): Promise<void> {
    this.#log.warn("This instance was recovered by another one; it starts over.", { instance: this.instance });
    this.#runner.loseAll();
    while (!this.#stopping) {
      try {
        await this.#committer.open(newId(this.#clock.now()));
        return;
      } catch (error) {
        this.#log.error("The store does not answer; tried again.", { error });
        await delay(this.#clock, 1_000);
      }
    }
  }

  /** The id of this instance. It changes when the instance had to start over. */
  get instance(): string {
    return this.#committer.instance;
  }

  /** Atomics and task mutations committed since the start. */
  get commitStats(): { atomics: number; mutations: number } {
    return this.#committer.stats;
  }

  /**
   * Submits a task. Once the promise resolves the task is durable.
   *
   * @returns The task, and whether it is new (false: the idempotency key has made it before).
   * @throws {InvalidInputError} If something is wrong with it. Nothing is stored.
   * @throws {IdempotencyMismatchError} If the key has made a task from another submission.
   * @throws {OutcomeUnknownError} If the store did not answer in time.
   */
  async submit(submission: Submission, idempotency?: IdempotencyKey): Promise<{ task: TaskState; created: boolean }> {
    const { id, created } = await this.#submitter.submit(submission, idempotency);
    return { task: created ?? await this.get(id), created: created !== null };
  }

  /**
   * Submits up to {@linkcode MAX_BATCH} tasks in one atomic: all of them or none.
   *
   * @returns The tasks, and whether they are new (false: the idempotency key has made them before).
   * @throws {InvalidInputError} With pointers below `/tasks`. Nothing is stored.
   */
  async submitBatch(
    submissions: Submission[],
    idempotency?: IdempotencyKey,
  ): Promise<{ tasks: TaskState[]; created: boolean }> {
    const { ids, created } = await this.#submitter.submitBatch(submissions, idempotency);
    const known = created ?? (await readTasks(this.#kv, ids)).filter((state) => state !== null);
    return { tasks: known, created: created !== null };
  }

  /**
   * Reads a task.
   *
   * @throws {NotFoundError} If there is none.
   */
  get(id: string): Promise<TaskState> {
    return this.#commands.get(id);
  }

  /**
   * Reads tasks by filter, newest first unless told otherwise.
   *
   * @throws {BusyError} If it searches for text or a tag, and too many others do.
   */
  list(filter: Filter, limit: number, cursor?: string, order?: Order): Promise<Page> {
    const read = () => listTasks(this.#kv, filter, limit, cursor, order);
    if (filter.q === undefined && filter.tag === undefined) return read();
    return this.#searches.run(JSON.stringify([filter, limit, cursor, order]), read);
  }

  /** The exact number of tasks by type and status. */
  counts(): Promise<Counts> {
    return readCounts(this.#kv);
  }

  /** What each caller has submitted that has not ended: how many tasks, and bytes of parameters of a kilobyte or more. */
  async openWork(): Promise<OpenWork> {
    return (await readTally(this.#kv)).open;
  }

  /** What happened lately, bucket by bucket; of these types, or of all. */
  async series(range: Range, task_types?: readonly string[]): Promise<SeriesAnswer> {
    const waiting = Object.entries(await this.counts()).map(([type, { PENDING = 0 }]) => [type, PENDING]);
    return await readSeries(this.#kv, range, this.#clock.now(), Object.fromEntries(waiting), task_types);
  }

  /** What the last hour says of each type that had tasks in it. */
  lastHour(): ReturnType<typeof readLastHour> {
    return readLastHour(this.#kv, this.#clock.now());
  }

  /** What files a task has made. */
  async artifacts(id: string): Promise<ArtifactInfo[]> {
    return (await readArtifacts(this.#kv, id)).map(({ blob: _, chunks: __, created_at, ...rest }) => ({
      ...rest,
      created_at: new Date(created_at).toISOString(),
    }));
  }

  /**
   * A file that a task has made; `read` opens it from byte `from` (0) to before `until` (its end).
   *
   * @throws {NotFoundError} If there is none.
   */
  async artifact(id: string, name: string): Promise<ArtifactFile> {
    const entry = isId(id) && name.length <= 200 ? await this.#kv.get(keys.artifact(id, name)) : null;
    if (!entry?.value) throw new NotFoundError(`Artifact ${name.slice(0, 64)} of task ${id.slice(0, 64)}`);
    const { blob, chunks, ...file } = decode<StoredFile>(entry.value);
    return { ...file, read: (from, until) => this.#blobs.read(blob, chunks, from, until) };
  }

  /** Tasks that were submitted as a task with changes, oldest first, at most 20. */
  async retriedAs(id: string): Promise<string[]> {
    const found: string[] = [];
    for await (const { key } of this.#kv.list({ prefix: keys.allRetriedAs(id) }, { limit: 20 })) {
      found.push(key[2] as string);
    }
    return found;
  }

  /** The newest log lines of a task (before a position, if given), oldest first, and where to read on. */
  readLogTail(id: string, limit: number, before?: LogPosition): ReturnType<typeof readLog> {
    return readLogTail(this.#kv, id, limit, before);
  }

  /** Reads log lines of a task. */
  readLog(id: string, from?: LogPosition, limit?: number): ReturnType<typeof readLog> {
    return readLog(this.#kv, id, from, limit);
  }

  /**
   * Cancels a task.
   *
   * @param by Who asks; kept with the task.
   * @returns The task: CANCELLED, or still RUNNING if another instance holds it and did not answer within 2 s.
   * @throws {NotFoundError} If there is none.
   * @throws {IllegalTransitionError} If it has ended already.
   */
  cancel(id: string, by: string | null = null): Promise<TaskState> {
    return this.#commands.cancel(id, by);
  }

  /**
   * Runs a task again that has failed or was cancelled, with fresh attempts.
   *
   * @param from `checkpoint` (default): it goes on from its last checkpoint and keeps its finished steps; `start`: from
   * the beginning.
   * @param by Who asks; kept with the task.
   * @param internal Whether tasks of the service's own types may be retried too. Default false.
   * @throws {ForbiddenError} If it is one of them and `internal` is false.
   * @throws {NotFoundError} If there is none.
   * @throws {IllegalTransitionError} If it is in another state.
   */
  retry(
    id: string,
    from: RetryFrom = "checkpoint",
    by: string | null = null,
    internal = false,
  ): Promise<TaskState> {
    return this.#commands.retry(id, from, by, internal);
  }

  /**
   * Deletes a task that has ended, with its attempts, log, files and checkpoint.
   *
   * @throws {NotFoundError} If there is none.
   * @throws {IllegalTransitionError} If it has not ended, or others that have not ended depend on it.
   */
  delete(id: string, by: string | null = null): Promise<void> {
    return this.#commands.delete(id, by);
  }

  /**
   * Keeps tasks of a type from being started. Those that run go on.
   *
   * @param by Who asks.
   * @throws {NotFoundError} If there is no such type.
   */
  async pause(type: string, by: string, reason = ""): Promise<PauseInfo> {
    const info = await this.#pauses.pause(type, by, reason);
    await this.#runner.settle(type);
    return info;
  }

  /**
   * Lets tasks of a type be started again.
   *
   * @throws {NotFoundError} If there is no such type.
   */
  async resume(type: string): Promise<void> {
    await this.#pauses.resume(type);
    this.#notifier.ready(type);
  }

  /** Which types are paused. */
  pauses(): Promise<Map<string, PauseInfo>> {
    return this.#pauses.read();
  }

  /**
   * Stores an uploaded file.
   *
   * @returns Its id, and whether it is new (false: the idempotency key has stored it before).
   * @throws {TooLargeError} As soon as it is larger than `maxBytes`; nothing stays.
   */
  async upload(
    name: string,
    mediaType: string,
    stream: ReadableStream<Uint8Array>,
    maxBytes: number,
    idempotency?: IdempotencyKey,
  ): Promise<{ id: string; file: Upload; created: boolean }> {
    const written = await this.#blobs.write(stream, maxBytes);
    const now = this.#clock.now();
    const id = newId(now);
    const { mark: _, ...stored } = written;
    const file: Upload = { ...stored, name, media_type: mediaType, created_at: now, used_at: now };
    for (let tries = 1;; tries++) {
      const write = emptyChangeset(`upload:${id}`);
      write.puts.push({ key: keys.upload(id), value: encode(file) });
      if (idempotency) {
        const body = fingerprint([name, file.sha256]);
        let known: string[] | null;
        try {
          known = await claimIdempotencyKey(
            this.#kv,
            this.#clock,
            write,
            idempotency,
            body,
            [id],
            keys.upload,
          );
        } catch (error) {
          await this.#blobs.delete(written.blob);
          throw error;
        }
        if (known) {
          await this.#blobs.delete(written.blob);
          const entry = await this.#kv.get(keys.upload(known[0]));
          if (entry.value) return { id: known[0], file: decode<Upload>(entry.value), created: false };
          throw new NotFoundError(`Upload ${known[0]}`);
        }
      }
      this.#blobs.adopt(write, written);
      // Whoever loses the race for the key looks again; a file that the janitor has taken is lost for good.
      if (await this.#committer.commitUnlessConflict(write)) return { id, file, created: true };
      if (!idempotency || tries > 3) throw new ConflictError();
    }
  }

  /** Bytes of uploads that no task and no schedule names. */
  unusedUploadBytes(): Promise<number> {
    return this.#removal.unusedUploadBytes();
  }

  /** Removes an upload that no task names. */
  async discardUpload(id: string): Promise<void> {
    const entry = await this.#kv.get(keys.upload(id));
    if (entry.versionstamp !== null) await this.#removal.removeUpload(entry);
  }

  /**
   * Whether the queue works: KV is written and read, the runner claims, the heartbeat beats. Also how long the
   * oldest ready task has waited, in milliseconds.
   */
  async health(): Promise<{ kv: boolean; runner: boolean; backlog_age_ms: number }> {
    const probe = keys.probe(this.instance);
    let kv = false;
    let backlog = 0;
    try {
      const at = encode(this.#clock.now());
      const write = { ...emptyChangeset("probe"), puts: [{ key: probe, value: at, expireIn: 60_000 }] };
      if (!await within(this.#clock, HEALTH_WAIT_MS, this.#committer.commit(write))) throw new OutcomeUnknownError();
      kv = decode<number>((await this.#kv.get(probe)).value) === decode<number>(at);
      for (const { type } of this.registry.all()) {
        for await (const entry of this.#kv.list({ prefix: keys.readyOf(type) }, { limit: 1 })) {
          backlog = Math.max(backlog, this.#clock.now() - decode<number>(entry.value));
        }
      }
    } catch (error) {
      if (!(error instanceof ClosedError)) this.#log.error("The health check could not use the store.", { error });
    }
    const alive = this.#started && !this.#stopping && this.#heartbeat.age < this.#leaseMs &&
      (!this.#worker || this.#runner.alive);
    return { kv, runner: alive, backlog_age_ms: Math.max(0, backlog) };
  }

  /** Cleans up at once instead of at the janitor's next turn. */
  clean(): Promise<void> {
    return this.#janitor.clean();
  }

  /** The rate limit of a type, as it is written; null: none. */
  rateOf(definition: AnyTaskDefinition): string | null {
    return this.#runner.rateOf(definition);
  }

  /** Slots of a type and how many of them are taken on this instance. */
  slots(definition: AnyTaskDefinition): { total: number; running: number } {
    return { total: this.#runner.slotsOf(definition), running: this.#runner.runningOf(definition.type) };
  }
}
