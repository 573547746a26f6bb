/**
 * Does again what a task could not do: a new task with the part that failed.
 *
 * @module
 */

import type { Core } from "../core.ts";
import type { RedoOnly, RedoSource } from "../define.ts";
import { Artifacts } from "../run/artifacts.ts";
import type { Submitter } from "../submit/submit.ts";
import type { Uploads } from "../submit/uploads.ts";
import { keys } from "../store/keys.ts";
import { IllegalTransitionError, NotFoundError } from "../task/errors.ts";
import { isTerminal, STATUSES, statusOf, type TaskState } from "../task/record.ts";

/** Bytes of a file that is made for the new task. */
const MAX_FILE_BYTES = 64 * 1024 * 1024;

/** Submits tasks that do what others have left undone. */
export class Redo {
  constructor(
    private readonly core: Core,
    private readonly submitter: Submitter,
    private readonly uploads: Uploads,
  ) {}

  /** See {@linkcode Queue.redo}. */
  async submit({ task, run }: TaskState, only: RedoOnly, by: string | null): Promise<TaskState> {
    const redo = this.core.registry.get(task.task_type)?.redo;
    if (!redo) throw new IllegalTransitionError(`Tasks of type ${task.task_type} can only be run again as a whole.`);
    const status = statusOf({ task, run });
    if (!isTerminal(status)) throw new IllegalTransitionError(`Task ${task.id} has not ended: it is ${status}.`);
    const { kv, blobs, clock } = this.core;
    const files = new Artifacts(kv, blobs, clock, task.id);
    const made: string[] = [];
    const source: RedoSource<unknown> = {
      sent: task.input_params as Record<string, unknown>,
      result: task.result,
      readArtifact: async (name) => {
        const file = await files.open(keys.artifact(task.id, name));
        return file && await new Response(file.stream).text();
      },
      readUpload: async (id) => {
        const file = await files.open(keys.upload(id));
        if (!file) throw new NotFoundError(`Upload ${id}`);
        return await new Response(file.stream).bytes();
      },
      storeUpload: async (name, mediaType, text) => {
        const { id } = await this.uploads.store(name, mediaType, new Blob([text]).stream(), MAX_FILE_BYTES);
        made.push(id);
        return id;
      },
    };
    try {
      const params = await redo.params(source, only);
      if (!params) throw new IllegalTransitionError(`Task ${task.id} has nothing left to retry (${only}).`);
      const { id, created } = await this.submitter.submit({
        task_type: task.task_type,
        input_params: params,
        priority: task.priority,
        tags: task.tags,
        max_attempts: task.max_attempts,
        timeout_ms: task.timeout_ms,
        callback_url: task.callback_url ?? undefined,
        retried_from: task.id,
        // Asked for twice, it is done once.
        unique: { key: `redo:${task.id}:${only}`, states: [...STATUSES] },
        submitted_by: by ?? undefined,
      });
      if (!created) throw new IllegalTransitionError(`Task ${id} does that already: retry that one.`);
      this.core.log.info("What a task left undone was submitted as a new task.", {
        task_id: id,
        from: task.id,
        by,
        only,
      });
      return created;
    } catch (error) {
      for (const id of made) await this.uploads.discard(id);
      throw error;
    }
  }
}
