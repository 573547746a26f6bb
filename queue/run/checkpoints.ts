/**
 * What the next attempt of a task resumes from: its last checkpoint and the results of its finished steps. Both name
 * the generation of the task and the version of the handler that saved them; those saved by another are ignored.
 *
 * @module
 */

import type * as z from "zod";
import type { AnyTaskDefinition } from "../define.ts";
import type { Blobs, WrittenBlob } from "../store/files/blobs.ts";
import { decode, encode } from "../store/codec.ts";
import { InvalidInputError } from "../task/errors.ts";
import type { CheckpointRecord } from "../store/reads.ts";
import { keys } from "../store/keys.ts";
import type { Json, TaskRecord } from "../task/record.ts";
import type { Changeset } from "../store/changeset.ts";

/** Bytes of a checkpoint that is stored inline; a larger one is stored as a blob. */
const INLINE_BYTES = 60 * 1024;
/** Bytes of a checkpoint: 64 MiB. */
const MAX_CHECKPOINT_BYTES = 64 * 1024 * 1024;
/** Bytes of a step's result. */
const MAX_STEP_BYTES = 60 * 1024;
/** Steps of a task. */
const MAX_STEPS = 1_000;

/** The result of a step as it is stored. */
interface StepRecord {
  version: number;
  result: Json;
}

/** Saves and loads the state that the attempts of one task share. */
export class Checkpoints {
  readonly #kv: Deno.Kv;
  readonly #blobs: Blobs;
  readonly #id: string;
  readonly #generation: number;
  readonly #version: number;
  readonly #schema: z.ZodType | undefined;
  #blob: string | null = null;
  #exists = false;
  #steps: Promise<Map<string, Promise<Json>>> | null = null;

  constructor(kv: Deno.Kv, blobs: Blobs, { id, generation }: TaskRecord, definition: AnyTaskDefinition) {
    this.#kv = kv;
    this.#blobs = blobs;
    this.#id = id;
    this.#generation = generation;
    this.#version = definition.checkpointVersion;
    this.#schema = definition.checkpoint;
  }

  /** The last state; undefined if there is none. `refused` says why an existing one is ignored. */
  async load(): Promise<{ state: unknown; refused: string | null }> {
    const entry = await this.#kv.get(keys.checkpoint(this.#id));
    if (!entry.value) return { state: undefined, refused: null };
    const { generation, version, state, blob } = decode<CheckpointRecord>(entry.value);
    this.#exists = true;
    this.#blob = blob?.blob ?? null;
    if (generation !== this.#generation) return { state: undefined, refused: null };
    if (version !== this.#version) {
      return { state: undefined, refused: `The checkpoint is of version ${version} of this handler and is ignored.` };
    }
    const saved = blob ? decode<Json>(await new Response(this.#blobs.read(blob.blob, blob.chunks)).bytes()) : state;
    const parsed = this.#schema?.safeParse(saved);
    if (parsed?.success === false) {
      return { state: undefined, refused: "The checkpoint does not match its schema and is ignored." };
    }
    return { state: parsed ? parsed.data : saved, refused: null };
  }

  /**
   * Returns a function that adds a checkpoint to the next changeset. A large one is stored first.
   *
   * @throws {InvalidInputError} If it is not JSON or larger than {@linkcode MAX_CHECKPOINT_BYTES}.
   */
  async prepare(state: Json): Promise<(changeset: Changeset) => void> {
    const value = encode(state);
    assertSize("A checkpoint", value, MAX_CHECKPOINT_BYTES);
    const record: CheckpointRecord = { generation: this.#generation, version: this.#version };
    let written: WrittenBlob | null = null;
    if (value.length <= INLINE_BYTES) record.state = state;
    else {
      written = await this.#blobs.write(new Blob([value]).stream(), MAX_CHECKPOINT_BYTES, { asTaskOwner: true });
      record.blob = { blob: written.blob, chunks: written.chunks };
    }
    return (changeset) => {
      changeset.puts.push({ key: keys.checkpoint(this.#id), value: encode(record) });
      if (this.#blob) this.#blobs.scheduleDeletion(changeset, this.#blob);
      if (written) this.#blobs.attach(changeset, written);
      this.#blob = record.blob?.blob ?? null;
      this.#exists = true;
    };
  }

  /** Deletes the checkpoint with the changeset that ends a task for good. */
  remove(changeset: Changeset): void {
    if (!this.#exists) return;
    changeset.deletes.push(keys.checkpoint(this.#id));
    if (this.#blob) this.#blobs.scheduleDeletion(changeset, this.#blob);
  }

  /**
   * Returns the result of a finished step, or runs the step and saves its result.
   *
   * @param save Commits a changeset to which `fill` has added the result.
   */
  async step(
    name: string,
    run: () => Promise<Json> | Json,
    save: (fill: (changeset: Changeset) => void) => Promise<void>,
  ): Promise<Json> {
    const steps = await (this.#steps ??= this.#loadSteps());
    const known = steps.get(name);
    if (known) return await known;
    if (name === "" || name.length > 200) {
      throw new InvalidInputError([{ pointer: "", detail: "A step's name has 1 to 200 characters." }]);
    }
    if (steps.size >= MAX_STEPS) {
      throw new InvalidInputError([{ pointer: "", detail: `A task has at most ${MAX_STEPS} steps.` }]);
    }
    const running = (async () => {
      const result = await run() ?? null;
      const value = encode({ version: this.#version, result } satisfies StepRecord);
      assertSize("The result of a step", value, MAX_STEP_BYTES);
      await save((changeset) => changeset.puts.push({ key: keys.step(this.#id, this.#generation, name), value }));
      // As a later attempt would read it.
      return decode<StepRecord>(value).result;
    })();
    steps.set(name, running);
    try {
      return await running;
    } catch (error) {
      steps.delete(name);
      throw error;
    }
  }

  async #loadSteps(): Promise<Map<string, Promise<Json>>> {
    const steps = new Map<string, Promise<Json>>();
    const prefix = keys.stepsOf(this.#id, this.#generation);
    for await (const entry of this.#kv.list({ prefix }, { batchSize: 100 })) {
      const { version, result } = decode<StepRecord>(entry.value);
      if (version === this.#version) steps.set(entry.key[3] as string, Promise.resolve(result));
    }
    return steps;
  }
}

function assertSize(what: string, value: Uint8Array, limit: number): void {
  if (value.length <= limit) return;
  const detail = `${what} of ${value.length} bytes is over the limit of ${limit}.`;
  throw new InvalidInputError([{ pointer: "", detail }]);
}
