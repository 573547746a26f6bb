/**
 * The recoverer takes over the tasks of dead instances. An instance is dead when its heartbeat has not changed for a
 * lease, by the observer's monotonic clock. It is fenced first (its lanes are deleted and their counters folded), and
 * only then are its tasks handed back.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { IDLE_LEASE_MS } from "./heartbeat.ts";
import { repeat, type Repeating } from "../task/clock.ts";
import { decode, encode } from "../store/codec.ts";
import { requestedBy } from "../run/cancel_requests.ts";
import { retire } from "../store/commit/instances.ts";
import type { InstanceRecord } from "../store/commit/committer.ts";
import { keys } from "../store/keys.ts";
import { addUnchangedChecks, readTasks } from "../store/reads.ts";
import { isTerminal, type RunRecord, statusOf } from "../task/record.ts";
import { cancel, giveBack, interrupt } from "../task/transitions.ts";
import { emptyChangeset, merge, transition } from "../store/changeset.ts";

/** When an instance looks at the others for the second time, in milliseconds after its start. */
const SECOND_LOOK_MS = 1_000;

/** Without anything to recover, the instances are read this often. Milliseconds. */
const CALM_LOOK_MS = 60_000;

/** Fences dead instances and hands their tasks back. */
export class Recoverer {
  #job: Repeating | null = null;
  #cancelLook: () => void = () => {};
  #unlisten: () => void = () => {};
  /** When the current value of each heartbeat was first seen, and whether there was another one before. */
  #seen = new Map<string, { versionstamp: string; since: number; moved: boolean }>();
  /** When the instances were last read. */
  #lookedAt = -Infinity;
  /** Whether no other instance held a task then, and no wake-up has come since. */
  #calm = false;
  /** Wake-ups that have come. */
  #stirred = 0;

  constructor(private readonly core: Core, private readonly leaseMs: number) {}

  /** Whether an instance is known to be alive: its heartbeat has just changed. */
  isAlive(instance: string): boolean {
    if (instance === this.core.committer.instance) return true;
    const seen = this.#seen.get(instance);
    return seen !== undefined && seen.moved && this.core.clock.monotonic() - seen.since < this.leaseMs * 2 / 3;
  }

  /** Looks for dead instances three times per lease, or each minute while the others hold nothing. */
  start(): void {
    // Another instance may have claimed a task.
    this.#unlisten = this.core.notifier.on("anything", () => this.#stir());
    this.#job = repeat(
      this.core.clock,
      this.leaseMs / 3,
      async () => {
        if (this.#calm && this.core.clock.monotonic() - this.#lookedAt < CALM_LOOK_MS) return;
        await this.#run(this.leaseMs);
      },
      (error) => this.core.log.warn("A recovery failed; will retry.", { error }),
    );
    // Instances are often started together: soon they know of each other.
    this.#cancelLook = this.core.clock.after(Math.min(SECOND_LOOK_MS, this.leaseMs / 3), () => this.look());
  }

  /** Looks now. */
  look(): void {
    this.#stir();
    this.#job?.kick();
  }

  #stir(): void {
    this.#stirred++;
    this.#calm = false;
  }

  /** Stops and waits for a run under way. */
  async stop(): Promise<void> {
    this.#cancelLook();
    this.#unlisten();
    await this.#job?.stop();
  }

  /** Recovers every other instance without waiting: for the sole owner of a store. */
  async recoverAll(): Promise<void> {
    await this.#run(0);
  }

  async #run(leaseMs: number): Promise<void> {
    const lookedAt = this.core.clock.monotonic();
    const stirred = this.#stirred;
    let calm = true;
    // Tasks are read before instances: an instance is registered before it claims a task.
    const held: { id: string; instance: string; versionstamp: string }[] = [];
    for await (const entry of this.core.kv.list({ prefix: keys.runs() }, { batchSize: 500 })) {
      const { instance } = decode<RunRecord>(entry.value);
      held.push({ id: entry.key[1] as string, instance, versionstamp: entry.versionstamp });
    }
    const living = new Set<string>();
    const workers: string[] = [];
    const now = this.core.clock.monotonic();
    for await (const entry of this.core.kv.list({ prefix: keys.instances() }, { batchSize: 500 })) {
      const instance = entry.key[1] as string;
      const { worker, idle = false } = decode<InstanceRecord>(entry.value);
      const seen = this.#seen.get(instance);
      if (instance !== this.core.committer.instance) {
        if (seen?.versionstamp !== entry.versionstamp) {
          this.#seen.set(instance, { versionstamp: entry.versionstamp, since: now, moved: seen !== undefined });
        }
        if (!idle) calm = false;
        const silent = now - this.#seen.get(instance)!.since;
        if (
          silent >= (idle && leaseMs > 0 ? IDLE_LEASE_MS : leaseMs) &&
          await retire(this.core.kv, this.core.clock, instance, entry.versionstamp)
        ) {
          this.core.log.warn("A dead instance was recovered.", { instance });
          // Idle instances of a host that ends them without a word are no loss; the owner of a file says nothing of it.
          if (!idle || leaseMs === 0) await this.#noteLoss(instance);
          continue;
        }
      }
      living.add(instance);
      if (worker) workers.push(instance);
    }
    const { peers, committer } = this.core;
    Object.assign(peers, {
      index: Math.max(0, workers.indexOf(committer.instance)),
      count: Math.max(1, workers.length),
    });
    for (const instance of this.#seen.keys()) {
      if (!living.has(instance)) this.#seen.delete(instance);
    }
    if (held.some(({ instance }) => instance !== committer.instance)) calm = false;
    await this.#redirect(living);
    const orphans = held.filter(({ instance }) => !living.has(instance));
    await Promise.all(orphans.map((orphan) =>
      // A task that cannot be handed back does not block the others, and is retried.
      this.#handBack(orphan).catch((error) =>
        this.core.log.error("A task could not be handed back.", { error, task_id: orphan.id })
      )
    ));
    // A wake-up in the meantime may tell of another claim.
    if (calm && this.#stirred === stirred) this.#calm = true;
    this.#lookedAt = lookedAt;
  }

  /** Remembers for a day that an instance has died. */
  async #noteLoss(instance: string): Promise<void> {
    const changeset = emptyChangeset(`lost:${instance}`);
    const key = keys.lostInstance(this.core.clock.now(), instance);
    changeset.puts.push({ key, value: encode(0), expireIn: 86_400_000 });
    await this.core.committer.commit(changeset).catch((error) => {
      this.core.log.warn("That an instance has died could not be stored.", { error, instance });
    });
  }

  /** Carries out cancel requests to instances that are gone. */
  async #redirect(living: Set<string>): Promise<void> {
    for await (const entry of this.core.kv.list({ prefix: keys.cancelRequests() }, { batchSize: 100 })) {
      const [, instance, id] = entry.key as string[];
      if (living.has(instance)) continue;
      const [state] = await readTasks(this.core.kv, [id]);
      const changeset = emptyChangeset(`cancel_request:${id}`);
      changeset.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
      changeset.deletes.push(entry.key);
      if (state?.run?.instance === instance) continue; // It is handed back first, with the cancel request.
      if (state?.run) {
        changeset.puts.push({
          key: keys.cancelRequest(state.run.instance, id),
          value: entry.value as Uint8Array<ArrayBuffer>,
        });
      } else if (state && !isTerminal(statusOf(state))) {
        const cancelled = cancel(state, this.core.clock.now(), requestedBy(entry.value));
        const guarded = await addUnchangedChecks(this.core.kv, state, transition(state, cancelled));
        if (!guarded) continue;
        merge(changeset, guarded);
      }
      await this.core.committer.commitUnlessConflict(changeset);
    }
  }

  async #handBack({ id, instance, versionstamp }: { id: string; instance: string; versionstamp: string }) {
    const [state] = await readTasks(this.core.kv, [id]);
    if (state?.run?.instance !== instance) return;
    const now = this.core.clock.now();
    const command = await this.core.kv.get(keys.cancelRequest(instance, id));
    // What was claimed ahead has waited for a slot: that was no attempt.
    const unended = () => state.run!.waiting ? giveBack(state) : interrupt(state, now, true);
    const changeset = transition(state, command.value ? cancel(state, now, requestedBy(command.value)) : unended());
    changeset.checks.push({ key: keys.run(id), versionstamp });
    if (command.value) changeset.deletes.push(command.key);
    await this.core.committer.commitUnlessConflict(changeset);
  }
}
