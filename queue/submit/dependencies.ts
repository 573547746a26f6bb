/**
 * Which tasks a new one waits for: by id, or within a batch by the names that its tasks give each other.
 *
 * @module
 */

import { encode } from "../store/codec.ts";
import { type InputIssue, InvalidInputError } from "../task/errors.ts";
import { isId } from "../task/ids.ts";
import { keys } from "../store/keys.ts";
import { readTasks } from "../store/reads.ts";
import type { Submission } from "./new_task.ts";
import type { TaskState } from "../task/record.ts";
import type { Changeset } from "../store/changeset.ts";

/**
 * Rejects parents that do not exist.
 *
 * @param pointerOf The JSON pointer to a parent, by its place in `parents`.
 * @throws {InvalidInputError} If one of the tasks does not exist.
 */
export async function assertParents(
  kv: Deno.Kv,
  parents: readonly string[],
  pointerOf: (i: number) => string,
): Promise<void> {
  const issues = (await readTasks(kv, parents)).flatMap((state, i) =>
    state ? [] : [{ pointer: pointerOf(i), detail: `Task ${parents[i]} does not exist.` }]
  );
  if (issues.length > 0) throw new InvalidInputError(issues);
}

/** Adds the effects that notify new tasks of parents that may already have ended. */
export function notifyDependents(changeset: Changeset, parents: Iterable<string>): void {
  for (const parent of parents) changeset.puts.push({ key: keys.dependentsEffect(parent), value: encode(0) });
}

/**
 * Replaces refs by ids in the `depends_on` of a batch.
 *
 * @returns The ids outside the batch that are depended on, each with the pointer to where it is named.
 * @throws {InvalidInputError} If a ref is duplicate or unknown, or the dependencies form a cycle.
 */
export function resolveRefs(submissions: Submission[], states: TaskState[]): Map<string, string> {
  const issues: InputIssue[] = [];
  const byRef = new Map<string, TaskState>();
  submissions.forEach(({ ref, unique }, i) => {
    if (unique) issues.push({ pointer: `/tasks/${i}/unique`, detail: "Not allowed in a batch: submit it alone." });
    if (ref === undefined) return;
    if (byRef.has(ref)) issues.push({ pointer: `/tasks/${i}/ref`, detail: "Duplicate ref." });
    byRef.set(ref, states[i]);
  });
  const outside = new Map<string, string>();
  for (const [i, { task }] of states.entries()) {
    task.depends_on = task.depends_on.map((name, n) => {
      const parent = byRef.get(name);
      if (!parent) {
        outside.set(name, `/tasks/${i}/depends_on/${n}`);
        return name;
      }
      parent.task.has_dependents = true;
      return parent.task.id;
    });
    if (new Set(task.depends_on).size < task.depends_on.length) {
      issues.push({ pointer: `/tasks/${i}/depends_on`, detail: "A task is listed twice." });
    }
  }
  const circle = findCircle(states);
  if (circle >= 0) {
    issues.push({ pointer: `/tasks/${circle}/depends_on`, detail: "These dependencies form a cycle." });
  }
  for (const [id, pointer] of outside) {
    if (isId(id)) continue;
    issues.push({ pointer, detail: `"${id}" is neither a ref in this batch nor the id of a task.` });
  }
  if (issues.length > 0) throw new InvalidInputError(issues);
  return outside;
}

/** The index of a task that depends on itself through others in the batch, or -1. */
function findCircle(states: TaskState[]): number {
  const places = new Map(states.map(({ task }, i) => [task.id, i]));
  const waits = states.map(({ task }) => task.depends_on.filter((id) => places.has(id)).length);
  const dependents = new Map<string, number[]>();
  states.forEach(({ task }, i) => {
    for (const id of task.depends_on) dependents.set(id, [...dependents.get(id) ?? [], i]);
  });
  // Kahn's algorithm: tasks that cannot be sorted are in a cycle or behind one.
  const free = waits.flatMap((count, i) => count === 0 ? [i] : []);
  for (const i of free) {
    for (const next of dependents.get(states[i].task.id) ?? []) if (--waits[next] === 0) free.push(next);
  }
  return waits.findIndex((count) => count > 0);
}
