/**
 * What a handler is given: its parameters, and ways to report, to keep files and checkpoints, and to wait.
 *
 * @module
 */

import type { TaskContext } from "../define.ts";
import type { Changeset } from "../store/changeset.ts";
import { keys } from "../store/keys.ts";
import { readTask } from "../store/reads.ts";
import { type Clock, delay } from "../task/clock.ts";
import { NotFoundError } from "../task/errors.ts";
import type { Json } from "../task/record.ts";
import { type Artifacts, assertArtifactName, type FinalArtifact } from "./artifacts.ts";
import type { Checkpoints } from "./checkpoints.ts";

/** The attempt that a handler belongs to. */
export interface OpenAttempt {
  readonly id: string;
  readonly kv: Deno.Kv;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly dependsOn: readonly string[];
  readonly artifacts: Artifacts;
  readonly checkpoints: Checkpoints;
  /** @throws {AbortedError} If the attempt must stop. */
  assertOpen(): void;
  /** Adds a line to the task's log. */
  log(level: string, text: string): void;
  /** Reports progress. */
  report(percent: number, message?: string): void;
  /** Commits something that the next attempt can build on. */
  save(fill: (changeset: Changeset) => void): Promise<void>;
  /** Commits changes together with the progress so far; false if the attempt has ended. */
  commitWithProgress(changeset: Changeset): Promise<boolean>;
  /** Names an artifact that is written with the end of the attempt. */
  setFinalArtifact(artifact: FinalArtifact): void;
}

/** Makes the context of a handler. Every call passes {@linkcode OpenAttempt.assertOpen} first. */
export function createContext(
  attempt: OpenAttempt,
  params: unknown,
  n: number,
  resume: unknown,
): TaskContext<unknown, unknown> {
  const { id, kv, clock, signal, artifacts, checkpoints } = attempt;
  const logAt = (level: string) => (text: string) => attempt.log(level, text);
  return {
    id,
    params,
    attempt: n,
    resume,
    signal,
    log: { info: logAt("info"), warn: logAt("warn"), error: logAt("error") },
    progress: (percent, message) => attempt.report(percent, message),
    checkpoint: async (state) => {
      attempt.assertOpen();
      await attempt.save(await checkpoints.prepare(state as Json));
    },
    step: async <T extends Json>(name: string, run: () => Promise<T> | T) => {
      attempt.assertOpen();
      const runOpen = () => {
        attempt.assertOpen();
        return run();
      };
      return await checkpoints.step(name, runOpen, (fill) => attempt.save(fill)) as T;
    },
    parents: async () => {
      const states = await Promise.all(attempt.dependsOn.map((parent) => readTask(kv, parent)));
      return states.flatMap((state) => {
        if (!state) return [];
        const { id, task_type, title, result } = state.task;
        return [{ id, task_type, title, result }];
      });
    },
    artifact: async (name, content, mediaType) => {
      attempt.assertOpen();
      assertArtifactName(name);
      const written = await artifacts.write(content);
      await artifacts.put(name, written, mediaType, async (changeset) => {
        if (!await attempt.commitWithProgress(changeset)) await artifacts.discard(written);
        attempt.assertOpen();
      });
    },
    artifactAtEnd: (name, content, mediaType) => {
      attempt.assertOpen();
      assertArtifactName(name);
      attempt.setFinalArtifact({ name, content, mediaType });
    },
    openArtifact: (name, from) => artifacts.open(keys.artifact(id, name), from),
    openUpload: async (upload, from) => {
      const file = await artifacts.open(keys.upload(upload), from);
      if (!file) throw new NotFoundError(`Upload ${upload}`);
      return file;
    },
    sleep: async (ms) => {
      await delay(clock, ms, signal);
      attempt.assertOpen();
    },
  };
}
