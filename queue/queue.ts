/**
 * The public face of the queue: submit, cancel, retry, delete, pause, schedules, bulk, get, list, counts, files,
 * changes. It puts the parts together and knows no HTTP.
 *
 * @module
 */

import { checkHealth, type Health, oldestReady } from "./background/health.ts";
import type { Core } from "./core.ts";
import { StoredArtifacts } from "./store/files/artifacts.ts";
import { Series } from "./watch/series.ts";
import { TaskLogs } from "./run/task_log.ts";
import { Uploads } from "./submit/uploads.ts";
import { readRetriedAs, readTasks } from "./store/reads.ts";
import { QUEUE_DEFAULTS, type QueueOptions } from "./options.ts";
import { Alarm } from "./watch/alarm.ts";
import { Inbox } from "./submit/inbox.ts";
import { receiveMessages } from "./watch/messages.ts";
import { Blobs } from "./store/files/blobs.ts";
import { Bulk } from "./actions/bulk.ts";
import { Callbacks } from "./actions/callbacks.ts";
import { delay, systemClock, within } from "./task/clock.ts";
import { Committer } from "./store/commit/committer.ts";
import { CONNECT_LIMITS, FILE_LIMITS } from "./store/commit/atomic_size.ts";
import { TaskActions } from "./actions/task_actions.ts";
import { type Counts, type OpenWork, readCounts, readTally } from "./store/counts.ts";
import { type AnyTaskDefinition, type RedoOnly, Registry } from "./define.ts";
import { Heartbeat } from "./background/heartbeat.ts";
import { StoreFormatError } from "./task/errors.ts";
import { MAX_SHARDS, newId } from "./task/ids.ts";
import { Janitor } from "./background/janitor.ts";
import { logOf, silent } from "./log.ts";
import { Notifier } from "./watch/notifier.ts";
import { Pauses } from "./run/pauses.ts";
import { countByStatus, type Failures, failuresSince } from "./store/facets.ts";
import { type Graph, readGraph } from "./store/graph.ts";
import { type Filter, listTasks, type Order, type Page } from "./store/listing.ts";
import { looksInside } from "./task/content_filter.ts";
import { migrate } from "./store/commit/format.ts";
import { Removal } from "./store/removal.ts";
import { RoleLease } from "./background/role_lease.ts";
import { Recoverer } from "./background/recoverer.ts";
import { EffectWorker } from "./background/effect_worker.ts";
import { hasUnfinished } from "./background/unfinished.ts";
import { Runner } from "./run/runner.ts";
import { Scheduler } from "./background/scheduler.ts";
import { Searches } from "./store/searches.ts";
import { Schedules } from "./actions/schedules.ts";
import { MailLedger } from "./actions/mail_ledger.ts";
import { Redo } from "./actions/redo.ts";
import { Alerts } from "./alerts/alerts.ts";
import { AuditLog } from "./access/audit_log.ts";
import { AccessTokens } from "./access/tokens.ts";
import { Sessions } from "./access/sessions.ts";
import { ChangeStream } from "./watch/change_stream.ts";
import type { IdempotencyKey } from "./submit/deduplication.ts";
import type { Submission } from "./submit/new_task.ts";
import { Submitter } from "./submit/submit.ts";
import type { PauseInfo } from "./task/api_types.ts";
import type { Status, TaskState } from "./task/record.ts";
import type { Retention } from "./task/summary.ts";
import type { RetryFrom } from "./task/transitions.ts";

/** How often to check whether anything is left to do. Milliseconds. */
const WORK_LOOK_MS = 1_000;

/** The queue. */
export class Queue {
  /** The task types. */
  readonly registry: Registry;
  /** The change stream: which tasks changed, in commit order. */
  readonly stream: ChangeStream;
  /** How long ended tasks are kept, by status. Milliseconds. */
  readonly retention: Retention;
  /** Uploaded files. */
  readonly uploads: Uploads;
  /** Files that tasks have made. */
  readonly artifacts: StoredArtifacts;
  /** The logs of tasks. */
  readonly logs: TaskLogs;
  /** Time series. */
  readonly series: Series;
  /** Cron schedules. */
  readonly schedules: Schedules;
  /** Actions on many tasks. */
  readonly bulk: Bulk;
  /** Messages of KV's own queue that did not become tasks. */
  readonly inbox: Inbox;
  /** Rules of alerts. */
  readonly alerts: Alerts;
  /** Tokens that were made at run time. */
  readonly tokens: AccessTokens;
  /** Who has done what. */
  readonly audit: AuditLog;
  /** Sign-ins that were ended early. */
  readonly sessions: Sessions;
  /** The suppression list, and how much mail each server was given. */
  readonly mail: MailLedger;
  readonly #core: Core;
  readonly #worker: boolean;
  readonly #leaseMs: number;
  readonly #messages: boolean;
  readonly #submitter: Submitter;
  readonly #runner: Runner;
  readonly #pauses: Pauses;
  readonly #actions: TaskActions;
  readonly #redo: Redo;
  readonly #scheduler: Scheduler;
  readonly #recoverer: Recoverer;
  readonly #heartbeat: Heartbeat;
  readonly #janitor: Janitor;
  readonly #effects: EffectWorker;
  readonly #searches = new Searches();
  #detach: () => Promise<void> = () => Promise.resolve();
  #started = false;
  #stopping = false;

  /**
   * Puts a queue together; nothing runs before {@linkcode Queue.start}.
   *
   * @throws {RangeError} If a name or a rate limit of a task type is wrong, or a setting names no type.
   */
  constructor(options: QueueOptions) {
    const {
      kv,
      definitions,
      clock = systemClock,
      log = silent,
      distributed = false,
      leaseMs = QUEUE_DEFAULTS.leaseMs,
    } = options;
    this.#worker = options.worker ?? true;
    this.#leaseMs = leaseMs;
    const { retentionMs } = QUEUE_DEFAULTS;
    this.retention = { SUCCESS: retentionMs, FAILED: retentionMs, CANCELLED: retentionMs, ...options.retention };
    this.registry = new Registry(definitions);
    this.registry.assertAll([...Object.keys(options.concurrency ?? {}), ...Object.keys(options.rates ?? {})]);
    const limits = options.limits ?? (distributed ? CONNECT_LIMITS : FILE_LIMITS);
    this.#messages = options.messages ?? !distributed;
    const alarm = options.wakeups === "messages" && this.#worker ? new Alarm(clock) : null;
    const { observers = [] } = options;
    const moved = observers.flatMap((observer) => observer.moved?.bind(observer) ?? []);
    const committed = observers.flatMap((observer) => observer.committed?.bind(observer) ?? []);
    const notifier = new Notifier(kv, clock, logOf(log, "watch"), distributed, alarm !== null);
    this.stream = new ChangeStream(kv, notifier, clock, logOf(log, "watch"));
    const committer = new Committer({
      kv,
      clock,
      log: logOf(log, "store"),
      distributed,
      wakeups: alarm ?? undefined,
      worker: this.#worker,
      limits,
      lanes: options.lanes ?? (distributed ? 16 : 2),
      deadlineMs: options.commitDeadlineMs ?? QUEUE_DEFAULTS.commitDeadlineMs,
      // In this order: tasks claimed on submit must have their slot before free slots are counted; the stream
      // comes before the notifier, so that woken listeners find the change in it; effects come last.
      onCommitted: (changes) => {
        this.#runner.committed(changes);
        this.stream.committed(changes);
        notifier.committed(changes);
        this.#effects.committed(changes);
        for (const observer of moved) observer(changes);
      },
      onAtomic: committed.length === 0 ? undefined : (ms, changesets) => {
        for (const observer of committed) observer(ms, changesets);
      },
      onFenced: () => void this.#restart(),
    });
    const blobs = new Blobs(kv, committer, clock);
    const removal = new Removal(kv, committer, blobs, logOf(log, "store"));
    const core: Core = {
      ...{ kv, clock, log, committer, blobs, removal, notifier, alarm, limits, distributed },
      peers: { index: 0, count: 1 },
      shards: options.shards ?? (distributed ? MAX_SHARDS : 1),
      registry: this.registry,
      retention: this.retention,
      tracing: options.tracing ?? false,
    };
    this.#core = core;
    const [background, run, submit] = (["background", "run", "submit"] as const)
      .map((module): Core => ({ ...core, log: logOf(log, module) }));
    this.#heartbeat = new Heartbeat(background, leaseMs, () => this.#runner.isHolding);
    this.#pauses = new Pauses(run);
    this.#runner = new Runner(run, this.#pauses, {
      concurrency: options.concurrency ?? {},
      rates: options.rates ?? {},
      holdsLease: () => !distributed || this.#heartbeat.age < leaseMs,
      wake: () => this.#heartbeat.wake(),
    });
    this.uploads = new Uploads(submit);
    this.artifacts = new StoredArtifacts(kv, blobs);
    this.logs = new TaskLogs(kv);
    this.series = new Series(kv, clock);
    this.#submitter = new Submitter(submit, this.uploads, this.#runner);
    this.#actions = new TaskActions(run, this.#runner);
    this.sessions = new Sessions(core);
    this.tokens = new AccessTokens(core);
    this.audit = new AuditLog(core);
    this.mail = new MailLedger(core);
    this.inbox = new Inbox(submit, this.#submitter);
    this.#redo = new Redo(submit, this.#submitter, this.uploads);
    this.schedules = new Schedules(submit, this.#submitter, this.uploads);
    const watched = { schedules: () => this.schedules.list(), pauses: () => this.#pauses.read() };
    this.alerts = new Alerts(background, this.#submitter, watched, options.alerts);
    this.bulk = new Bulk(core, this.#searches, this.#actions, this.#submitter);
    this.registry.add(this.bulk.definition);
    this.#scheduler = new Scheduler(background, this.schedules);
    this.#effects = new EffectWorker(background, new Callbacks(background, this.#submitter));
    this.#recoverer = new Recoverer(background, leaseMs);
    this.#janitor = new Janitor(background, new RoleLease(background, "janitor"), options.janitor);
  }

  /**
   * Registers this instance, recovers the tasks of dead instances, and starts working. A store of an older version is
   * migrated first.
   *
   * @throws {StoreFormatError} If the store is of a newer version, or instances of an older one still use it.
   */
  async start(): Promise<void> {
    const { kv, clock, log, distributed, alarm, notifier } = this.#core;
    await migrate({ kv, clock, log, distributed, leaseMs: this.#leaseMs });
    await this.#core.committer.open(newId(this.#core.clock.now()));
    if (!this.#core.distributed) await this.#recoverer.recoverAll();
    this.#started = true;
    this.#heartbeat.start();
    this.#recoverer.start();
    this.stream.start();
    this.#core.notifier.start();
    if (this.#worker) {
      await this.#pauses.start();
      this.#scheduler.start();
      this.#effects.start();
      this.#janitor.start();
      this.alerts.start();
      await this.#runner.start();
    }
    if (!this.#messages && !alarm) return;
    this.#detach = receiveMessages(kv, {
      ...{ clock, log },
      wake: () => notifier.wake(),
      receive: (message) => this.inbox.receive(message),
    });
  }

  /**
   * Works until nothing is left to do now, or `ms` milliseconds have passed: starts what is due, takes over what dead
   * instances hold, and waits for what runs here. For hosts that stop an instance which nothing keeps awake.
   */
  async work(ms: number): Promise<void> {
    const { clock, notifier } = this.#core;
    if (!this.#worker) return;
    const until = clock.monotonic() + ms;
    this.#recoverer.look();
    notifier.wake();
    const isAlive = (instance: string) => this.#recoverer.isAlive(instance);
    while (!this.#stopping && clock.monotonic() < until) {
      if (!this.#runner.isHolding && !await hasUnfinished(this.#core, this.#pauses, isAlive)) return;
      await delay(clock, WORK_LOOK_MS);
    }
  }

  /**
   * Stops: claims nothing more, lets handlers save a checkpoint, hands unfinished tasks back and leaves the store so
   * that nothing needs recovery. What is not done within `graceMs` is left to recovery.
   */
  async stop(graceMs = QUEUE_DEFAULTS.shutdownGraceMs): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    const detached = this.#detach();
    this.#actions.stop();
    this.#pauses.stop();
    // Handlers come first: other work in progress must not use up their time.
    const others = [
      this.#scheduler,
      this.#effects,
      this.#janitor,
      this.alerts,
      this.stream,
      this.#core.notifier,
    ].map((role) => role.stop());
    await this.#runner.stop(graceMs * 0.7);
    await Promise.all(others);
    await within(this.#core.clock, graceMs * 0.2, detached);
    await within(this.#core.clock, graceMs * 0.1, this.audit.flush());
    await Promise.all([this.#recoverer.stop(), this.#heartbeat.stop()]);
    await this.#core.committer.close(graceMs * 0.2);
  }

  /** This instance was recovered while it slept: it has lost its tasks and restarts under a new id. */
  async #restart(): Promise<void> {
    this.#core.log.warn("This instance was recovered by another one; restarting.", { instance: this.instance });
    this.#runner.loseLease();
    while (!this.#stopping) {
      try {
        await this.#core.committer.open(newId(this.#core.clock.now()));
        return;
      } catch (error) {
        if (error instanceof StoreFormatError) {
          return this.#core.log.error("A newer version has migrated the store; this instance does nothing more.", {
            error,
          });
        }
        this.#core.log.error("The store does not respond; retrying.", { error });
        await delay(this.#core.clock, 1_000);
      }
    }
  }

  /** The id of this instance. It changes when the instance had to start over. */
  get instance(): string {
    return this.#core.committer.instance;
  }

  /** Atomics and task mutations committed since the start. */
  get commitStats(): { atomics: number; mutations: number } {
    return this.#core.committer.stats;
  }

  /** Claims of ready tasks since the start: committed, and refused because someone else came first. */
  get claimStats(): { committed: number; refused: number } {
    return this.#runner.claimStats;
  }

  /**
   * Submits a task. Once the promise resolves the task is durable.
   *
   * @returns The task, and whether it is new (false: the idempotency key created it before).
   * @throws {InvalidInputError} If something is wrong with it. Nothing is stored.
   * @throws {IdempotencyMismatchError} If the key was used for a different submission.
   * @throws {OutcomeUnknownError} If the store did not answer in time.
   *
   * @example
   * ```ts
   * import * as z from "zod";
   * import { defineTask, Queue } from "./mod.ts";
   *
   * const greet = defineTask({
   *   type: "greet",
   *   title: "Greet",
   *   description: "Says hello.",
   *   params: z.strictObject({ name: z.string() }),
   *   run: ({ params }) => Promise.resolve(`Hello ${params.name}`),
   * });
   * const kv = await Deno.openKv(":memory:");
   * const queue = new Queue({ kv, definitions: [greet], worker: false });
   * await queue.start();
   *
   * const key = { key: "order-17", scope: "shop" };
   * const submission = { task_type: "greet", input_params: { name: "Ada" }, priority: 5 };
   * const first = await queue.submit(submission, key);
   * const second = await queue.submit(submission, key);
   * if (!first.created || second.created || first.task.task.id !== second.task.task.id) throw new Error("not once");
   * await queue.stop();
   * kv.close();
   * ```
   */
  async submit(submission: Submission, idempotency?: IdempotencyKey): Promise<{ task: TaskState; created: boolean }> {
    const { id, created } = await this.#submitter.submit(submission, idempotency);
    return { task: created ?? await this.get(id), created: created !== null };
  }

  /**
   * Submits up to {@linkcode MAX_BATCH} tasks in one atomic: all of them or none.
   *
   * @returns The tasks, and whether they are new (false: the idempotency key created them before).
   * @throws {InvalidInputError} With pointers below `/tasks`. Nothing is stored.
   *
   * @example
   * ```ts
   * import * as z from "zod";
   * import { defineTask, Queue } from "./mod.ts";
   *
   * const greet = defineTask({
   *   type: "greet",
   *   title: "Greet",
   *   description: "Says hello.",
   *   params: z.strictObject({ name: z.string() }),
   *   run: ({ params }) => Promise.resolve(`Hello ${params.name}`),
   * });
   * const kv = await Deno.openKv(":memory:");
   * const queue = new Queue({ kv, definitions: [greet], worker: false });
   * await queue.start();
   *
   * const { tasks } = await queue.submitBatch([
   *   { ref: "first", task_type: "greet", input_params: { name: "Ada" } },
   *   { task_type: "greet", input_params: { name: "Grace" }, depends_on: ["first"] },
   * ]);
   * if (tasks[1].task.depends_on[0] !== tasks[0].task.id) throw new Error("not linked");
   * await queue.stop();
   * kv.close();
   * ```
   */
  async submitBatch(
    submissions: Submission[],
    idempotency?: IdempotencyKey,
  ): Promise<{ tasks: TaskState[]; created: boolean }> {
    const { ids, created } = await this.#submitter.submitBatch(submissions, idempotency);
    const known = created ?? (await readTasks(this.#core.kv, ids)).filter((state) => state !== null);
    return { tasks: known, created: created !== null };
  }

  /**
   * Reads a task.
   *
   * @throws {NotFoundError} If there is none.
   */
  get(id: string): Promise<TaskState> {
    return this.#actions.get(id);
  }

  /** Reads tasks by their ids, in this order; those that do not exist are left out. */
  async getAll(ids: readonly string[]): Promise<TaskState[]> {
    return (await readTasks(this.#core.kv, ids)).filter((state) => state !== null);
  }

  /**
   * Reads tasks by filter, newest first by default.
   *
   * @throws {BusyError} If the filter looks inside tasks and too many searches wait.
   *
   * @example
   * ```ts
   * import * as z from "zod";
   * import { defineTask, Queue } from "./mod.ts";
   *
   * const greet = defineTask({
   *   type: "greet",
   *   title: "Greet",
   *   description: "Says hello.",
   *   params: z.strictObject({ name: z.string() }),
   *   run: ({ params }) => Promise.resolve(`Hello ${params.name}`),
   * });
   * const kv = await Deno.openKv(":memory:");
   * const queue = new Queue({ kv, definitions: [greet], worker: false });
   * await queue.start();
   *
   * await queue.submit({ task_type: "greet", input_params: { name: "Ada" }, tags: ["vip"] });
   * const { states } = await queue.list({ statuses: ["PENDING"], tag: "vip" }, 50);
   * if (states.length !== 1) throw new Error("not found");
   * await queue.stop();
   * kv.close();
   * ```
   */
  list(filter: Filter, limit: number, cursor?: string, order?: Order): Promise<Page> {
    const read = () => listTasks(this.#core.kv, filter, limit, cursor, order);
    if (!looksInside(filter)) return read();
    return this.#searches.run(JSON.stringify([filter, limit, cursor, order]), read);
  }

  /**
   * Counts the tasks of a filter by status, whatever statuses the filter names.
   *
   * @returns The counts, and whether they stopped where a list's total does.
   * @throws {BusyError} If it has to read tasks and too many searches wait.
   */
  countByStatus(filter: Filter): Promise<{ by_status: Record<Status, number>; capped: boolean }> {
    const key = JSON.stringify(["by_status", { ...filter, statuses: undefined }]);
    return this.#searches.run(key, () => countByStatus(this.#core.kv, filter));
  }

  /** The tasks that have failed since a time, milliseconds since the epoch, and are still FAILED. */
  failuresSince(from: number): Promise<Failures> {
    return failuresSince(this.#core.kv, from);
  }

  /** The titles of tasks; those that do not exist are left out. */
  async titles(ids: readonly string[]): Promise<Record<string, string>> {
    const states = await readTasks(this.#core.kv, ids);
    return Object.fromEntries(states.flatMap((state) => state ? [[state.task.id, state.task.title]] : []));
  }

  /**
   * Reads the tasks that depend on each other around one of them.
   *
   * @throws {NotFoundError} If there is no such task.
   * @throws {BusyError} If too many searches wait.
   */
  async graph(id: string): Promise<Graph> {
    await this.get(id);
    return await this.#searches.run(`graph ${id}`, () => readGraph(this.#core.kv, id));
  }

  /** The exact number of tasks by type and status. */
  counts(): Promise<Counts> {
    return readCounts(this.#core.kv);
  }

  /** Each caller's open work: number of tasks that have not ended, and bytes of parameters of a kilobyte or more. */
  async openWork(): Promise<OpenWork> {
    return (await readTally(this.#core.kv)).open;
  }

  /** Ids of edited resubmissions of this task, oldest first, at most 20. */
  retriedAs(id: string): Promise<string[]> {
    return readRetriedAs(this.#core.kv, id);
  }

  /**
   * Cancels a task.
   *
   * @param by Who asks; kept with the task.
   * @returns The task: CANCELLED, or still RUNNING if another instance runs it and did not answer within 2 s.
   * @throws {NotFoundError} If there is none.
   * @throws {IllegalTransitionError} If it has ended already.
   */
  cancel(id: string, by: string | null = null): Promise<TaskState> {
    return this.#actions.cancel(id, by);
  }

  /**
   * Runs a failed or cancelled task again, with fresh attempts.
   *
   * @param from `checkpoint` (default): it resumes from its last checkpoint and keeps its finished steps; `start`: from
   * the beginning.
   * @param by Who asks; kept with the task.
   * @param internal Whether tasks of the service's own types may be retried too. Default false.
   * @throws {ForbiddenError} If it is one of them and `internal` is false.
   * @throws {NotFoundError} If there is none.
   * @throws {IllegalTransitionError} If it is in another state.
   *
   * @example
   * ```ts
   * import * as z from "zod";
   * import { defineTask, Queue } from "./mod.ts";
   *
   * const greet = defineTask({
   *   type: "greet",
   *   title: "Greet",
   *   description: "Says hello.",
   *   params: z.strictObject({ name: z.string() }),
   *   run: ({ params }) => Promise.resolve(`Hello ${params.name}`),
   * });
   * const kv = await Deno.openKv(":memory:");
   * const queue = new Queue({ kv, definitions: [greet], worker: false });
   * await queue.start();
   *
   * const { task } = await queue.submit({ task_type: "greet", input_params: { name: "Ada" } });
   * await queue.cancel(task.task.id);
   * const again = await queue.retry(task.task.id);
   * if (again.task.status !== "PENDING") throw new Error("not retried");
   * await queue.stop();
   * kv.close();
   * ```
   */
  retry(
    id: string,
    from: RetryFrom = "checkpoint",
    by: string | null = null,
    internal = false,
  ): Promise<TaskState> {
    return this.#actions.retry(id, from, by, internal);
  }

  /**
   * Submits a task that does what an ended one could not do: of a mailing, the messages that were not sent.
   *
   * @param only `failed`: what was certainly not done; `unknown`: what may have been done already.
   * @param by Who asks; kept with the new task.
   * @returns The new task.
   * @throws {NotFoundError} If there is no such task, or a file that it needs is gone.
   * @throws {IllegalTransitionError} If it has not ended, nothing is left to do, or its type cannot tell.
   */
  async redo(id: string, only: RedoOnly, by: string | null = null): Promise<TaskState> {
    return await this.#redo.submit(await this.get(id), only, by);
  }

  /**
   * Deletes a task that has ended, with its attempts, log, files and checkpoint.
   *
   * @throws {NotFoundError} If there is none.
   * @throws {IllegalTransitionError} If it has not ended, or others that have not ended depend on it.
   */
  delete(id: string, by: string | null = null): Promise<void> {
    return this.#actions.delete(id, by);
  }

  /**
   * Stops starting tasks of a type. Running tasks continue.
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
   * Resumes starting tasks of a type.
   *
   * @throws {NotFoundError} If there is no such type.
   */
  async resume(type: string): Promise<void> {
    await this.#pauses.resume(type);
    this.#core.notifier.ready(type);
  }

  /** Which types are paused. */
  pauses(): Promise<Map<string, PauseInfo>> {
    return this.#pauses.read();
  }

  /** Whether the queue works, and how long the oldest ready task has waited. */
  health(): Promise<Health> {
    const isRunning = this.#started && !this.#stopping && this.#heartbeat.isRegular &&
      (!this.#worker || this.#runner.alive);
    return checkHealth(this.#core, isRunning);
  }

  /** How long the oldest ready task of each type has waited, in milliseconds; types without one are left out. */
  oldestReady(): Promise<Record<string, number>> {
    return oldestReady(this.#core);
  }

  /** Cleans up now instead of at the janitor's next run. */
  clean(): Promise<void> {
    return this.#janitor.clean();
  }

  /** The rate limit of a type, as it is written; null: none. */
  rateOf(definition: AnyTaskDefinition): string | null {
    return this.#runner.rateOf(definition);
  }

  /** Slots of a type and how many of them are in use on this instance. */
  slots(definition: AnyTaskDefinition): { total: number; running: number } {
    return { total: this.#runner.slotsOf(definition), running: this.#runner.runningOf(definition.type) };
  }
}
