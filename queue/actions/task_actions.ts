/**
 * Actions on existing tasks: cancel, retry, delete.
 *
 * @module
 */

import { ACTION_STATUSES } from "../task/actions.ts";
import type { Core } from "../core.ts";
import { delay } from "../task/clock.ts";
import { encode } from "../store/codec.ts";
import {
  ClosedError,
  ForbiddenError,
  IllegalTransitionError,
  NotFoundError,
  OutcomeUnknownError,
} from "../task/errors.ts";
import { isId } from "../task/ids.ts";
import { keys } from "../store/keys.ts";
import { claimUniqueKey } from "../submit/deduplication.ts";
import { addUnchangedChecks, readTask, readTasks } from "../store/reads.ts";
import type { CancelRequest } from "../run/cancel_requests.ts";
import type { Runner } from "../run/runner.ts";
import { isTerminal, statusOf, type TaskState } from "../task/record.ts";
import { cancel, isLegal, retry, type RetryFrom } from "../task/transitions.ts";
import { emptyChangeset, transition } from "../store/changeset.ts";

/** How long an answer waits for another instance that runs the task. */
const COMMAND_WAIT_MS = 2_000;

/** Cancels, retries and deletes tasks. */
export class TaskActions {
  #stopping = false;

  constructor(private readonly core: Core, private readonly runner: Runner) {}

  /** Refuses actions that are not done yet. */
  stop(): void {
    this.#stopping = true;
  }

  /** @throws {NotFoundError} If there is no such task. */
  async get(id: string): Promise<TaskState> {
    const state = isId(id) ? await readTask(this.core.kv, id) : null;
    if (!state) throw new NotFoundError(`Task ${id.slice(0, 64)}`);
    return state;
  }

  /** See {@linkcode Queue.cancel}. */
  async cancel(id: string, by: string | null): Promise<TaskState> {
    const until = this.core.clock.monotonic() + COMMAND_WAIT_MS;
    while (true) {
      if (this.#stopping) throw new ClosedError();
      if (this.core.clock.monotonic() > until) throw new OutcomeUnknownError();
      const state = await this.get(id);
      const status = statusOf(state);
      if (isTerminal(status)) throw new IllegalTransitionError(`Task ${id} has already ended: it is ${status}.`);
      if (state.run) {
        const ended = state.run.instance === this.core.committer.instance
          ? await this.runner.execution(id)?.cancel(by)
          : await this.#askHolder(state.run.instance, id, by);
        if (ended?.task.status === "CANCELLED" || ended?.run) {
          this.core.log.info(ended.run ? "The task's instance was asked to cancel it." : "A task was cancelled.", {
            task_id: id,
            by,
          });
          return ended;
        }
        // It has ended, moved on or is just being started: try again.
        await delay(this.core.clock, 10);
        continue;
      }
      const cancelled = cancel(state, this.core.clock.now(), by);
      if (!await this.#move(state, cancelled)) continue;
      this.core.log.info("A task was cancelled.", { task_id: id, by });
      return cancelled;
    }
  }

  /** Asks the instance that runs a task to cancel it, and waits for the result. */
  async #askHolder(instance: string, id: string, by: string | null): Promise<TaskState | null> {
    const changeset = emptyChangeset(`cancel_request:${id}`);
    changeset.puts.push({
      key: keys.cancelRequest(instance, id),
      value: encode({ at: this.core.clock.now(), by } satisfies CancelRequest),
    });
    await this.core.committer.commit(changeset);
    const until = this.core.clock.monotonic() + COMMAND_WAIT_MS;
    while (true) {
      const state = await this.get(id);
      if (state.run?.instance !== instance) return state.run ? null : state;
      if (this.core.clock.monotonic() >= until) return state;
      await delay(this.core.clock, 50);
    }
  }

  /** See {@linkcode Queue.retry}. */
  async retry(id: string, from: RetryFrom, by: string | null, internal: boolean): Promise<TaskState> {
    while (true) {
      const state = await this.get(id);
      const status = statusOf(state);
      if (!isLegal("retry", status)) {
        throw new IllegalTransitionError(`Only FAILED and CANCELLED tasks can be retried; task ${id} is ${status}.`);
      }
      const definition = this.core.registry.get(state.task.task_type);
      if (!definition) {
        throw new IllegalTransitionError(`The task type ${state.task.task_type} no longer exists.`);
      }
      if (definition.internal && !internal) {
        throw new ForbiddenError(`Task ${id} is an internal task: only an admin can retry it, and not in bulk.`);
      }
      const again = retry(state, this.core.clock.now(), from, by);
      if (again.task.placement?.kind === "blocked") await this.#assertParents(state.task.depends_on);
      const changeset = transition(state, again);
      if (state.task.unique_key !== null) {
        const other = await claimUniqueKey(
          this.core.kv,
          changeset,
          { key: state.task.unique_key, states: [...ACTION_STATUSES.cancel] },
          state.task,
        );
        if (other) throw new IllegalTransitionError(`Task ${other} has the same unique key and has not ended.`);
      }
      if (
        !await addUnchangedChecks(this.core.kv, state, changeset) ||
        !await this.core.committer.commitUnlessConflict(changeset)
      ) continue;
      this.core.log.info("A task was retried.", { task_id: id, by, from });
      return again;
    }
  }

  /** @throws {IllegalTransitionError} If a dependency keeps the task from ever starting. */
  async #assertParents(parents: string[]): Promise<void> {
    const states = await readTasks(this.core.kv, parents);
    states.forEach((state, i) => {
      const status = state ? statusOf(state) : null;
      if (status === "FAILED" || status === "CANCELLED") {
        throw new IllegalTransitionError(
          `“${state!.task.title}” (${parents[i]}), on which it depends, is ${status}: retry it first.`,
        );
      }
      if (status === null) {
        throw new IllegalTransitionError(`Task ${parents[i]}, on which it depends, no longer exists.`);
      }
    });
  }

  /** See {@linkcode Queue.delete}. */
  async delete(id: string, by: string | null): Promise<void> {
    while (true) {
      const state = await this.get(id);
      const status = statusOf(state);
      if (!isTerminal(status)) throw new IllegalTransitionError(`Task ${id} is ${status}: cancel it first.`);
      const removed = await this.core.removal.remove(state);
      if (removed === "removed") return this.core.log.info("A task was deleted.", { task_id: id, by });
      if (removed === "needed") throw new IllegalTransitionError(`Tasks that have not ended depend on task ${id}.`);
    }
  }

  /** Moves a task that is not running, if it is still in the state `before`; false: try again. */
  async #move(before: TaskState, after: TaskState): Promise<boolean> {
    const changeset = await addUnchangedChecks(this.core.kv, before, transition(before, after));
    return changeset !== null && await this.core.committer.commitUnlessConflict(changeset);
  }
}
