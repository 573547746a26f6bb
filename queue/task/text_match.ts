/**
 * The search for text and tags: lists on the server and rows that come live find the same tasks.
 *
 * @module
 */

import type { TaskRecord } from "./record.ts";

/** What is searched of a task. */
type Searched =
  & Pick<TaskRecord, "id" | "title" | "task_type" | "message" | "tags">
  & { error: { message: string } | null };

/** Whether a task has a tag, and a text in its id, title, type, message, error or tags, ignoring case. */
export function matchesText(
  { id, title, task_type, message, tags, error }: Searched,
  { q, tag }: { q?: string; tag?: string },
): boolean {
  if (tag !== undefined && !tags.includes(tag)) return false;
  if (q === undefined) return true;
  const wanted = q.toLowerCase();
  return [id, title, task_type, message, error?.message ?? "", ...tags].some((text) =>
    text.toLowerCase().includes(wanted)
  );
}
