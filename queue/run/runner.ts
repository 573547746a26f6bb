/**
 * The runner fills this instance's slots: it claims ready tasks in batches, per type and in order of score, and runs
 * each as an {@linkcode Execution}. A type's `ready` is read only while the type has a free slot, and only its head.
 *
 * @module
 */

import { repeat, type Repeating, within } from "../task/clock.ts";
import { requestedBy } from "./cancel_requests.ts";
import { ClaimOnSubmit } from "./claim_on_submit.ts";
import { Claims } from "./claims.ts";
import type { Core } from "../core.ts";
import type { AnyTaskDefinition } from "../define.ts";
import { FencedError } from "../task/errors.ts";
import { Execution } from "./execution.ts";
import { keys } from "../store/keys.ts";
import type { Pauses } from "./pauses.ts";
import { parseRate } from "../task/rate_limit.ts";
import { readTasks } from "../store/reads.ts";
import type { RunRecord, TaskState } from "../task/record.ts";
import { claim } from "../task/transitions.ts";
import type { Change } from "../store/changeset.ts";

/** The most tasks that an instance owns per slot, counting those that run and those that end. */
const MOST_HELD = 4;
/** How often cancel requests of other instances are polled, in milliseconds. */
const CANCEL_POLL_MS = 1_000;

/** Options of a {@linkcode Runner}. */
export interface RunnerOptions {
  /** Slots by type; overrides the definition's number. */
  concurrency: Record<string, number>;
  /** Rate limits by type; overrides the definition's. */
  rates: Record<string, string>;
  /** Whether this instance certainly still holds its lease. */
  holdsLease(): boolean;
}

/** Claims and runs tasks. */
export class Runner {
  readonly #core: Core;
  readonly #pauses: Pauses;
  readonly #options: RunnerOptions;
  readonly #claims: Claims;
  readonly #onSubmit = new ClaimOnSubmit();
  /** By type; a task may appear twice while a cancelled attempt has not stopped yet. */
  readonly #running = new Map<string, Set<Execution>>();
  /** By type, how many of them have returned but are still committing their end: they no longer have a slot. */
  readonly #returned = new Map<string, number>();
  readonly #done = new Set<Promise<void>>();
  readonly #filling = new Map<string, Promise<void>>();
  readonly #again = new Set<string>();
  /** By type, cancels the timer for the next start that a rate limit allows. */
  readonly #timers = new Map<string, () => void>();
  #unlisten: (() => void)[] = [];
  #cancelRequests: Repeating | null = null;
  #open = false;
  #closing = false;

  constructor(core: Core, pauses: Pauses, options: RunnerOptions) {
    this.#core = core;
    this.#pauses = pauses;
    this.#options = options;
    this.#claims = new Claims(core);
  }

  /** Claims that were committed, and those that were refused. */
  get claimStats(): { committed: number; refused: number } {
    return this.#claims.stats;
  }

  /** Whether tasks are being claimed. */
  get alive(): boolean {
    return this.#open;
  }

  /** Starts claiming. */
  async start(): Promise<void> {
    const { registry, notifier, clock, log } = this.#core;
    const types = registry.all().map(({ type }) => type);
    for (const type of types) this.#running.set(type, new Set());
    if (!this.#core.distributed) await this.#claims.open(types);
    this.#open = true;
    this.#unlisten = [notifier.on("ready", (type) => {
      if (type !== undefined) this.#fill(type);
      else for (const definition of registry.all()) this.#fill(definition.type);
    })];
    if (this.#core.distributed) {
      this.#cancelRequests = repeat(clock, CANCEL_POLL_MS, () => this.#handleCancelRequests(), (error) => {
        log.warn("The cancel requests could not be read; trying again.", { error });
      });
      this.#unlisten.push(notifier.on("changed", () => this.#cancelRequests?.kick()));
    }
    for (const { type } of registry.all()) this.#fill(type);
  }

  /** Handles a commit of this instance: tasks that became ready may be claimed here next. */
  committed(versionstamp: string, changes: Change[]): void {
    if (!this.#open) return;
    for (const { id, before, after } of changes) {
      const isReady = after !== null && !after.run && after.task.placement?.kind === "ready";
      this.#claims.remember(id, versionstamp, isReady ? after : null);
      if (isReady) this.#onSubmit.arrived(after.task.task_type);
      if (before === null && after?.run) this.#startSubmitted(after);
    }
  }

  /**
   * Claims a new task if there is a slot for it besides those for waiting tasks, so that its submit and its start are
   * one commit. A caller that gets it back with a `run` must call {@linkcode submitAnswered} in the end.
   */
  claimOnSubmit(state: TaskState): TaskState {
    const { clock, committer, distributed, registry } = this.#core;
    const { id, task_type, placement } = state.task;
    const definition = registry.get(task_type)!;
    // The waiting tasks are only known for certain where no other instance shares the store.
    if (!this.#open || this.#closing || distributed || placement?.kind !== "ready") return state;
    if (this.rateOf(definition) !== null || this.#pauses.isKnown(task_type)) return state;
    if (!this.#onSubmit.mayReserve(task_type, this.#free(definition))) return state;
    this.#onSubmit.reserve(task_type, id);
    return claim(state, committer.instance, clock.now());
  }

  /** The submit of a task claimed on submit has been answered, whatever the outcome. */
  submitAnswered({ id, task_type }: TaskState["task"]): void {
    // It was not started: its slot is free for waiting tasks.
    if (this.#onSubmit.release(task_type, id)) this.#fill(task_type);
  }

  #startSubmitted(state: TaskState): void {
    const { task, run } = state;
    // Claimed by another instance, or under an earlier id of this one: recovery hands it back.
    if (run!.instance !== this.#core.committer.instance) return this.submitAnswered(task);
    this.#onSubmit.release(task.task_type, task.id);
    this.#start(this.#core.registry.get(task.task_type)!, { task, run: run! });
  }

  #free(definition: AnyTaskDefinition): number {
    const { type } = definition;
    const slots = this.slotsOf(definition);
    const starting = this.#onSubmit.reserved(type);
    const free = slots - this.runningOf(type) - starting;
    // Returned tasks must not pile up while the store is slow to commit their ends.
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
    return this.#options.concurrency[definition.type] ?? definition.concurrency;
  }

  /** The rate limit of a type, as it is written; null: none. */
  rateOf(definition: AnyTaskDefinition): string | null {
    return this.#options.rates[definition.type] ?? definition.rateLimit ?? null;
  }

  /** Resolves once every claim and start of a type that was in progress is complete. */
  async settle(type: string): Promise<void> {
    await this.#onSubmit.settled([type]);
    while (this.#filling.has(type)) await this.#filling.get(type);
  }

  /** Stops claiming, asks every handler to stop and waits up to `ms` until all have stopped or are abandoned. */
  async stop(ms: number): Promise<void> {
    this.#closing = true;
    await within(this.#core.clock, ms / 2, this.#onSubmit.settled());
    this.#open = false;
    for (const unlisten of this.#unlisten) unlisten();
    for (const cancel of this.#timers.values()) cancel();
    await Promise.all(this.#filling.values());
    for (const executions of this.#running.values()) {
      for (const execution of executions) execution.interrupt();
    }
    await within(this.#core.clock, ms, Promise.all(this.#done));
    await this.#cancelRequests?.stop();
    this.loseLease();
  }

  /** The instance is fenced: every handler is aborted and can write nothing more. */
  loseLease(): void {
    for (const executions of this.#running.values()) {
      for (const execution of executions) execution.loseLease();
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
        // The notifier's next poll retries it.
        if (!(error instanceof FencedError)) this.#core.log.warn("A claim failed.", { error, task_type: type });
      })
      .finally(() => {
        this.#filling.delete(type);
        if (this.#again.delete(type)) this.#fill(type);
      });
    this.#filling.set(type, filling);
  }

  async #claimAll(type: string): Promise<void> {
    const definition = this.#core.registry.get(type)!;
    const limit = this.rateOf(definition);
    const rate = limit === null ? null : parseRate(limit);
    while (this.#open && !this.#closing) {
      if (this.#free(definition) <= 0) return;
      this.#again.delete(type);
      if (await this.#pauses.isPaused(type)) return;
      const arrivals = this.#onSubmit.arrivalsOf(type);
      const { count, more, again } = await this.#claims.claim(
        definition,
        () => this.#free(definition),
        rate,
        (state) => this.#start(definition, state),
        (ready) => this.#onSubmit.allRead(type, ready, arrivals),
      );
      this.#onSubmit.claimed(type, count);
      if (again !== undefined) {
        this.#timers.get(type)?.();
        this.#timers.set(type, this.#core.clock.after(again, () => this.#fill(type)));
      }
      if (!more) return;
    }
  }

  #start(definition: AnyTaskDefinition, state: TaskState & { run: RunRecord }): void {
    const { type } = definition;
    const execution = new Execution(this.#core, this.#options.holdsLease, definition, state);
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

  /** Carries out other instances' cancel requests for tasks that run here. */
  async #handleCancelRequests(): Promise<void> {
    const { kv, committer } = this.#core;
    for await (const entry of kv.list({ prefix: keys.cancelRequestsOf(committer.instance) })) {
      const id = entry.key[2] as string;
      const execution = this.execution(id);
      const by = requestedBy(entry.value);
      const held = execution ?? (await readTasks(kv, [id]))[0]?.run?.instance === committer.instance;
      await execution?.cancel(by);
      // A task whose claim is still in flight is owned but has no execution yet: the cancel request is kept.
      if (execution || !held) await committer.deleteIfUnchanged(entry);
    }
  }
}
