/**
 * The URL is the view: what the page shows can be linked, reloaded and gone back to.
 *
 * @module
 */

import type { PageData } from "./store.ts";

type View = PageData["view"];

/** The address of a view; `change` is put over the view that is shown. */
export function hrefOf(view: View, change: Partial<View>): string {
  const next = { ...view, ...change };
  const query = new URLSearchParams();
  for (const status of next.statuses) query.append("status", status);
  for (const type of next.task_types) query.append("task_type", type);
  if (next.cursor) query.set("cursor", next.cursor);
  if (next.task) query.set("task", next.task);
  if (next.form) query.set("new", next.form);
  const text = query.toString();
  return text ? `/?${text}` : "/";
}

/** A list with a value put in if it is missing, or taken out if it is there. */
export function toggled<T>(list: T[], value: T): T[] {
  return list.includes(value) ? list.filter((other) => other !== value) : [...list, value];
}
