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
import { traced } from "../tracing.ts";
import { type Artifacts, assertArtifactName, type FinalArtifact } from "./artifacts.ts";
import type { Checkpoints } from "./checkpoints.ts";

/** The attempt that a handler belongs to. */
export interface OpenAttempt {
  readonly id: string;
  readonly isTraced: boolean;
  readonly scheduledFor: number | null;
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

/**
 * The context of a handler. Every call passes {@linkcode OpenAttempt.assertOpen} first. What is a function can be taken
 * out of the context; it is made when it is asked for, since most handlers use a few of them.
 */
export class HandlerContext implements TaskContext<unknown, unknown> {
  readonly #attempt: OpenAttempt;

  constructor(
    open: OpenAttempt,
    readonly params: unknown,
    readonly attempt: number,
    readonly resume: unknown,
  ) {
    this.#attempt = open;
  }

  get id(): string {
    return this.#attempt.id;
  }

  get scheduledFor(): number | null {
    return this.#attempt.scheduledFor;
  }

  get signal(): AbortSignal {
    return this.#attempt.signal;
  }

  get log(): TaskContext["log"] {
    const logAt = (level: string) => (text: string) => this.#attempt.log(level, text);
    return { info: logAt("info"), warn: logAt("warn"), error: logAt("error") };
  }

  get progress(): TaskContext["progress"] {
    return (percent, message) => this.#attempt.report(percent, message);
  }

  get checkpoint(): TaskContext<unknown, unknown>["checkpoint"] {
    return async (state) => {
      this.#attempt.assertOpen();
      await this.#attempt.save(await this.#attempt.checkpoints.prepare(state as Json));
    };
  }

  get step(): TaskContext["step"] {
    return async <T extends Json>(name: string, run: () => Promise<T> | T) => {
      this.#attempt.assertOpen();
      const runOpen = () => {
        this.#attempt.assertOpen();
        return this.#attempt.isTraced ? traced(`step ${name}`, {}, async () => await run()) : run();
      };
      return await this.#attempt.checkpoints.step(name, runOpen, (fill) => this.#attempt.save(fill)) as T;
    };
  }

  get parents(): TaskContext["parents"] {
    return async () => {
      const { kv, dependsOn } = this.#attempt;
      const states = await Promise.all(dependsOn.map((parent) => readTask(kv, parent)));
      return states.flatMap((state) => {
        if (!state) return [];
        const { id, task_type, title, result } = state.task;
        return [{ id, task_type, title, result }];
      });
    };
  }

  get artifact(): TaskContext["artifact"] {
    return async (name, content, mediaType) => {
      const { artifacts } = this.#attempt;
      this.#attempt.assertOpen();
      assertArtifactName(name);
      const written = await artifacts.write(content);
      await artifacts.put(name, written, mediaType, async (changeset) => {
        if (!await this.#attempt.commitWithProgress(changeset)) await artifacts.discard(written);
        this.#attempt.assertOpen();
      });
    };
  }

  get artifactAtEnd(): TaskContext["artifactAtEnd"] {
    return (name, content, mediaType) => {
      this.#attempt.assertOpen();
      assertArtifactName(name);
      this.#attempt.setFinalArtifact({ name, content, mediaType });
    };
  }

  get openArtifact(): TaskContext["openArtifact"] {
    return (name, from) => this.#attempt.artifacts.open(keys.artifact(this.id, name), from);
  }

  get openUpload(): TaskContext["openUpload"] {
    return async (upload, from) => {
      const file = await this.#attempt.artifacts.open(keys.upload(upload), from);
      if (!file) throw new NotFoundError(`Upload ${upload}`);
      return file;
    };
  }

  get sleep(): TaskContext["sleep"] {
    return async (ms) => {
      await delay(this.#attempt.clock, ms, this.signal);
      this.#attempt.assertOpen();
    };
  }
}
