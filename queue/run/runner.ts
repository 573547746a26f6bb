/**
 * The runner fills this instance's slots: it claims ready tasks in batches, per type and in order of score, and runs
 * each as an {@linkcode Execution}. A type's `ready` is read only while the type has a free slot, and only its head.
 *
 * @module
 */

import { repeat, type Repeating, within } from "../task/clock.ts";
import { decode, encode } from "../store/codec.ts";
import { askedBy } from "./cancel_requests.ts";
import type { AtomicLimits } from "../store/commit/atomic_size.ts";
import type { AnyTaskDefinition, Registry } from "../define.ts";
import { ConflictError, FencedError } from "../task/errors.ts";
import { Execution, type ExecutionTools } from "./execution.ts";
import { keys } from "../store/keys.ts";
import type { Notifier } from "../watch/notifier.ts";
import type { Pauses } from "./pauses.ts";
import { allowance, parseRate, type Rate } from "../task/rate_limit.ts";
import { RecentMap } from "../recent_map.ts";
import { readReady, readTasks } from "../store/reads.ts";
import type { TaskState } from "../task/record.ts";
import { claim, expire, mayExpire } from "../task/transitions.ts";
import { type Change, type Changeset, emptyChangeset, merge, transition } from "../store/changeset.ts";

/** Most tasks that are claimed at once: what one read of `ready` gives. */
const CLAIM_BATCH = 500;
/** Freshly placed tasks that are remembered, so that a claim need not read them back. */
const REMEMBERED = 4_000;
/** An instance holds at most this many times as many tasks as it has slots: those that run and those that end. */
const MOST_HELD = 4;
/** With other instances at work, a claim takes its tasks from a head of this many times what it needs. */
const SPREAD = 4;

/** How a {@linkcode Runner} is made. */
export interface RunnerOptions extends ExecutionTools {
  registry: Registry;
  notifier: Notifier;
  pauses: Pauses;
  /** What one atomic may hold. */
  limits: AtomicLimits;
  /** Slots by type, over the definition's own number. */
  concurrency: Record<string, number>;
  /** Rate limits by type, over the definition's own. */
  rates: Record<string, string>;
  distributed: boolean;
}

/** Claims and runs tasks. */
export class Runner {
  readonly #options: RunnerOptions;
  /** By type; a task may be here twice, while an attempt that was cancelled has not stopped yet. */
  readonly #running = new Map<string, Set<Execution>>();
  /** By type, how many of them have returned, while their end is being committed: they have no slot any more. */
  readonly #returned = new Map<string, number>();
  readonly #done = new Set<Promise<void>>();
  readonly #filling = new Map<string, Promise<void>>();
  readonly #again = new Set<string>();
  readonly #fresh = new RecentMap<string, { versionstamp: string; state: TaskState }>(REMEMBERED);
  /** By type, tasks that are being submitted as started: each has a slot until its submit is answered. */
  readonly #starting = new Map<string, Map<string, { answered: Promise<void>; tell: () => void }>>();
  /** By type, how many tasks wait for a slot at most, as far as this instance knows; not there: any number. */
  readonly #waiting = new Map<string, number>();
  /** By type, how many tasks have become ready. */
  readonly #arrivals = new Map<string, number>();
  /** When types with a rate limit may be started again. */
  readonly #timers = new Map<string, () => void>();
  #unlisten: (() => void)[] = [];
  #commands: Repeating | null = null;
  #open = false;
  #closing = false;

  constructor(options: RunnerOptions) {
    this.#options = options;
    for (const { type } of options.registry.all()) {
      this.#running.set(type, new Set());
      this.#starting.set(type, new Map());
    }
  }

  /** Whether tasks are being claimed. */
  get alive(): boolean {
    return this.#open;
  }

  /** Starts claiming. */
  start(): void {
    const { registry, notifier, clock, log } = this.#options;
    this.#open = true;
    this.#unlisten = [notifier.on("ready", (type) => {
      if (type !== undefined) this.#fill(type);
      else for (const definition of registry.all()) this.#fill(definition.type);
    })];
    if (this.#options.distributed) {
      this.#commands = repeat(clock, 1_000, () => this.#obey(), (error) => {
        log.warn("Commands could not be read; tried again.", { error });
      });
      this.#unlisten.push(notifier.on("changed", () => this.#commands?.kick()));
    }
    for (const { type } of registry.all()) this.#fill(type);
  }

  /** Takes what this instance has committed: tasks that became ready may be claimed here next. */
  committed(versionstamp: string, changes: Change[]): void {
    if (!this.#open) return;
    for (const { id, before, after } of changes) {
      if (after && !after.run && after.task.placement?.kind === "ready") {
        const { task_type } = after.task;
        this.#fresh.set(id, { versionstamp, state: after });
        this.#waiting.set(task_type, (this.#waiting.get(task_type) ?? Infinity) + 1);
        this.#arrivals.set(task_type, (this.#arrivals.get(task_type) ?? 0) + 1);
      } else this.#fresh.delete(id);
      if (before === null && after?.run) this.#startSubmitted(after);
    }
  }

  /**
   * A new task as one that has started, if there is a slot for it beside those for the tasks that wait: its submit and
   * its start are then one commit. Whoever gets it back with a `run` calls {@linkcode submitted} when it is answered.
   */
  startAtOnce(state: TaskState): TaskState {
    const { clock, committer, distributed, pauses, registry } = this.#options;
    const { id, task_type, placement } = state.task;
    const definition = registry.get(task_type)!;
    // What waits is only known for certain where nobody else has a share in the store.
    if (!this.#open || this.#closing || distributed || placement?.kind !== "ready") return state;
    if (this.rateOf(definition) !== null || pauses.isKnown(task_type)) return state;
    if (this.#free(definition) <= (this.#waiting.get(task_type) ?? Infinity)) return state;
    const { promise: answered, resolve: tell } = Promise.withResolvers<void>();
    this.#starting.get(task_type)!.set(id, { answered, tell });
    return claim(state, committer.instance, clock.now());
  }

  /** The submit of a task that was to start at once has been answered, however. */
  submitted({ id, task_type }: TaskState["task"]): void {
    // It was not started: its slot is free for what waits.
    if (this.#answer(task_type, id)) this.#fill(task_type);
  }

  #answer(type: string, id: string): boolean {
    const starting = this.#starting.get(type)!;
    starting.get(id)?.tell();
    return starting.delete(id);
  }

  #startSubmitted(state: TaskState): void {
    const { task, run } = state;
    // Another instance's, or this one's before it had to start over: recovery hands it back.
    if (run!.instance !== this.#options.committer.instance) return this.submitted(task);
    this.#answer(task.task_type, task.id);
    const definition = this.#options.registry.get(task.task_type)!;
    this.#start(definition, new Execution(this.#options, definition, { task, run: run! }));
  }

  /** Resolves once every submit of a task that was to start at once has been answered. */
  async #noneStarting(types: Iterable<string> = this.#starting.keys()): Promise<void> {
    const starting = [...types].flatMap((type) => [...this.#starting.get(type)?.values() ?? []]);
    await Promise.all(starting.map(({ answered }) => answered));
  }

  #free(definition: AnyTaskDefinition): number {
    const { type } = definition;
    const slots = this.slotsOf(definition);
    const starting = this.#starting.get(type)!.size;
    const free = slots - this.runningOf(type) - starting;
    // A store that is slow to commit their ends must not let returned tasks pile up.
    return Math.min(free, MOST_HELD * slots - this.#running.get(type)!.size - starting);
  }

  /** The execution of a task that runs here. */
  execution(id: string): Execution | undefined {
    let newest: Execution | undefined;
    for (const executions of this.#running.values()) {
      for (const execution of executions) if (execution.id === id) newest = execution;
    }
    return newest;
  }

  /** How many handlers of a type run here. */
  runningOf(type: string): number {
    return (this.#running.get(type)?.size ?? 0) - (this.#returned.get(type) ?? 0);
  }

  /** How many tasks of a type may run here at once. */
  slotsOf(definition: AnyTaskDefinition): number {
    return this.#options.concurrency[definition.type] ?? definition.concurrency ?? 4;
  }

  /** The rate limit of a type, as it is written; null: none. */
  rateOf(definition: AnyTaskDefinition): string | null {
    return this.#options.rates[definition.type] ?? definition.rateLimit ?? null;
  }

  /** Resolves once every claim and every start of a type that was under way has been dealt with. */
  async settle(type: string): Promise<void> {
    await this.#noneStarting([type]);
    while (this.#filling.has(type)) await this.#filling.get(type);
  }

  /** Stops claiming, asks every handler to stop and waits until all have, or are abandoned, or `ms` passed. */
  async stop(ms: number): Promise<void> {
    this.#closing = true;
    await within(this.#options.clock, ms / 2, this.#noneStarting());
    this.#open = false;
    for (const unlisten of this.#unlisten) unlisten();
    for (const cancel of this.#timers.values()) cancel();
    await Promise.all(this.#filling.values());
    for (const executions of this.#running.values()) {
      for (const execution of executions) execution.interrupt();
    }
    await within(this.#options.clock, ms, Promise.all(this.#done));
    await this.#commands?.stop();
    this.loseAll();
  }

  /** The instance is fenced: every handler is aborted and can write nothing more. */
  loseAll(): void {
    for (const executions of this.#running.values()) {
      for (const execution of executions) execution.lose();
    }
  }

  #fill(type: string): void {
    if (!this.#open || !this.#running.has(type)) return;
    if (this.#filling.has(type)) {
      this.#again.add(type);
      return;
    }
    const filling = this.#claimAll(type)
      .catch((error) => {
        // The poll of the notifier comes back to it.
        if (!(error instanceof FencedError)) this.#options.log.warn("A claim failed.", { error, task_type: type });
      })
      .finally(() => {
        this.#filling.delete(type);
        if (this.#again.delete(type)) this.#fill(type);
      });
    this.#filling.set(type, filling);
  }

  async #claimAll(type: string): Promise<void> {
    const definition = this.#options.registry.get(type)!;
    const rate = this.rateOf(definition);
    while (this.#open && !this.#closing) {
      const free = this.#free(definition);
      if (free <= 0) return;
      this.#again.delete(type);
      if (await this.#options.pauses.isPaused(type)) return;
      const more = rate === null
        ? await this.#claimHead(definition, free)
        : await this.#claimWithin(definition, free, parseRate(rate));
      if (!more) return;
    }
  }

  async #claimHead(definition: AnyTaskDefinition, free: number): Promise<boolean> {
    const { type } = definition;
    const wanted = Math.min(free, CLAIM_BATCH);
    const before = this.#arrivals.get(type) ?? 0;
    const entries = await this.#head(type, wanted);
    // A head that is shorter than was asked for is all there is, but for what has come meanwhile.
    if (entries.length < wanted) {
      this.#waiting.set(type, entries.length + (this.#arrivals.get(type) ?? 0) - before);
    }
    const claimed = entries.slice(0, this.#free(definition));
    if (claimed.length === 0) return false;
    await this.#claim(definition, claimed);
    const waiting = this.#waiting.get(type);
    if (waiting !== undefined) this.#waiting.set(type, Math.max(0, waiting - claimed.length));
    return true;
  }

  /** Claims what a rate limit allows: the starts are counted in the same atomic. False: there is nothing to claim. */
  async #claimWithin(definition: AnyTaskDefinition, free: number, rate: Rate): Promise<boolean> {
    const { kv, clock, committer, limits } = this.#options;
    const { type } = definition;
    const stored = await kv.get(keys.rate(type));
    const now = clock.now();
    const window = allowance(stored.value ? decode<number[]>(stored.value) : [], rate, now);
    if (window.free <= 0) {
      if (window.setBack) await committer.commitUnlessConflict(rewriteStarts(stored, window.counting, rate));
      this.#timers.get(type)?.();
      this.#timers.set(type, clock.after(Math.max(1, window.nextAt - now), () => this.#fill(type)));
      return false;
    }
    // The lane and the window have a check of their own.
    const entries = await this.#head(type, Math.min(free, window.free, limits.checks - 2));
    if (entries.length === 0) return false;
    const states = await this.#read(entries);
    const valid: { entry: Deno.KvEntry<unknown>; state: TaskState }[] = [];
    for (const [i, entry] of entries.entries()) {
      const state = states[i];
      if (!state || !this.#isAt(state, entry)) await committer.discard(entry);
      else if (this.#isLate(state)) await this.#expire(state, entry);
      else valid.push({ entry, state });
    }
    if (valid.length === 0) return true;
    // From here to the commit nothing is waited for: the claims are this instance's under the id that it has now.
    const write = emptyChangeset();
    const claimed = valid.map(({ state }) => claim(state, committer.instance, now));
    for (const [i, { entry, state }] of valid.entries()) {
      merge(write, transition(state, claimed[i]));
      write.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
    }
    merge(write, rewriteStarts(stored, [...window.counting, ...claimed.map(() => now)], rate));
    try {
      await committer.commit(write, { asTaskOwner: true });
    } catch (error) {
      if (error instanceof ConflictError) return true;
      throw error;
    }
    for (const state of claimed) this.#start(definition, new Execution(this.#options, definition, state));
    return true;
  }

  #isAt(state: TaskState, entry: Deno.KvEntry<unknown>): boolean {
    const { placement } = state.task;
    return placement?.kind === "ready" && placement.score === entry.key[2];
  }

  #isLate(state: TaskState): boolean {
    return mayExpire(state) && state.task.expires_at! <= this.#options.clock.now();
  }

  async #expire(state: TaskState, entry: Deno.KvEntry<unknown>): Promise<void> {
    const write = transition(state, expire(state, this.#options.clock.now()));
    write.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
    await this.#options.committer.commitUnlessConflict(write);
  }

  async #head(type: string, wanted: number): Promise<Deno.KvEntry<unknown>[]> {
    const { kv, distributed } = this.#options;
    const limit = distributed ? wanted * SPREAD : wanted;
    const entries: Deno.KvEntry<unknown>[] = [];
    for await (const entry of kv.list({ prefix: keys.readyOf(type) }, { limit, batchSize: Math.min(limit, 500) })) {
      entries.push(entry);
    }
    if (entries.length <= wanted) return entries;
    // Instances that took the same head would mostly take it from each other.
    const start = Math.floor(Math.random() * (entries.length - wanted + 1));
    return entries.slice(start, start + wanted);
  }

  async #claim(definition: AnyTaskDefinition, entries: Deno.KvEntry<unknown>[]): Promise<void> {
    const { clock, committer } = this.#options;
    const states = await this.#read(entries);
    const { instance } = committer;
    await Promise.all(entries.map(async (entry, i) => {
      const state = states[i];
      if (!state || !this.#isAt(state, entry)) return await committer.discard(entry);
      if (this.#isLate(state)) return await this.#expire(state, entry);
      const claimed = claim(state, instance, clock.now());
      const write = transition(state, claimed);
      write.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
      try {
        await committer.commit(write, { asTaskOwner: true });
      } catch (error) {
        if (error instanceof ConflictError) return;
        throw error;
      }
      this.#start(definition, new Execution(this.#options, definition, claimed));
    }));
  }

  /** The tasks of `ready` entries. */
  async #read(entries: Deno.KvEntry<unknown>[]): Promise<(TaskState | null)[]> {
    const states = entries.map(({ key, versionstamp }) => {
      const fresh = this.#fresh.get(key[3] as string);
      // An entry and its record are written by one commit: the same versionstamp is the same record.
      return fresh?.versionstamp === versionstamp ? fresh.state : null;
    });
    const unknown = entries.map(({ key }) => key[3] as string).filter((_, i) => !states[i]);
    const read = await readReady(this.#options.kv, unknown);
    return states.map((state) => state ?? read.shift() ?? null);
  }

  #start(definition: AnyTaskDefinition, execution: Execution): void {
    const { type } = definition;
    const executions = this.#running.get(type)!;
    const count = (change: number) => this.#returned.set(type, (this.#returned.get(type) ?? 0) + change);
    executions.add(execution);
    const done = execution.run(() => {
      count(1);
      this.#fill(type);
    }).finally(() => {
      executions.delete(execution);
      count(-1);
      this.#done.delete(done);
      this.#fill(type);
    });
    this.#done.add(done);
  }

  /** Carries out what other instances have asked of the tasks that run here. */
  async #obey(): Promise<void> {
    const { kv, committer } = this.#options;
    for await (const entry of kv.list({ prefix: keys.commandsOf(committer.instance) })) {
      const id = entry.key[2] as string;
      const execution = this.execution(id);
      const by = askedBy(entry.value);
      const held = execution ?? (await readTasks(kv, [id]))[0]?.run?.instance === committer.instance;
      await execution?.cancel(by);
      // A task whose claim has not been answered yet is held, and has no execution: the command waits for it.
      if (execution || !held) await committer.discard(entry);
    }
  }
}

/** The write that replaces the starts which count for a rate limit, if nobody else has. */
function rewriteStarts(
  { key, versionstamp }: Deno.KvEntryMaybe<unknown>,
  starts: number[],
  { windowMs }: Rate,
): Changeset {
  const write = emptyChangeset(`rate:${key[1] as string}`);
  write.checks.push({ key, versionstamp });
  write.puts.push({ key, value: encode(starts), expireIn: 2 * windowMs });
  return write;
}
