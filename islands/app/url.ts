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
export const TABS = ["overview", "timeline", "logs", "output", "attempts", "raw"] as const;
/** One of {@linkcode TABS}. */
export type Tab = (typeof TABS)[number];

/** How far back the charts go. */
export const CHART_RANGES = Object.keys(RANGES) as Range[];
/** One of {@linkcode CHART_RANGES}. */
type ChartRange = Range;

/** Rows of a page. */
export const PAGE_SIZES = [PAGE.default, 100, PAGE.max] as const;

/** What the page shows. */
export interface View {
  statuses: Status[];
  task_types: string[];
  tag: string | null;
  q: string;
  /** `2h`, `3d`, a date or a time; tasks created from then on. */
  created_from: string | null;
  /** The same; tasks created before then. */
  created_to: string | null;
  order: "newest" | "oldest";
  limit: (typeof PAGE_SIZES)[number];
  cursor: string | null;
  /** Number of the page's first task in the list, from 1. For display only: the cursor decides. */
  first: number;
  task: string | null;
  tab: Tab;
  /** The task type whose form is open. */
  form: string | null;
  /** The task whose parameters fill the form. */
  from: string | null;
  charts: ChartRange | null;
  schedules: boolean;
}

/** Removes every filter from a view. */
export const UNFILTERED = {
  statuses: [],
  task_types: [],
  tag: null,
  q: "",
  created_from: null,
  created_to: null,
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
  form: null,
  from: null,
  charts: null,
  schedules: false,
};

const UNITS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const ID = /^[0-9A-HJKMNP-TV-Z]{26}$/;

/** A time of a view in milliseconds: `2h` is two hours before `now`. NaN if it is invalid. */
export function timeOf(text: string, now: number): number {
  const ago = /^(\d{1,6})([mhdw])$/.exec(text);
  if (ago) return now - Number(ago[1]) * UNITS[ago[2]];
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return Date.parse(`${text}T00:00:00Z`);
  return /^\d{4}-\d{2}-\d{2}T[\d:.]+(Z|[+-]\d{2}:\d{2})$/.test(text) ? Date.parse(text) : NaN;
}

/** What a person typed into the search, as parts of a view: `status:failed tag:x created:>2h some text`. */
export function parseSearch(text: string, types: string[]): { parts: Partial<View>; ignored: string[] } {
  const parts: Partial<View> = { q: "", tag: null, created_from: null, created_to: null };
  const ignored: string[] = [];
  const words: string[] = [];
  for (const [term, , name, quoted, plain] of text.matchAll(/((status|type|id|tag|created):)?(?:"([^"]*)"|(\S+))/g)) {
    const value = quoted ?? plain;
    if (!name) words.push(value);
    else if (name === "id") words.push(value);
    else if (name === "tag") parts.tag = value;
    else if (name === "status") {
      const found = STATUSES.filter((status) => status.startsWith(value.toUpperCase()));
      if (found.length > 0) parts.statuses = [...new Set([...parts.statuses ?? [], ...found])];
      else ignored.push(term);
    } else if (name === "type") {
      // A part of a name stands for every type that has it.
      const found = types.filter((type) => type.includes(value.toLowerCase()));
      if (found.length > 0) parts.task_types = [...new Set([...parts.task_types ?? [], ...found])];
      else ignored.push(term);
    } else {
      const [, sign, time] = /^([<>]?)=?(.*)$/.exec(value)!;
      if (Number.isNaN(timeOf(time, 0))) ignored.push(term);
      // Some tools read `created:<2h` as less than two hours old; here it means before that time, as with dates.
      else if (sign === "<") parts.created_to = time;
      else parts.created_from = time;
    }
  }
  parts.q = words.join(" ").slice(0, SEARCH_CHARS);
  return { parts, ignored };
}

/** The parts of a view that the search box shows: those without a control of their own. */
export function searchText({ q, tag, created_from, created_to }: View): string {
  const quote = (text: string) => /\s/.test(text) ? `"${text}"` : text;
  return [
    tag === null ? "" : `tag:${quote(tag)}`,
    created_from === null ? "" : `created:>${created_from}`,
    created_to === null ? "" : `created:<${created_to}`,
    q,
  ].filter(Boolean).join(" ");
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
  view.tag = query.get("tag") || null;
  view.q = (query.get("q") ?? "").slice(0, SEARCH_CHARS);
  for (const name of ["created_from", "created_to"] as const) {
    const text = query.get(name);
    if (!text) continue;
    if (Number.isNaN(timeOf(text, 0))) ignored.push(`${name}=${text}`);
    else view[name] = text;
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
  view.schedules = query.get("show") === "schedules";
  return { view, ignored: ignored.map((part) => part.slice(0, 80)) };
}

/** The address of a view; `change` is put over it. A change of the list starts at its first page. */
export function hrefOf(view: View, change: Partial<View>): string {
  const next = { ...view, ...change };
  const query = new URLSearchParams();
  for (const status of next.statuses) query.append("status", status);
  for (const type of next.task_types) query.append("task_type", type);
  for (const name of ["tag", "q", "created_from", "created_to"] as const) if (next[name]) query.set(name, next[name]);
  if (next.order !== "newest") query.set("order", next.order);
  if (next.limit !== PAGE.default) query.set("limit", String(next.limit));
  if (next.cursor) {
    query.set("cursor", next.cursor);
    if (next.first > 1) query.set("first", String(next.first));
  }
  if (next.task) {
    query.set("task", next.task);
    if (next.tab !== "overview") query.set("tab", next.tab);
  }
  if (next.form) query.set("new", next.form);
  if (next.form && next.from) query.set("from", next.from);
  if (next.charts) query.set("charts", next.charts);
  if (next.schedules) query.set("show", "schedules");
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
  if (view.tag) filter.tag = view.tag;
  if (view.q) filter.q = view.q;
  for (const name of ["created_from", "created_to"] as const) {
    if (view[name] !== null) filter[name] = new Date(timeOf(view[name], now)).toISOString();
  }
  return filter;
}

/** The address of a view's list in the API. */
export function listAddress(view: View, now: number): string {
  const query = new URLSearchParams(filterOf(view, now));
  query.set("limit", String(view.limit));
  if (view.order !== "newest") query.set("order", view.order);
  if (view.cursor) query.set("cursor", view.cursor);
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

/** Whether a task belongs to a view by what the stream does not look at: text, tag and time. */
export function fitsText(view: View, task: TaskSummary, now: number): boolean {
  const created = Date.parse(task.created_at);
  if (view.created_from !== null && created < timeOf(view.created_from, now)) return false;
  if (view.created_to !== null && created >= timeOf(view.created_to, now)) return false;
  return matchesContent(task, { q: view.q || undefined, tag: view.tag ?? undefined });
}

/** A view's filter in words. */
export function filterWords(view: View, titleOf: (type: string) => string): string {
  const parts: string[] = [];
  if (view.statuses.length > 0) parts.push(`status ${view.statuses.join(" or ")}`);
  if (view.task_types.length > 0) parts.push(`type ${view.task_types.map(titleOf).join(" or ")}`);
  if (view.tag) parts.push(`tag ${view.tag}`);
  if (view.created_from) parts.push(`created after ${timeWords(view.created_from)}`);
  if (view.created_to) parts.push(`created before ${timeWords(view.created_to)}`);
  if (view.q) parts.push(`text “${view.q}”`);
  return parts.join(", ");
}

function timeWords(text: string): string {
  const ago = /^(\d+)([mhdw])$/.exec(text);
  const names: Record<string, string> = { m: "minutes", h: "hours", d: "days", w: "weeks" };
  return ago ? `${ago[1]} ${names[ago[2]]} ago` : text;
}

/** A list with a value put in if it is missing, or taken out if it is there. */
export function toggled<T>(list: T[], value: T): T[] {
  return list.includes(value) ? list.filter((other) => other !== value) : [...list, value];
}
