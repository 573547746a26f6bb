/**
 * Callbacks: a task may name a URL that is notified of its end. The end adds a pending effect in its own atomic. The
 * effect becomes a delivery, a task of its own, in one atomic, so that each end has exactly one delivery.
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

/** Most bytes of a result in a callback; a larger one must be fetched. */
const MAX_CALLBACK_RESULT_BYTES = 20 * 1024;

/** Creates the deliveries. */
export class Callbacks {
  constructor(private readonly core: Core, private readonly submitter: Submitter) {}

  /** Processes the pending effect of an end. */
  async handle(entry: Deno.KvEntry<unknown>): Promise<void> {
    const state = await readTask(this.core.kv, entry.key[2] as string);
    // Deleted, or retried before the delivery: its next end adds another effect.
    if (!state?.task.callback_url || !isTerminal(statusOf(state))) {
      return await this.core.committer.deleteIfUnchanged(entry);
    }
    let changeset: Changeset;
    try {
      ({ changeset } = await this.submitter.prepare({
        task_type: DELIVERY_TYPE,
        input_params: { url: state.task.callback_url, body: this.#body(state) },
        tags: ["callback", state.task.id],
      }));
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      // A retry would fail in the same way; the type may have been removed.
      this.core.log.error("A callback could not be created.", { task_id: state.task.id, error });
      return await this.core.committer.deleteIfUnchanged(entry);
    }
    changeset.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
    changeset.deletes.push(entry.key);
    // On conflict, another instance has processed it.
    await this.core.committer.commitUnlessConflict(changeset);
  }

  #body(state: TaskState): Json {
    const { result, completed_at } = state.task;
    const fits = jsonSize(result) <= MAX_CALLBACK_RESULT_BYTES;
    return {
      type: `task.${statusOf(state).toLowerCase()}`,
      timestamp: new Date(completed_at!).toISOString(),
      data: { ...summaryOf(state, this.core.retention), result: fits ? result : null, result_omitted: !fits },
    } as unknown as Json;
  }
}
