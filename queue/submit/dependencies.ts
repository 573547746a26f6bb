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
 * Refuses parents that are not there.
 *
 * @param pointerOf The JSON pointer to a parent, by its place in `parents`.
 * @throws {InvalidInputError} If one of the tasks is not there.
 */
export async function assertParents(
  kv: Deno.Kv,
  parents: readonly string[],
  pointerOf: (i: number) => string,
): Promise<void> {
  const issues = (await readTasks(kv, parents)).flatMap((state, i) =>
    state ? [] : [{ pointer: pointerOf(i), detail: `There is no task ${parents[i]}.` }]
  );
  if (issues.length > 0) throw new InvalidInputError(issues);
}

/** Adds the effects by which new tasks learn of parents that may have ended already. */
export function notifyDependents(write: Changeset, parents: Iterable<string>): void {
  for (const parent of parents) write.puts.push({ key: keys.dependentsEffect(parent), value: encode(0) });
}

/**
 * Puts ids in the place of refs in the `depends_on` of a batch.
 *
 * @returns The ids outside the batch that are depended on, each with the pointer to where it is named.
 * @throws {InvalidInputError} If a ref is there twice or nowhere, or the dependencies go round in a circle.
 */
export function resolveRefs(submissions: Submission[], states: TaskState[]): Map<string, string> {
  const issues: InputIssue[] = [];
  const byRef = new Map<string, TaskState>();
  submissions.forEach(({ ref, unique }, i) => {
    if (unique) issues.push({ pointer: `/tasks/${i}/unique`, detail: "Not in a batch: submit the task alone." });
    if (ref === undefined) return;
    if (byRef.has(ref)) issues.push({ pointer: `/tasks/${i}/ref`, detail: "This ref is there twice." });
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
      issues.push({ pointer: `/tasks/${i}/depends_on`, detail: "A task is named twice." });
    }
  }
  const circle = findCircle(states);
  if (circle >= 0) {
    issues.push({ pointer: `/tasks/${circle}/depends_on`, detail: "These dependencies go round in a circle." });
  }
  for (const [id, pointer] of outside) {
    if (isId(id)) continue;
    issues.push({ pointer, detail: `"${id}" is neither a ref in this batch nor the id of a task.` });
  }
  if (issues.length > 0) throw new InvalidInputError(issues);
  return outside;
}

/** The place of a task that depends on itself over others in the batch, or -1. */
function findCircle(states: TaskState[]): number {
  const places = new Map(states.map(({ task }, i) => [task.id, i]));
  const waits = states.map(({ task }) => task.depends_on.filter((id) => places.has(id)).length);
  const dependents = new Map<string, number[]>();
  states.forEach(({ task }, i) => {
    for (const id of task.depends_on) dependents.set(id, [...dependents.get(id) ?? [], i]);
  });
  // Kahn's algorithm: whatever cannot be put into an order is in a circle or behind one.
  const free = waits.flatMap((count, i) => count === 0 ? [i] : []);
  for (const i of free) {
    for (const next of dependents.get(states[i].task.id) ?? []) if (--waits[next] === 0) free.push(next);
  }
  return waits.findIndex((count) => count > 0);
}
