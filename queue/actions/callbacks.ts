/**
 * Callbacks: a task may name a URL that is told how it ended. The end leaves a `follow` entry in its own atomic; the
 * entry becomes a delivery, a task of its own, in one atomic, so that each end is told by exactly one of them.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { jsonSize } from "../store/codec.ts";
import { DELIVERY_TYPE } from "../task/callback_url.ts";
import { InvalidInputError } from "../task/errors.ts";
import { readTask } from "../store/reads.ts";
import type { Submitter } from "../submit/submit.ts";
import { isTerminal, type Json, statusOf, type TaskState } from "../task/record.ts";
import { summaryOf } from "../task/summary.ts";
import type { Changeset } from "../store/changeset.ts";

/** Bytes of a result that a callback carries; a larger one is to be fetched. */
const MAX_RESULT_BYTES = 20 * 1024;

/** Makes deliveries of ends. */
export class Callbacks {
  constructor(private readonly core: Core, private readonly submitter: Submitter) {}

  /** Deals with an entry that an end has left. */
  async handle(entry: Deno.KvEntry<unknown>): Promise<void> {
    const state = await readTask(this.core.kv, entry.key[2] as string);
    // Gone, or retried before it was told: its next end leaves another entry.
    if (!state?.task.callback_url || !isTerminal(statusOf(state))) {
      return await this.core.committer.deleteIfUnchanged(entry);
    }
    let write: Changeset;
    try {
      ({ changeset: write } = await this.submitter.prepare({
        task_type: DELIVERY_TYPE,
        input_params: { url: state.task.callback_url, body: this.#body(state) },
        tags: ["callback", state.task.id],
      }));
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      // Nothing of it would be different the next time; the type may have gone.
      this.core.log.error("A callback could not be made.", { id: state.task.id, error });
      return await this.core.committer.deleteIfUnchanged(entry);
    }
    write.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
    write.deletes.push(entry.key);
    // Whoever else has dealt with it wins.
    await this.core.committer.commitUnlessConflict(write);
  }

  #body(state: TaskState): Json {
    const { result, completed_at } = state.task;
    const fits = jsonSize(result) <= MAX_RESULT_BYTES;
    return {
      type: `task.${statusOf(state).toLowerCase()}`,
      timestamp: new Date(completed_at!).toISOString(),
      data: { ...summaryOf(state, this.core.retention), result: fits ? result : null, result_omitted: !fits },
    } as unknown as Json;
  }
}
