/**
 * Bulk: one action on many tasks, selected by ids or by a filter. A filter is bound to a commit (`as_of`, which comes
 * with a list), so that it matches what its sender saw and nothing that came later. Small sets are processed at once.
 * A large one becomes a task of its own, with progress, which resumes after a crash.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { findByIdempotencyKey, type IdempotencyKey } from "../submit/deduplication.ts";
import { ACTION_STATUSES, MAX_BULK_IDS, PAST, TASK_ACTIONS, type TaskActionName } from "../task/actions.ts";
import * as z from "zod";
import type { TaskActions } from "./task_actions.ts";
import { defineTask, type TaskContext, type TaskDefinition } from "../define.ts";
import { InvalidInputError, NonRetryableError, NotFoundError, QueueError } from "../task/errors.ts";
import { looksInside } from "../task/content_filter.ts";
import { isId } from "../task/ids.ts";
import { readCounts } from "../store/counts.ts";
import { type Filter, type Matched, matching, totalOf } from "../store/listing.ts";
import type { Searches } from "../store/searches.ts";
import type { Submitter } from "../submit/submit.ts";
import { type Json, STATUSES, statusOf, type TaskState } from "../task/record.ts";

/** The outcome of one task: `done`, or the code of the error with its message. */
export interface BulkOutcome {
  /** The task. */
  id: string;
  /** `done`, `cancel_requested` or the code of an error. */
  outcome: string;
  /** What the error said. */
  detail?: string;
}

/** Tasks that are processed at once. */
const BATCH = 50;
/** Failures that a result lists. */
const NAMED = 100;
/** How long a stop of the service may take to reach a handler, in milliseconds. */
const STOP_MS = 10_000;
/** Tasks that are examined while the caller waits. */
const LOOKED_AT = 2_000;

/** Name of the task type that large sets become. */
const BULK_TYPE = "bulk";

const filterSchema = z.strictObject({
  statuses: z.array(z.enum(STATUSES)).optional(),
  task_types: z.array(z.string()).optional(),
  tag: z.string().optional(),
  q: z.string().optional(),
  error: z.string().optional(),
  schedule: z.string().optional(),
  created_from: z.number().optional(),
  created_to: z.number().optional(),
  ended_from: z.number().optional(),
  ended_to: z.number().optional(),
});

const params = z.strictObject({
  action: z.enum(TASK_ACTIONS),
  filter: filterSchema,
  as_of: z.string(),
  /** Upper bound of the number of tasks at the time of the request. */
  expected: z.int(),
  /** Who asked for it. */
  by: z.string().nullable().default(null),
});

/** How far a bulk action is. */
const checkpoint = z.strictObject({
  /** The last task that was looked at. */
  last: z.string().optional(),
  looked: z.int().default(0),
  done: z.int().default(0),
  failed: z.int().default(0),
  failures: z.array(z.strictObject({ id: z.string(), outcome: z.string(), detail: z.string().optional() })).default([]),
  /** Tasks for which it is unknown whether the action was done. */
  unknown: z.array(z.string()).default([]),
});

/** Errors that say nothing about a task: the service stops, was recovered, or the store has not answered. */
const NO_OUTCOME = new Set(["closed", "fenced", "outcome_unknown"]);

/** Acts on many tasks. */
export class Bulk {
  /**
   * The task type that large sets become.
   *
   * @ignore
   */
  readonly definition: TaskDefinition<typeof params, typeof checkpoint>;

  /** @ignore */
  constructor(
    private readonly core: Core,
    private readonly searches: Searches,
    private readonly actions: TaskActions,
    private readonly submitter: Submitter,
  ) {
    this.definition = defineTask({
      type: BULK_TYPE,
      title: "Bulk action",
      description: "Cancels, retries or deletes the tasks that match a filter.",
      params,
      checkpoint,
      internal: true,
      concurrency: 1,
      maxAttempts: 25,
      timeoutMs: 24 * 3_600_000,
      titleOf: ({ action, expected }) =>
        `${action[0].toUpperCase()}${action.slice(1)} up to ${expected.toLocaleString("en")} tasks`,
      run: (ctx) => this.#run(ctx),
    });
  }

  /**
   * Acts on tasks named by id.
   *
   * @throws {InvalidInputError} If there are none or too many.
   */
  async byIds(action: TaskActionName, ids: readonly string[], by: string | null = null): Promise<BulkOutcome[]> {
    if (ids.length === 0 || ids.length > MAX_BULK_IDS) {
      throw new InvalidInputError([{ pointer: "/ids", detail: `1 to ${MAX_BULK_IDS} ids; for more, use a filter.` }]);
    }
    return await Promise.all([...new Set(ids)].map((id) => this.#one(action, id, by)));
  }

  /**
   * Acts on the tasks that matched a filter at `asOf` and still do.
   *
   * @returns Their outcomes, or the task that does the work if there are more than {@linkcode MAX_BULK_IDS}.
   */
  async byFilter(
    action: TaskActionName,
    filter: Filter,
    asOf: string,
    by: string | null = null,
    idempotency?: IdempotencyKey & { body: string },
  ): Promise<BulkOutcome[] | TaskState> {
    // A repeated request is answered with the task that it created, whatever is left to do.
    const made = idempotency && await findByIdempotencyKey(this.core.kv, this.core.clock, idempotency);
    if (made) return await this.actions.get(made[0]);
    const statuses = ACTION_STATUSES[action].filter((status) => filter.statuses?.includes(status) ?? true);
    if (statuses.length === 0) return [];
    const possible: Filter = { ...filter, statuses };
    const { ids, more } = await this.#search(possible, asOf);
    if (more) {
      const expected = totalOf(await readCounts(this.core.kv), possible);
      const submission = {
        task_type: BULK_TYPE,
        input_params: { action, filter: possible, as_of: asOf, expected, by },
        submitted_by: by ?? undefined,
      };
      const { id, created } = await this.submitter.submit(submission, idempotency, true);
      return created ?? await this.actions.get(id);
    }
    return await Promise.all(ids.map((id) => this.#one(action, id, by)));
  }

  /** The tasks that match a filter, if they are few and quickly found. */
  #search(filter: Filter, asOf: string): Promise<{ ids: string[]; more: boolean }> {
    const search = async () => {
      const ids: string[] = [];
      let looked = 0;
      for await (const matched of matching(this.core.kv, filter, asOf)) {
        ids.push(...matched.ids);
        looked += matched.looked;
        if (ids.length > MAX_BULK_IDS || looked > LOOKED_AT) return { ids, more: true };
      }
      return { ids, more: false };
    };
    return looksInside(filter) ? this.searches.run(JSON.stringify(["bulk", filter, asOf]), search) : search();
  }

  async *#matching(...from: [Filter, string, string | undefined]): AsyncGenerator<Matched> {
    try {
      yield* matching(this.core.kv, ...from);
    } catch (error) {
      // An as_of that is too old stays too old: a retry would fail again.
      throw error instanceof InvalidInputError ? new NonRetryableError(error.message, { cause: error }) : error;
    }
  }

  async #one(action: TaskActionName, id: string, by: string | null): Promise<BulkOutcome> {
    try {
      if (!isId(id)) return { id: id.slice(0, 64), outcome: "not_found" };
      if (action === "cancel") {
        const { run } = await this.actions.cancel(id, by);
        return { id, outcome: run ? "cancel_requested" : "done" };
      }
      if (action === "retry") await this.actions.retry(id, "checkpoint", by, false);
      else await this.actions.delete(id, by);
      return { id, outcome: "done" };
    } catch (error) {
      if (!(error instanceof QueueError)) throw error;
      return { id, outcome: error.code, detail: error.message };
    }
  }

  /** Whether an action with an unknown outcome was done. */
  async #hasHappened(action: TaskActionName, id: string, bulk: string): Promise<boolean> {
    try {
      const state = await this.actions.get(id);
      if (action === "cancel") return statusOf(state) === "CANCELLED";
      // It may have been retried and have failed again since.
      const { task: { created_at } } = await this.actions.get(bulk);
      return action === "retry" && state.task.actions.some(({ action, at }) => action === "retry" && at >= created_at);
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      return action === "delete";
    }
  }

  async #run(ctx: TaskContext<z.output<typeof params>, z.output<typeof checkpoint>>): Promise<Json> {
    const { action, filter, as_of, expected, by } = ctx.params;
    const progress = ctx.resume ?? checkpoint.parse({});
    const save = () => ctx.checkpoint(progress);
    const act = async (ids: string[]) => {
      const outcomes = await Promise.all(ids.map((id) => this.#one(action, id, by)));
      const known = outcomes.filter(({ outcome }) => !NO_OUTCOME.has(outcome));
      const failures = known.filter(({ outcome }) => outcome !== "done" && outcome !== "cancel_requested");
      progress.done += known.length - failures.length;
      progress.failed += failures.length;
      progress.failures = [...progress.failures, ...failures].slice(0, NAMED);
      const open = outcomes.filter(({ outcome }) => NO_OUTCOME.has(outcome));
      if (open.length === 0) return;
      // Tasks with an outcome are not processed again: they are counted before this attempt stops.
      progress.unknown.push(...open.filter(({ outcome }) => outcome === "outcome_unknown").map(({ id }) => id));
      await save();
      // A stop ends this attempt in a moment. Outcomes that the store did not report are checked by the next attempt.
      if (open.some(({ outcome }) => outcome === "closed")) await ctx.sleep(STOP_MS);
      throw new Error(`The outcome of ${open.length} tasks is unknown: ${open[0].detail}`);
    };
    for (const id of [...progress.unknown]) {
      const happened = await this.#hasHappened(action, id, ctx.id);
      progress.unknown = progress.unknown.filter((other) => other !== id);
      if (happened) progress.done++;
      else await act([id]);
    }
    for await (const { looked, last, ids } of this.#matching(filter, as_of, progress.last)) {
      for (let i = 0; i < ids.length; i += BATCH) {
        // Saved each time: finished tasks no longer match, and would not be counted again.
        if (i > 0) await save();
        ctx.signal.throwIfAborted();
        await act(ids.slice(i, i + BATCH).filter((id) => id !== ctx.id));
      }
      progress.looked += looked;
      progress.last = last;
      await save();
      const failures = progress.failed > 0 ? `, ${progress.failed.toLocaleString("en")} failed` : "";
      const message = `${progress.done.toLocaleString("en")} ${PAST[action]}${failures}`;
      ctx.progress(Math.min(99, progress.looked / expected * 100), message);
    }
    const { done, failed, failures } = progress;
    return { action, done, failed, failures: failures as Json };
  }
}
