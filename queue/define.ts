/**
 * What the author of a task type sees: {@linkcode defineTask} and the {@linkcode TaskContext} that a handler gets.
 *
 * @module
 */

import * as z from "zod";
import { parseRate } from "./task/rate_limit.ts";
import type { Json } from "./task/record.ts";

/** A file that a handler reads. */
export interface OpenedFile {
  /** Its name. */
  name: string;
  /** Bytes. */
  size: number;
  /** Its media type. */
  media_type: string;
  /** Its bytes, from where it was opened. */
  stream: ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** What a handler writes to the log of its task. */
export interface TaskLog {
  /** Adds a line of level `info`. */
  info(text: string): void;
  /** Adds a line of level `warn`. */
  warn(text: string): void;
  /** Adds a line of level `error`. */
  error(text: string): void;
}

/** A task that another one depends on. */
export interface ParentTask {
  /** Its id. */
  id: string;
  /** Its type. */
  task_type: string;
  /** Its title. */
  title: string;
  /** What its handler returned. */
  result: Json;
}

/** What a running handler is given. */
export interface TaskContext<P = unknown, C = Json> {
  /** Id of the task. */
  readonly id: string;
  /** The parameters, checked and with their defaults. */
  readonly params: P;
  /** The time of the schedule that the task is for, milliseconds since the epoch; null: no tick or backfill made it. */
  readonly scheduledFor: number | null;
  /** The number of this attempt, starting at 1. */
  readonly attempt: number;
  /**
   * Aborted when the attempt must stop; its reason is an {@linkcode AbortedError}. A handler should stop within
   * 250 ms; after a grace time it is abandoned and can write nothing more.
   */
  readonly signal: AbortSignal;
  /** The state of the last checkpoint of this task, also one of an earlier attempt; undefined if there is none. */
  readonly resume: C | undefined;
  /** The task's own log: lines are committed in pages, at most four times a second. */
  readonly log: TaskLog;
  /**
   * Reports progress.
   *
   * @param percent 0 to 100; it never goes back within an attempt.
   * @param message What is being done, at most 200 characters.
   */
  progress(percent: number, message?: string): void;
  /**
   * Saves the state that the next attempt resumes from. It is durable once the promise resolves.
   *
   * @param state JSON of at most 64 MiB; up to 60 KB of it costs one write, more is stored as a file.
   * @throws {AbortedError} If the attempt may not write any more.
   */
  checkpoint(state: C): Promise<void>;
  /**
   * Runs a step once per task: if an earlier attempt has finished it, its stored result is returned instead.
   *
   * @param name Names the step within the task, 1 to 200 characters. A task has at most 1,000 steps.
   * @param run Returns JSON of at most 60 KB. It is durable once the promise resolves; if killed before, it runs again.
   * @throws {AbortedError} If the attempt may not write any more.
   */
  step<T extends Json>(name: string, run: () => Promise<T> | T): Promise<T>;
  /** The tasks that this one depends on, all SUCCESS, in the order in which it names them. */
  parents(): Promise<ParentTask[]>;
  /**
   * Keeps a file with the task. The same name replaces the earlier file.
   *
   * @throws {AbortedError} If the attempt may not write any more.
   */
  artifact(name: string, content: ReadableStream<Uint8Array> | Uint8Array | string, mediaType: string): Promise<void>;
  /**
   * Names an artifact that is written when the attempt ends before its handler has returned: cancelled, failed, timed
   * out, or interrupted. It is kept in the same commit as the end. The same name replaces the earlier file.
   *
   * @param content Returns the text at that moment. It must be fast, and the text at most 8 MB.
   */
  artifactAtEnd(name: string, content: () => string, mediaType: string): void;
  /** Reads an artifact of this task from byte `from` on, also one of an earlier attempt; null if there is none. */
  openArtifact(name: string, from?: number): Promise<OpenedFile | null>;
  /**
   * Reads an uploaded file that the parameters name, from byte `from` on.
   *
   * @throws {NotFoundError} If there is none.
   */
  openUpload(id: string, from?: number): Promise<OpenedFile>;
  /** Waits; rejects with the signal's reason when the attempt must stop. */
  sleep(ms: number): Promise<void>;
}

/** Wait before the next attempt: full jitter up to `base * factor ** (failures - 1)`, at most `cap`. Milliseconds. */
export interface Backoff {
  /** The longest first wait. */
  base: number;
  /** By how much it grows with each failure. */
  factor: number;
  /** The longest wait. */
  cap: number;
}

/** Which part of a task's work is done again: what failed, or what may have been done already. */
export const REDO_ONLY = ["failed", "unknown"] as const;

/** One of {@linkcode REDO_ONLY}. */
export type RedoOnly = (typeof REDO_ONLY)[number];

/** An ended task, part of whose work another one is to do. */
export interface RedoSource<P> {
  /** Its parameters as they were sent. */
  sent: Partial<P>;
  /** What its handler returned; null if it has not ended with SUCCESS. */
  result: Json;
  /** Reads one of its artifacts as text; null if there is none. */
  readArtifact(name: string): Promise<string | null>;
  /** Reads an upload that its parameters name. */
  readUpload(id: string): Promise<Uint8Array>;
  /** Stores a file for the new task. Returns the id of the upload. */
  storeUpload(name: string, mediaType: string, text: string): Promise<string>;
}

/** How the part of a task's work that was not done is done by another task. */
export interface Redo<P> {
  /** How many parts have failed, and of how many it is unknown, by a result. */
  left(result: Json): Record<RedoOnly, number>;
  /** The parameters of the task that does them; null if there is nothing to do. */
  params(task: RedoSource<P>, only: RedoOnly): Promise<Record<string, Json> | null>;
}

/** A task type as its author writes it: its parameters, its limits and its handler. */
export interface TaskOptions<S extends z.ZodType = z.ZodType, C extends z.ZodType = z.ZodType<Json>> {
  /** Name in the API: 1 to 64 lower case letters, digits and underscores, beginning with a letter. */
  type: string;
  /** Name on the page. */
  title: string;
  /** One sentence for the page. */
  description: string;
  /** Schema of `input_params`. Properties with the meta `x-file` name uploads. */
  params: S;
  /** Schema of a checkpoint. One that does not match is ignored: the attempt starts over. Default: any JSON. */
  checkpoint?: C;
  /** What a task is called, from its parameters and the names of its uploads. Default: the type's title. */
  titleOf?: (params: z.output<S>, files: string[]) => string;
  /** The side effect of running it again, such as "It sends its messages again."; the page asks before a retry. */
  sideEffects?: string;
  /** How only what failed is done again. Default: a task is run again as a whole. */
  redo?: Redo<z.output<S>>;
  /** Parameters of an example that one click submits; it succeeds and can be watched. Default: none is offered. */
  example?: z.input<S>;
  /** Attempts that may fail before the task is FAILED, 1 to 25. @default 3 */
  maxAttempts?: number;
  /** Longest run of an attempt in milliseconds. @default 600_000 */
  timeoutMs?: number;
  /** Tasks of this type that one instance runs at once. @default 4 */
  concurrency?: number;
  /** Tasks of this type with one concurrency key that run at once, over all instances. @default 1 */
  concurrencyPerKey?: number;
  /** At most this many starts in any window, over all instances: `10/s`, `100/m`, `1000/h`. Default: no limit. */
  rateLimit?: string;
  /** Raise it when the shape of checkpoints changes: those of another version and their steps are unused. @default 1 */
  checkpointVersion?: number;
  /** Whether only the service itself submits it. @default false */
  internal?: boolean;
  /** Wait before the next attempt. @default { base: 1_000, factor: 2, cap: 300_000 } */
  backoff?: Backoff;
  /** Does the work. What it returns is the task's result: JSON of at most 32 KB. */
  run(ctx: TaskContext<z.output<S>, z.output<C>>): Promise<Json>;
}

/** The defaults of a definition. */
export const DEFAULTS = {
  maxAttempts: 3,
  timeoutMs: 600_000,
  concurrency: 4,
  concurrencyPerKey: 1,
  checkpointVersion: 1,
  internal: false,
  backoff: { base: 1_000, factor: 2, cap: 300_000 },
};

/** A task type with every default filled in. Made by {@linkcode defineTask}. */
export type TaskDefinition<S extends z.ZodType = z.ZodType, C extends z.ZodType = z.ZodType<Json>> =
  & TaskOptions<S, C>
  & typeof DEFAULTS;

/** A definition with any parameter and checkpoint types. */
// deno-lint-ignore no-explicit-any
export type AnyTaskDefinition = TaskDefinition<any, any>;

/**
 * Declares a task type and fills in the defaults.
 *
 * @example
 * ```ts
 * import * as z from "zod";
 * import { defineTask, NonRetryableError } from "./mod.ts";
 *
 * const greet = defineTask({
 *   type: "greet",
 *   title: "Greet",
 *   description: "Says hello.",
 *   params: z.strictObject({ name: z.string().meta({ title: "Name" }) }),
 *   maxAttempts: 5,
 *   timeoutMs: 60_000,
 *   async run({ params, progress, step }) {
 *     if (params.name === "") throw new NonRetryableError("There is nobody to greet.");
 *     const greeting = await step("greet", () => Promise.resolve(`Hello ${params.name}`));
 *     progress(100, "Greeted");
 *     return { greeting };
 *   },
 * });
 * console.log(greet.concurrency);
 * ```
 */
export function defineTask<S extends z.ZodType, C extends z.ZodType = z.ZodType<Json>>(
  options: TaskOptions<S, C>,
): TaskDefinition<S, C> {
  // What is given as undefined takes the default too.
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return { ...DEFAULTS, ...given } as TaskDefinition<S, C>;
}

/** The task types of a queue, by name. */
export class Registry {
  readonly #definitions = new Map<string, AnyTaskDefinition>();

  /** Registers the task types; throws as {@linkcode Registry.add} does. */
  constructor(definitions: AnyTaskDefinition[]) {
    for (const definition of definitions) this.add(definition);
  }

  /**
   * Adds a task type.
   *
   * @throws {RangeError} If its name is taken or invalid, or its rate limit is invalid.
   */
  add(definition: AnyTaskDefinition): void {
    const { type, rateLimit } = definition;
    if (!/^[a-z][a-z0-9_]{0,63}$/.test(type)) throw new RangeError(`"${type}" is not a valid task type name.`);
    if (rateLimit !== undefined) parseRate(rateLimit);
    if (this.#definitions.has(type)) throw new RangeError(`Task type ${type} is defined twice.`);
    this.#definitions.set(type, definition);
  }

  /**
   * Checks that all of these are task types.
   *
   * @throws {RangeError} If one of these is not a task type.
   */
  assertAll(types: string[]): void {
    const unknown = types.find((type) => !this.#definitions.has(type));
    if (unknown === undefined) return;
    const known = [...this.#definitions.keys()].join(", ");
    throw new RangeError(`Unknown task type "${unknown}". Known types: ${known}.`);
  }

  /** All types, in the order in which they were given. */
  all(): AnyTaskDefinition[] {
    return [...this.#definitions.values()];
  }

  /** The types that anyone may submit: all but the service's own. */
  public(): AnyTaskDefinition[] {
    return this.all().filter(({ internal }) => !internal);
  }

  /** One type, or undefined. */
  get(type: string): AnyTaskDefinition | undefined {
    return this.#definitions.get(type);
  }
}
