/**
 * The runner fills this instance's slots: it claims ready tasks in batches, per type and in order of score, and runs
 * each as an {@linkcode Execution}. Only the head of a type's `ready` is read, and only while the type has a free slot or
 * is so fast that it soon will.
 *
 * @module
 */

import { nextTick } from "node:process";
import { setImmediate } from "node:timers";
import { within } from "../task/clock.ts";
import { CancelRequests } from "./cancel_requests.ts";
import { ClaimOnSubmit } from "./claim_on_submit.ts";
import { Claims } from "./claims.ts";
import type { Core } from "../core.ts";
import type { AnyTaskDefinition } from "../define.ts";
import { FencedError } from "../task/errors.ts";
import { Execution } from "./execution.ts";
import { HeldTasks } from "./held_tasks.ts";
import type { Pauses } from "./pauses.ts";
import { parseRate } from "../task/rate_limit.ts";
import type { RunningState, TaskState } from "../task/record.ts";
import { claim } from "../task/transitions.ts";
import type { Change } from "../store/changeset.ts";

/**
 * Tasks are claimed ahead that are expected to start within this time: about what a claim takes. Milliseconds, on a file
 * and where instances share a store.
 */
const AHEAD_MS = { file: 20, shared: 100 };
/** A task that was claimed ahead is given back if it has waited for a slot for so many times that long. */
const GIVE_BACK_AFTER = 5;

/** After a claim that failed, the next one comes after this time. Milliseconds. */
const RETRY_MS = 5_000;

/** Options of a {@linkcode Runner}. */
export interface RunnerOptions {
  /** Slots by type; overrides the definition's number. */
  concurrency: Record<string, number>;
  /** Rate limits by type; overrides the definition's. */
  rates: Record<string, string>;
  /** Whether this instance certainly still holds its lease. */
  holdsLease(): boolean;
  /** Resolves once the other instances can know that this one may hold tasks. */
  wake(): Promise<void>;
}

/** Claims and runs tasks. */
export class Runner {
  readonly #core: Core;
  readonly #pauses: Pauses;
  readonly #options: RunnerOptions;
  readonly #claims: Claims;
  readonly #onSubmit = new ClaimOnSubmit();
  /** The types that tasks are claimed of. */
  readonly #types = new Map<string, HeldTasks>();
  /** The newest attempt of each task that is held here. */
  readonly #newest = new Map<string, Execution>();
  /** Attempts that were started in this turn of the event loop. */
  #started: Execution[] = [];
  readonly #filling = new Map<string, Promise<void>>();
  readonly #again = new Set<string>();
  /** By type, cancels the timer for the next start that a rate limit allows. */
  readonly #timers = new Map<string, () => void>();
  #unlisten: (() => void)[] = [];
  readonly #cancelRequests: CancelRequests;
  #open = false;
  #closing = false;

  constructor(core: Core, pauses: Pauses, options: RunnerOptions) {
    this.#core = core;
    this.#pauses = pauses;
    this.#options = options;
    this.#claims = new Claims(core, pauses, options.wake);
    this.#cancelRequests = new CancelRequests(core, (id) => this.execution(id), () => this.isHolding);
  }

  /** Claims that were committed, and those that were refused. */
  get claimStats(): { committed: number; refused: number } {
    return this.#claims.stats;
  }

  /** Whether tasks are held here or about to be. */
  get isHolding(): boolean {
    return this.#claims.committing || this.#newest.size > 0 ||
      [...this.#types.values()].some(({ executions }) => executions.size > 0);
  }

  /** Whether tasks are being claimed. */
  get alive(): boolean {
    return this.#open;
  }

  /** Starts claiming. */
  async start(): Promise<void> {
    const { registry, notifier } = this.#core;
    for (const definition of registry.all()) {
      this.#types.set(
        definition.type,
        new HeldTasks(this.slotsOf(definition), this.rateOf(definition) === null ? this.#aheadMs : 0),
      );
    }
    if (!this.#core.distributed) await this.#claims.open([...this.#types.keys()]);
    this.#open = true;
    this.#unlisten = [notifier.on("ready", (type) => {
      if (type !== undefined) this.#fill(type);
      else for (const type of this.#types.keys()) this.#fill(type);
    })];
    if (this.#core.distributed) this.#cancelRequests.start();
    for (const type of this.#types.keys()) this.#fill(type);
  }

  /** Handles a commit of this instance: tasks that became ready may be claimed here next. */
  committed(changes: Change[]): void {
    if (!this.#open) return;
    for (const { before, after } of changes) {
      const isReady = after !== null && !after.run && after.task.placement?.kind === "ready";
      if (isReady) {
        this.#claims.arrived(after);
        this.#onSubmit.arrived(after.task.task_type);
      }
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
    const free = Math.min(this.#free(task_type), this.#wanted(task_type));
    if (!this.#onSubmit.mayReserve(task_type, free)) return state;
    this.#onSubmit.reserve(task_type, id);
    return claim(state, committer.instance, clock.now());
  }

  /** The submit of a task claimed on submit has been answered, whatever the outcome. */
  submitAnswered({ id, task_type }: TaskState["task"]): void {
    // It was not started: its slot is free for waiting tasks.
    if (!this.#onSubmit.release(task_type, id)) return;
    this.#startWaiting(task_type);
    this.#fill(task_type);
  }

  #startSubmitted(state: TaskState): void {
    const { task, run } = state;
    // Claimed by another instance, or under an earlier id of this one: recovery hands it back.
    if (run!.instance !== this.#core.committer.instance) return this.submitAnswered(task);
    this.#onSubmit.release(task.task_type, task.id);
    this.#hold(this.#core.registry.get(task.task_type)!, { task, run: run! });
  }

  get #aheadMs(): number {
    return this.#core.distributed ? AHEAD_MS.shared : AHEAD_MS.file;
  }

  /** How many slots of a type are neither occupied nor reserved for submits. */
  #free(type: string): number {
    return this.#types.get(type)!.free - this.#onSubmit.reserved(type);
  }

  /** How many tasks of a type may be claimed now. */
  #wanted(type: string): number {
    return Math.max(0, this.#types.get(type)!.wanted - this.#onSubmit.reserved(type));
  }

  /** The newest attempt of a task that is held here. */
  execution(id: string): Execution | undefined {
    return this.#newest.get(id);
  }

  /** How many handlers of a type run here. */
  runningOf(type: string): number {
    return this.#types.get(type)?.running ?? 0;
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
    await this.#giveBack(type);
  }

  /** Gives tasks back that were claimed ahead and have not been started. */
  async #giveBack(type: string): Promise<void> {
    const held = this.#types.get(type);
    held?.cancelWait();
    const waiting = held?.waiting.splice(0) ?? [];
    await Promise.all(waiting.map(async (execution) => {
      // Fenced or closed: this instance may no longer write; recovery gives it back.
      await execution.giveBack().catch(() => {});
      this.#remove(type, execution);
    }));
    this.#fill(type);
  }

  /** Stops claiming, asks every handler to stop and waits up to `ms` until all have stopped or are abandoned. */
  async stop(ms: number): Promise<void> {
    this.#closing = true;
    await within(this.#core.clock, ms / 2, this.#onSubmit.settled());
    this.#open = false;
    for (const unlisten of this.#unlisten) unlisten();
    for (const cancel of this.#timers.values()) cancel();
    await Promise.all(this.#filling.values());
    const given = [...this.#types.keys()].map((type) => this.#giveBack(type));
    const held = [...this.#types.values()].flatMap(({ executions }) => [...executions]);
    for (const execution of held) execution.interrupt();
    await within(this.#core.clock, ms, Promise.all([...given, ...held.map(({ done }) => done)]));
    await this.#cancelRequests.stop();
    this.loseLease();
  }

  /** The instance is fenced: every handler is aborted and can write nothing more. */
  loseLease(): void {
    for (const { executions } of this.#types.values()) {
      for (const execution of executions) execution.loseLease();
    }
  }

  #fill(type: string): void {
    if (!this.#open || !this.#types.has(type)) return;
    if (this.#filling.has(type)) {
      this.#again.add(type);
      return;
    }
    const filling = this.#claimAll(type)
      .catch((error) => {
        if (!(error instanceof FencedError)) this.#core.log.warn("A claim failed.", { error, task_type: type });
        this.#fillIn(type, RETRY_MS);
      })
      .finally(() => {
        this.#filling.delete(type);
        if (this.#again.delete(type)) this.#fill(type);
      });
    this.#filling.set(type, filling);
  }

  #fillIn(type: string, ms: number): void {
    this.#timers.get(type)?.();
    if (this.#open) this.#timers.set(type, this.#core.clock.after(ms, () => this.#fill(type)));
  }

  async #claimAll(type: string): Promise<void> {
    const definition = this.#core.registry.get(type)!;
    const limit = this.rateOf(definition);
    const rate = limit === null ? null : parseRate(limit);
    while (this.#open && !this.#closing) {
      if (this.#wanted(type) <= 0) return;
      this.#again.delete(type);
      // Other handlers may return in this turn of the event loop: one claim is for all of them.
      if (this.#core.distributed) await new Promise<void>((resolve) => setImmediate(resolve));
      const arrivals = this.#onSubmit.arrivalsOf(type);
      const { count, more, again } = await this.#claims.claim(
        definition,
        () => this.#wanted(type),
        () => this.#free(type),
        rate,
        (state) => this.#hold(definition, state),
        (ready) => this.#onSubmit.allRead(type, ready, arrivals),
      );
      this.#onSubmit.claimed(type, count);
      if (again !== undefined) this.#fillIn(type, again);
      if (!more) return;
    }
  }

  /** Runs a claimed task: now, or as soon as there is a slot. */
  #hold(definition: AnyTaskDefinition, state: RunningState): void {
    const { type } = definition;
    const held = this.#types.get(type)!;
    const execution = new Execution(this.#core, this.#options.holdsLease, definition, state);
    held.executions.add(execution);
    this.#newest.set(execution.id, execution);
    // Slots that are reserved for submits are not for what was claimed ahead.
    const free = state.run.waiting ? this.#free(type) : held.free;
    if (free > 0) return this.#start(type, execution);
    held.waiting.push(execution);
    if (held.waiting.length === 1) this.#limitWait(type, execution);
  }

  /** Gives what waits back if the first of it is not started in time: the handlers are not as fast as they were. */
  #limitWait(type: string, first: Execution): void {
    const held = this.#types.get(type)!;
    held.cancelWait = this.#core.clock.after(GIVE_BACK_AFTER * this.#aheadMs, () => {
      if (held.waiting[0] !== first) return this.#limitWait(type, held.waiting[0]);
      held.slowDown();
      void this.#giveBack(type);
    });
  }

  #start(type: string, execution: Execution): void {
    const held = this.#types.get(type)!;
    held.running++;
    if (this.#started.push(execution) === 1) nextTick(() => this.#watchStarted());
    const onReturned = (ms: number) => {
      held.returned(ms);
      this.#startWaiting(type);
      this.#fill(type);
    };
    execution.done = execution.run(onReturned).then(() => {
      this.#remove(type, execution);
      this.#fill(type);
    });
  }

  #startWaiting(type: string): void {
    const held = this.#types.get(type)!;
    while (held.waiting.length > 0 && this.#free(type) > 0) {
      const next = held.waiting.shift()!;
      // What has ended meanwhile was cancelled.
      if (next.ended) this.#remove(type, next);
      else this.#start(type, next);
    }
    if (held.waiting.length === 0) held.cancelWait();
  }

  #watchStarted(): void {
    const started = this.#started;
    this.#started = [];
    for (const execution of started) execution.watch();
  }

  #remove(type: string, execution: Execution): void {
    this.#types.get(type)!.executions.delete(execution);
    if (this.#newest.get(execution.id) === execution) this.#newest.delete(execution.id);
  }
}
