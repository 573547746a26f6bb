/**
 * The part of a filter that no index answers: what a task contains. Lists on the server and rows that come live find
 * the same tasks by it.
 *
 * @module
 */

/** What a task must contain. Fields that are left out do not filter; texts are found in any case of their letters. */
export interface ContentFilter {
  /** Only tasks with this tag. */
  tag?: string;
  /** Text to find in id, title, type, message, error or tags. */
  q?: string;
  /** Text to find in the code or the message of the error. */
  error?: string;
  /** Only tasks that this schedule has submitted. */
  schedule?: string;
  /** Ended at this time or later, milliseconds since the epoch. */
  ended_from?: number;
  /** Ended before this time, milliseconds since the epoch. */
  ended_to?: number;
}

/** What is searched of a task. A time is RFC 3339, or milliseconds since the epoch. */
interface Searched {
  id: string;
  title: string;
  task_type: string;
  message: string;
  tags: string[];
  error: { code: string; message: string } | null;
  schedule_id: string | null;
  completed_at: string | number | null;
}

/** Whether a filter asks for what a task contains, so that tasks have to be read to count those that match. */
export function looksInside({ tag, q, error, schedule, ended_from, ended_to }: ContentFilter): boolean {
  return [tag, q, error, schedule, ended_from, ended_to].some((value) => value !== undefined);
}

/** Whether a task contains what a filter asks for. */
export function matchesContent(task: Searched, filter: ContentFilter): boolean {
  const { tag, q, error, schedule, ended_from, ended_to } = filter;
  const has = (wanted: string, ...texts: string[]) =>
    texts.some((text) => text.toLowerCase().includes(wanted.toLowerCase()));
  const { code = "", message = "" } = task.error ?? {};
  if (tag !== undefined && !task.tags.includes(tag)) return false;
  if (schedule !== undefined && task.schedule_id !== schedule) return false;
  if (error !== undefined && !has(error, code, message)) return false;
  if (ended_from !== undefined || ended_to !== undefined) {
    if (task.completed_at === null) return false;
    const ended = new Date(task.completed_at).getTime();
    if (ended < (ended_from ?? -Infinity) || ended >= (ended_to ?? Infinity)) return false;
  }
  return q === undefined || has(q, task.id, task.title, task.task_type, task.message, message, ...task.tags);
}
