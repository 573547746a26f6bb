/**
 * A filter in words.
 *
 * @module
 */

import { AGE, TIMES, type View } from "../app/url.ts";

/** The parts of a filter in words, each with the change that takes it away. */
export function filterParts(
  view: View,
  titleOf: (type: string) => string,
  timeOf: (iso: string) => string = String,
): [words: string, without: Partial<View>][] {
  const parts: [string, Partial<View>][] = [
    ...view.statuses.map((status): [string, Partial<View>] => [
      status,
      { statuses: view.statuses.filter((other) => other !== status) },
    ]),
    ...view.task_types.map((type): [string, Partial<View>] => [
      titleOf(type),
      { task_types: view.task_types.filter((other) => other !== type) },
    ]),
  ];
  if (view.tag) parts.push([`tag ${view.tag}`, { tag: "" }]);
  if (view.error) parts.push([`error “${view.error}”`, { error: "" }]);
  if (view.schedule) parts.push([`schedule ${view.schedule.slice(-6).toLowerCase()}`, { schedule: "" }]);
  for (const name of TIMES) {
    if (!view[name]) continue;
    const [what, end] = name.split("_");
    const ago = AGE.exec(view[name]);
    const how = ago
      ? end === "from" ? `in the last ${agoWords(ago)}` : `more than ${ago[1]} ${unitOf(ago)} ago`
      : `${end === "from" ? "from" : "before"} ${/T/.test(view[name]) ? timeOf(view[name]) : view[name]}`;
    parts.push([`${what} ${how}`, { [name]: "" }]);
  }
  if (view.q) parts.push([`text “${view.q}”`, { q: "" }]);
  return parts;
}

function unitOf([, value, unit]: RegExpExecArray): string {
  return `${{ m: "minute", h: "hour", d: "day", w: "week" }[unit]}${value === "1" ? "" : "s"}`;
}

/** "hour", "15 minutes": how long a time like `15m` is. */
function agoWords(ago: RegExpExecArray): string {
  return `${ago[1] === "1" ? "" : `${ago[1]} `}${unitOf(ago)}`;
}

/** A view's filter in words. */
export function filterWords(...of: Parameters<typeof filterParts>): string {
  return filterParts(...of).map(([words]) => words).join(", ");
}
