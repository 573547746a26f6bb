/**
 * The URL is the view: what the page shows can be linked to, reloaded and returned to. The server and the browser read
 * it by the same rules.
 *
 * @module
 */

import { matchesContent } from "../../queue/task/content_filter.ts";
import { PAGE, type Range, RANGES, SEARCH_CHARS } from "../../queue/task/limits.ts";
import { type Status, STATUSES } from "../../queue/task/record.ts";
import type { TaskSummary } from "../../queue/task/summary.ts";

/** The sections of a task's details. */
export const TABS = ["overview", "timeline", "logs", "output", "attempts", "graph", "raw"] as const;
/** One of {@linkcode TABS}. */
export type Tab = (typeof TABS)[number];

/** How far back the charts go. */
export const CHART_RANGES = Object.keys(RANGES) as Range[];
/** One of {@linkcode CHART_RANGES}. */
type ChartRange = Range;

/** What the charts compare. */
export const CHART_GROUPS = ["status", "type"] as const;

/** Rows of a page. */
export const PAGE_SIZES = [PAGE.default, 100, PAGE.max] as const;

/** The parts of a filter that are one text each, and those that are times. */
const TEXTS = ["tag", "q", "error", "schedule"] as const;
/** Names of the times of a filter. */
export const TIMES = ["created_from", "created_to", "ended_from", "ended_to"] as const;

/** The parts of a filter that the search box shows; the others have controls of their own. */
const BOXED = ["tag", "error", "schedule", "ended_from", "ended_to", "q"] as const;

/** What the page shows. */
export interface View {
  statuses: Status[];
  task_types: string[];
  tag: string;
  q: string;
  /** Text of the error. */
  error: string;
  /** The id of a schedule. */
  schedule: string;
  /** `2h`, `3d`, a date or a time; tasks created from then on. */
  created_from: string;
  /** The same; tasks created before then. */
  created_to: string;
  /** The same for the time at which tasks ended. */
  ended_from: string;
  /** The same; tasks that ended before then. */
  ended_to: string;
  order: "newest" | "oldest";
  limit: (typeof PAGE_SIZES)[number];
  cursor: string | null;
  /** Number of the page's first task in the list, from 1. For display only: the cursor decides. */
  first: number;
  task: string | null;
  tab: Tab;
  /** Whether the details take the place of the list. */
  full: boolean;
  /** The task type whose form is open. */
  form: string | null;
  /** The task whose parameters fill the form. */
  from: string | null;
  /** Whether the form begins with the user's own data instead of sample data. */
  own: boolean;
  charts: ChartRange | null;
  /** What the charts compare. */
  group: (typeof CHART_GROUPS)[number];
}

/** Removes every filter from a view. */
export const UNFILTERED = {
  statuses: [],
  task_types: [],
  tag: "",
  q: "",
  error: "",
  schedule: "",
  created_from: "",
  created_to: "",
  ended_from: "",
  ended_to: "",
  cursor: null,
  first: 1,
} satisfies Partial<View>;

/** The whole list, newest first. */
export const HOME: View = {
  ...UNFILTERED,
  order: "newest",
  limit: PAGE.default,
  task: null,
  tab: "overview",
  full: false,
  form: null,
  from: null,
  own: false,
  charts: null,
  group: "status",
};

const UNITS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const ID = /^[0-9A-HJKMNP-TV-Z]{26}$/;
/** A time as an age: `2h`. */
export const AGE = /^(\d{1,6})([mhdw])$/;

/** A time of a view in milliseconds: `2h` is two hours before `now`. NaN if it is invalid. */
export function timeOf(text: string, now: number): number {
  const ago = AGE.exec(text);
  if (ago) return now - Number(ago[1]) * UNITS[ago[2]];
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return Date.parse(`${text}T00:00:00Z`);
  return /^\d{4}-\d{2}-\d{2}T[\d:.]+(Z|[+-]\d{2}:\d{2})$/.test(text) ? Date.parse(text) : NaN;
}

/** A word of a search: a name with a colon, then a text in quotes or without. */
// A colon before two slashes belongs to an address.
const TERM = /(([a-z_]+):(?!\/\/))?(?:"((?:[^"\\]|\\.)*)"|(\S+))/gi;

/** What a person typed into the search, as parts of a view: `status:failed tag:x created:>2h some text`. */
export function parseSearch(text: string, types: string[]): { parts: Partial<View>; ignored: string[] } {
  const parts: Partial<View> = Object.fromEntries(BOXED.map((name) => [name, ""]));
  const ignored: string[] = [];
  const words: string[] = [];
  for (const [term, , name, quoted, plain] of text.matchAll(TERM)) {
    const value = quoted?.replaceAll(/\\(.)/g, "$1") ?? plain;
    switch (name?.toLowerCase()) {
      case undefined:
      case "id":
        words.push(value);
        break;
      case "tag":
        parts.tag = value.slice(0, SEARCH_CHARS);
        break;
      case "error":
        parts.error = value.slice(0, SEARCH_CHARS);
        break;
      case "schedule":
        if (ID.test(value)) parts.schedule = value;
        else ignored.push(term);
        break;
      case "status": {
        const found = STATUSES.filter((status) => status.startsWith(value.toUpperCase()));
        if (found.length > 0) parts.statuses = [...new Set([...parts.statuses ?? [], ...found])];
        else ignored.push(term);
        break;
      }
      case "type": {
        // A part of a name stands for every type that has it.
        const found = types.filter((type) => type.includes(value.toLowerCase()));
        if (found.length > 0) parts.task_types = [...new Set([...parts.task_types ?? [], ...found])];
        else ignored.push(term);
        break;
      }
      case "created":
      case "ended": {
        const [, sign, time] = /^([<>]?)=?(.*)$/.exec(value)!;
        if (Number.isNaN(timeOf(time, 0))) ignored.push(term);
        // Some tools read `created:<2h` as less than two hours old; here it means before that time, as with dates.
        else parts[`${name.toLowerCase() as "created" | "ended"}_${sign === "<" ? "to" : "from"}`] = time;
        break;
      }
      default:
        ignored.push(term);
    }
  }
  parts.q = words.join(" ").slice(0, SEARCH_CHARS);
  return { parts, ignored };
}

/** The parts of a view that the search box shows: those without a control of their own. */
export function searchText(view: View): string {
  const quote = (text: string, always = false) =>
    always || /[\s"]/.test(text) ? `"${text.replaceAll(/["\\]/g, "\\$&")}"` : text;
  return BOXED.map((name) => {
    const text = view[name];
    if (name === "q") return /(^|\s)[a-z_]+:(?!\/\/)|["\\]/i.test(text) ? quote(text, true) : text;
    return text && name.replace("_from", ":>").replace("_to", ":<") + (name.includes("_") ? "" : ":") + quote(text);
  }).filter(Boolean).join(" ");
}

/** Parses a view. Unknown parts are ignored and reported. */
export function parseView(query: URLSearchParams, types: string[]): { view: View; ignored: string[] } {
  const view: View = { ...HOME };
  const ignored: string[] = [];
  const known = <T extends string>(name: string, all: readonly T[]): T[] => {
    const values = query.getAll(name).flatMap((value) => value.split(",")).filter(Boolean);
    const found = [...new Set(values)].filter((value): value is T => (all as readonly string[]).includes(value));
    ignored.push(...values.filter((value) => !found.includes(value as T)).map((value) => `${name}=${value}`));
    return found;
  };
  view.statuses = known("status", STATUSES);
  view.task_types = known("task_type", types);
  for (const name of TEXTS) view[name] = (query.get(name) ?? "").slice(0, SEARCH_CHARS);
  if (view.schedule && !ID.test(view.schedule)) {
    ignored.push(`schedule=${view.schedule}`);
    view.schedule = "";
  }
  for (const name of TIMES) {
    const text = query.get(name) ?? "";
    if (text && Number.isNaN(timeOf(text, 0))) ignored.push(`${name}=${text}`);
    else view[name] = text;
  }
  for (const name of ["created", "ended"] as const) {
    const [from, to] = [view[`${name}_from`], view[`${name}_to`]];
    // An age and a date cannot be compared without a clock.
    if (!from || !to || AGE.test(from) !== AGE.test(to) || timeOf(from, 0) < timeOf(to, 0)) continue;
    ignored.push(`${name}_to=${to}`);
    view[`${name}_to`] = "";
  }
  const search = query.get("search");
  if (search !== null) {
    const { parts, ignored: unknown } = parseSearch(search, types);
    ignored.push(...unknown);
    Object.assign(view, parts);
  }
  view.order = known("order", ["newest", "oldest"])[0] ?? "newest";
  view.limit = Number(known("limit", PAGE_SIZES.map(String))[0] ?? PAGE.default) as View["limit"];
  for (const name of ["cursor", "task", "from"] as const) {
    const text = query.get(name);
    if (!text) continue;
    if (name === "task" || ID.test(text)) view[name] = text.slice(0, 64);
    else ignored.push(`${name}=${text}`);
  }
  const first = Number(query.get("first") ?? 1);
  if (view.cursor && Number.isInteger(first) && first > 0 && first < 1e9) view.first = first;
  view.tab = known("tab", TABS)[0] ?? "overview";
  view.form = known("new", types)[0] ?? null;
  view.charts = known("charts", CHART_RANGES)[0] ?? null;
  view.group = known("group", CHART_GROUPS)[0] ?? "status";
  view.own = query.get("own") === "1";
  view.full = query.get("full") === "1";
  return { view, ignored: ignored.map((part) => part.slice(0, 80)) };
}

/** The address of a view; `change` is put over it. A change of the list starts at its first page. */
export function hrefOf(view: View, change: Partial<View>): string {
  const next = { ...view, ...change };
  const query = new URLSearchParams();
  for (const status of next.statuses) query.append("status", status);
  for (const type of next.task_types) query.append("task_type", type);
  for (const name of [...TEXTS, ...TIMES]) if (next[name]) query.set(name, next[name]);
  if (next.order !== "newest") query.set("order", next.order);
  if (next.limit !== PAGE.default) query.set("limit", String(next.limit));
  if (next.cursor) {
    query.set("cursor", next.cursor);
    if (next.first > 1) query.set("first", String(next.first));
  }
  if (next.task) query.set("task", next.task);
  if (next.tab !== "overview") query.set("tab", next.tab);
  if (next.full) query.set("full", "1");
  if (next.form) query.set("new", next.form);
  if (next.form && next.from) query.set("from", next.from);
  if (next.form && next.own) query.set("own", "1");
  if (next.charts) query.set("charts", next.charts);
  if (next.charts && next.group !== "status") query.set("group", next.group);
  const text = query.toString();
  return text ? `./?${text}` : "./";
}

/** An address with more in its query. */
export function withQuery(address: string, more: Record<string, string>): string {
  return `${address}${address.includes("?") ? "&" : "?"}${new URLSearchParams(more)}`;
}

/** A view's filter, as the list of the API takes it and as a bulk action does. */
export function filterOf(view: View, now: number): Record<string, string> {
  const filter: Record<string, string> = {};
  if (view.statuses.length > 0) filter.status = view.statuses.join(",");
  if (view.task_types.length > 0) filter.task_type = view.task_types.join(",");
  for (const name of TEXTS) if (view[name]) filter[name] = view[name];
  for (const name of TIMES) if (view[name]) filter[name] = new Date(timeOf(view[name], now)).toISOString();
  return filter;
}

/** Whether the counters of statuses and types do not say how many tasks of each status a filter has. */
export function needsFacets(view: View): boolean {
  return [...TEXTS, ...TIMES].some((name) => view[name]);
}

/** The address of a view's list in the API. */
export function listAddress(view: View, now: number): string {
  const query = new URLSearchParams(filterOf(view, now));
  query.set("limit", String(view.limit));
  if (view.order !== "newest") query.set("order", view.order);
  if (view.cursor) query.set("cursor", view.cursor);
  if (needsFacets(view)) query.set("facets", "status");
  return `api/tasks/?${query}`;
}

/** Whether two views show the same list. */
export function sameList(a: View, b: View): boolean {
  return listAddress(a, 0) === listAddress(b, 0);
}

/** Whether anything is filtered out. */
export function isFiltered(view: View): boolean {
  return Object.keys(filterOf(view, 0)).length > 0;
}

/** Whether a task belongs to a view by what the stream does not look at: texts, tag, schedule and times. */
export function fitsText(view: View, task: TaskSummary, now: number): boolean {
  const created = Date.parse(task.created_at);
  if (view.created_from && created < timeOf(view.created_from, now)) return false;
  if (view.created_to && created >= timeOf(view.created_to, now)) return false;
  const time = (text: string) => text ? timeOf(text, now) : undefined;
  return matchesContent(task, {
    ...Object.fromEntries(TEXTS.map((name) => [name, view[name] || undefined])),
    ended_from: time(view.ended_from),
    ended_to: time(view.ended_to),
  });
}

/** A list with a value put in if it is missing, or taken out if it is there. */
export function toggled<T>(list: T[], value: T): T[] {
  return list.includes(value) ? list.filter((other) => other !== value) : [...list, value];
}
