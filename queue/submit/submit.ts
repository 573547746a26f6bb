/**
 * Submitting: creates tasks, links them to the uploads and tasks that they name, and makes sure that an idempotency
 * key or a unique key creates only one task.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { type Changeset, emptyChangeset, move } from "../store/changeset.ts";
import { encode } from "../store/codec.ts";
import { excessOf } from "../store/commit/atomic_size.ts";
import { keys } from "../store/keys.ts";
import { getAll } from "../store/kv.ts";
import { InvalidInputError } from "../task/errors.ts";
import type { TaskRecord, TaskState } from "../task/record.ts";
import { claimIdempotencyKey, claimUniqueKey, fingerprint, type IdempotencyKey } from "./deduplication.ts";
import { assertParents, notifyDependents, resolveRefs } from "./dependencies.ts";
import { type CheckedParams, checkParams, newTask, type Submission } from "./new_task.ts";
import { MAX_BATCH } from "../task/limits.ts";
import type { Uploads } from "./uploads.ts";

/** Who may claim a task in the commit of its submit. */
export interface SubmitClaimer {
  /** The task as it is to be stored: claimed, if there is a slot for it. */
  claimOnSubmit(state: TaskState): TaskState;
  /** The submit of a task claimed on submit has been answered, whatever the outcome. */
  submitAnswered(task: TaskRecord): void;
}

/** The result of a submit. */
interface Submitted {
  ids: string[];
  /** Null: the keys created the tasks before. */
  created: TaskState[] | null;
}

/** Makes tasks and commits them. */
export class Submitter {
  constructor(
    private readonly core: Core,
    private readonly uploads: Uploads,
    private readonly claimer: SubmitClaimer,
  ) {}

  /**
   * Submits a task. Once the promise resolves the task is durable.
   *
   * @param internal Whether the service itself submits.
   * @returns Its id, and its state if it is new (null: the idempotency key created it before).
   * @throws {InvalidInputError} If something is wrong with it. Nothing is stored.
   * @throws {IdempotencyMismatchError} If the key was used for a different submission.
   * @throws {OutcomeUnknownError} If the store did not answer in time.
   */
  async submit(
    submission: Submission,
    idempotency?: IdempotencyKey,
    internal = false,
  ): Promise<{ id: string; created: TaskState | null }> {
    const state = await this.#newTask(submission, "", checkParams(this.core, submission, "", internal));
    const { depends_on } = state.task;
    await assertParents(this.core.kv, depends_on, (i) => `/depends_on/${i}`);
    const { ids: [id], created } = await this.#commit([submission], [state], depends_on, idempotency, submission);
    return { id, created: created && created[0] };
  }

  /**
   * Submits up to {@linkcode MAX_BATCH} tasks in one atomic: all of them or none.
   *
   * @returns Their ids, and their states if they are new (null: the idempotency key created them before).
   * @throws {InvalidInputError} With pointers below `/tasks`. Nothing is stored.
   */
  async submitBatch(submissions: Submission[], idempotency?: IdempotencyKey): Promise<Submitted> {
    if (submissions.length === 0 || submissions.length > MAX_BATCH) {
      throw new InvalidInputError([{ pointer: "/tasks", detail: `A batch has 1 to ${MAX_BATCH} tasks.` }]);
    }
    const roots = submissions.map((_, i) => `/tasks/${i}`);
    const checked = submissions.map((submission, i) => checkParams(this.core, submission, roots[i]));
    const states = await Promise.all(
      submissions.map((submission, i) => this.#newTask(submission, roots[i], checked[i])),
    );
    const outside = resolveRefs(submissions, states);
    const parents = [...outside.keys()];
    // Before anything is read for it: a batch may name more tasks than could ever be stored.
    if (parents.length > 0) this.#assertFits(creationOf(states));
    await assertParents(this.core.kv, parents, (i) => outside.get(parents[i])!);
    return await this.#commit(submissions, states, parents, idempotency, submissions);
  }

  /** Commits new tasks. Retries on a conflict (over a key or an upload): each round has one winner. */
  async #commit(
    submissions: Submission[],
    states: TaskState[],
    parents: string[],
    idempotency: IdempotencyKey | undefined,
    sent: Submission | Submission[],
  ): Promise<Submitted> {
    const { kv, clock, committer } = this.core;
    const ids = states.map(({ task }) => task.id);
    const rootOf = Array.isArray(sent) ? (i: number) => `/tasks/${i}` : () => "";
    const body = idempotency ? idempotency.body ?? fingerprint(sent) : "";
    const claimed = states.map((state) => this.claimer.claimOnSubmit(state));
    try {
      while (true) {
        const changeset = creationOf(claimed);
        if (idempotency) {
          const earlier = await claimIdempotencyKey(kv, clock, changeset, idempotency, body, ids);
          if (earlier) return { ids: earlier, created: null };
        }
        const duplicate = await this.#complete(changeset, submissions, claimed, parents, rootOf);
        if (duplicate !== null) {
          // A repeated request with this key returns the same task.
          const remembered = emptyChangeset();
          if (idempotency) await claimIdempotencyKey(kv, clock, remembered, idempotency, body, [duplicate]);
          if (idempotency && !await committer.commitUnlessConflict(remembered)) continue;
          return { ids: [duplicate], created: null };
        }
        if (Array.isArray(sent)) this.#assertFits(changeset);
        if (await committer.commitUnlessConflict(changeset)) return { ids, created: claimed };
      }
    } finally {
      for (const { task, run } of claimed) if (run) this.claimer.submitAnswered(task);
    }
  }

  /**
   * Links new tasks to parents, older tasks, unique keys and uploads.
   *
   * @returns The id of the task that already has the unique key (do not use the changeset then), else null.
   */
  async #complete(
    changeset: Changeset,
    submissions: Submission[],
    states: TaskState[],
    parents: string[],
    rootOf: (i: number) => string,
  ): Promise<string | null> {
    const { kv } = this.core;
    const tasks = states.map(({ task }) => task);
    for (const [i, { unique }] of submissions.entries()) {
      const duplicate = unique ? await claimUniqueKey(kv, changeset, unique, tasks[i]) : null;
      if (duplicate !== null) return duplicate;
    }
    notifyDependents(changeset, parents);
    await this.#referToOlder(changeset, tasks);
    await this.uploads.refer(changeset, tasks, rootOf);
    return null;
  }

  /**
   * The changeset that creates a task, for callers that add a change of their own.
   *
   * @returns Also the id of the task that already has the unique key: do not use the changeset then.
   * @throws {InvalidInputError} As {@linkcode submit} does.
   */
  async prepare(
    submission: Submission,
    internal = false,
  ): Promise<{ changeset: Changeset; state: TaskState; duplicate: string | null }> {
    const state = await this.#newTask(submission, "", checkParams(this.core, submission, "", internal));
    const changeset = creationOf([state]);
    const duplicate = await this.#complete(changeset, [submission], [state], state.task.depends_on, () => "");
    return { changeset, state, duplicate };
  }

  /** @throws {InvalidInputError} If a batch does not fit into one atomic. */
  #assertFits(changeset: Changeset): void {
    const excess = excessOf(changeset, this.core.limits);
    if (!excess) return;
    const [needed, limit, what] = excess.map((part) => part.toLocaleString("en"));
    const detail = `A batch is stored in one atomic of at most ${limit} ${what}; this one needs ${needed}. Split it.`;
    throw new InvalidInputError([{ pointer: "/tasks", detail }]);
  }

  async #newTask(submission: Submission, root: string, checked: CheckedParams): Promise<TaskState> {
    const fileNames = checked.uploads.length > 0 ? await this.uploads.names(checked.uploads) : [];
    return newTask(this.core, submission, checked, fileNames, root);
  }

  /**
   * Links older tasks, if they still exist, to the ones that were submitted in their place. The janitor finds entries
   * that were written after their older task was deleted.
   */
  async #referToOlder(changeset: Changeset, tasks: TaskRecord[]): Promise<void> {
    const named = tasks.filter(({ retried_from }) => retried_from !== null);
    if (named.length === 0) return;
    const entries = await getAll(this.core.kv, named.map(({ retried_from }) => keys.task(retried_from!)));
    named.forEach(({ id, retried_from }, i) => {
      if (entries[i].value) changeset.puts.push({ key: keys.retriedAs(retried_from!, id), value: encode(0) });
    });
  }
}

/** The changeset that creates tasks. */
function creationOf(states: TaskState[]): Changeset {
  const all = emptyChangeset();
  for (const state of states) move(all, null, state);
  return all;
}
