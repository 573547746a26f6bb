/**
 * Reading single tasks and what belongs to them. Reads never write and never wait for a worker.
 *
 * @module
 */

import { getAll } from "./kv.ts";
import { decode } from "./codec.ts";
import { keys } from "./keys.ts";
import type { Json, RunRecord, TaskState } from "../task/record.ts";
import type { ArtifactInfo } from "../task/summary.ts";
import type { Changeset } from "./changeset.ts";
import { decodeTask, recordIn, type StoredTask } from "./task_codec.ts";

/** A stored artifact: what it is and where its bytes are. */
export interface StoredFile extends Omit<ArtifactInfo, "created_at"> {
  /** When it was stored. Milliseconds since the epoch. */
  created_at: number;
  /** Where its chunks are. */
  blob: string;
  /** How many there are. */
  chunks: number;
}

/** An uploaded file. `used_at` is when it was uploaded or a submit last named it, in milliseconds since the epoch. */
export type Upload = StoredFile & { used_at: number };

/** The value of `checkpoint, id`. */
export interface CheckpointRecord {
  generation: number;
  version: number;
  /** The state, unless it is a blob. */
  state?: Json;
  blob?: { blob: string; chunks: number };
}

/** Reads one task with its result, or null. */
export async function readTask(kv: Deno.Kv, id: string): Promise<TaskState | null> {
  const [state] = await readTasks(kv, [id]);
  if (state && (state.task as StoredTask).result_apart) {
    const entry = await kv.get(keys.result(id));
    const { result_apart: _, ...task } = state.task as StoredTask;
    return { run: state.run, task: { ...task, result: entry.value ? decode<Json>(entry.value) : null } };
  }
  return state;
}

/** Reads many tasks; null where there is none. Each is read in one snapshot. `onBytes` gets the size of each record. */
export async function readTasks(
  kv: Deno.Kv,
  ids: readonly string[],
  onBytes: (bytes: number) => void = () => {},
): Promise<(TaskState | null)[]> {
  const entries = await getAll(kv, ids.flatMap((id) => [keys.task(id), keys.run(id)]));
  for (const { value } of entries) if (value) onBytes((value as Uint8Array).length);
  return ids.map((_, i) => {
    const task = entries[2 * i].value;
    const run = entries[2 * i + 1].value;
    return task ? { task: decodeTask(task), run: run ? decode<RunRecord>(run) : null } : null;
  });
}

/** The tasks of `ready` entries, which do not run; null where there is none. Most entries hold the record. */
export async function readReady(
  kv: Deno.Kv,
  entries: readonly Deno.KvEntry<unknown>[],
): Promise<(TaskState | null)[]> {
  const records = entries.map(({ value }) => recordIn(value));
  const others = entries.filter((_, i) => !records[i]).map(({ key }) => keys.task(key[4] as string));
  const read = others.length > 0 ? (await getAll(kv, others)).values() : null;
  return records.map((record) => {
    if (record) return { task: record, run: null };
    const value = read!.next().value!.value;
    return value ? { task: decodeTask(value), run: null } : null;
  });
}

/** Adds checks to a changeset that hold only while a task is unchanged and not running; null: it has changed. */
export async function addUnchangedChecks(
  kv: Deno.Kv,
  { task }: TaskState,
  changeset: Changeset,
): Promise<Changeset | null> {
  const [cold, run] = await kv.getMany<[unknown, unknown]>([keys.task(task.id), keys.run(task.id)]);
  if (!cold.value || run.value || decodeTask(cold.value).version !== task.version) return null;
  // A claim leaves the cold record as it is, so the run record's absence is checked as well.
  changeset.checks.push({ key: cold.key, versionstamp: cold.versionstamp }, { key: run.key, versionstamp: null });
  return changeset;
}

/** Reads the artifacts of a task, by name. */
export async function readArtifacts(kv: Deno.Kv, id: string): Promise<StoredFile[]> {
  const found: StoredFile[] = [];
  for await (const entry of kv.list({ prefix: keys.artifactsOf(id) }, { batchSize: 500 })) {
    found.push(decode<StoredFile>(entry.value));
  }
  return found;
}

/** Reads the ids of edited resubmissions of a task, oldest first, at most 20. */
export async function readRetriedAs(kv: Deno.Kv, id: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of kv.list({ prefix: keys.retriedAsOf(id) }, { limit: 20 })) found.push(key[2] as string);
  return found;
}
