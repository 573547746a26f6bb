/**
 * The query of a list.
 *
 * @module
 */

import { PAGE, SEARCH_CHARS } from "../../queue/task/limits.ts";
import * as z from "zod";
import { isId } from "../../queue/task/ids.ts";
import type { Filter, Order } from "../../queue/store/listing.ts";
import { type Status, STATUSES } from "../../queue/task/record.ts";
import { Problem, type ProblemIssue } from "./problem.ts";

const TIMES = ["created_from", "created_to", "ended_from", "ended_to"] as const;
const FILTERS = ["status", "task_type", "tag", "q", "error", "schedule", ...TIMES];

/** A time, or a date, which means its start in UTC. */
export const timeSchema = z.union([z.iso.datetime({ offset: true }), z.iso.date()]);

/** The problem that a query is wrong. */
export function badQuery(...errors: ProblemIssue[]): Problem {
  return new Problem(400, "bad_query", "The query is not valid; see errors.", errors);
}

/** A list's query, or a problem that names each wrong parameter. */
export function readFilter(
  query: URLSearchParams,
): { filter: Filter; limit: number; cursor: string | undefined; order: Order; facets: boolean } {
  const errors: ProblemIssue[] = [];
  const known = new Set([...FILTERS, "limit", "cursor", "order", "facets"]);
  for (const name of query.keys()) {
    if (!known.has(name)) errors.push({ parameter: name, detail: "Unknown parameter." });
  }
  const several = (name: string) => query.getAll(name).flatMap((value) => value.split(",")).filter(Boolean);
  const statuses = several("status").map((status) => status.toUpperCase());
  for (const status of statuses) {
    if (!(STATUSES as readonly string[]).includes(status)) {
      errors.push({ parameter: "status", detail: `"${status}" is not one of ${STATUSES.join(", ")}.` });
    }
  }
  for (const name of ["tag", "q", "error", "schedule", ...TIMES, "limit", "cursor", "order", "facets"]) {
    if (query.getAll(name).length > 1) errors.push({ parameter: name, detail: "Must be given only once." });
  }
  const limit = Number(query.get("limit") ?? PAGE.default);
  if (!/^\d+$/.test(query.get("limit") ?? String(PAGE.default)) || limit < 1 || limit > PAGE.max) {
    errors.push({ parameter: "limit", detail: `Must be a whole number from 1 to ${PAGE.max}.` });
  }
  const cursor = query.get("cursor") || undefined;
  if (cursor !== undefined && !isId(cursor)) {
    errors.push({ parameter: "cursor", detail: "Pass next_cursor from the previous page." });
  }
  const order = query.get("order") ?? "newest";
  if (order !== "newest" && order !== "oldest") {
    errors.push({ parameter: "order", detail: "Must be newest or oldest." });
  }
  const time = (parameter: string) => {
    const text = query.get(parameter);
    if (!text) return undefined;
    const parsed = timeSchema.safeParse(text);
    if (parsed.success) return Date.parse(text);
    errors.push({ parameter, detail: "Must be a time such as 2026-11-25T08:00:00Z, or a date." });
  };
  const times = Object.fromEntries(TIMES.map((name) => [name, time(name)]));
  for (const what of ["created", "ended"]) {
    const [from, to] = [times[`${what}_from`], times[`${what}_to`]];
    if (from !== undefined && to !== undefined && from >= to) {
      errors.push({ parameter: `${what}_to`, detail: `It must be later than ${what}_from.` });
    }
  }
  const text = (parameter: "q" | "error") => {
    const value = query.get(parameter) || undefined;
    if (value !== undefined && value.length > SEARCH_CHARS) {
      errors.push({ parameter, detail: `At most ${SEARCH_CHARS} characters.` });
    }
    return value;
  };
  const [q, error] = [text("q"), text("error")];
  const schedule = query.get("schedule") || undefined;
  if (schedule !== undefined && !isId(schedule)) {
    errors.push({ parameter: "schedule", detail: "Must be the id of a schedule." });
  }
  const facets = query.get("facets") ?? "none";
  if (facets !== "none" && facets !== "status") {
    errors.push({ parameter: "facets", detail: "Must be status or none." });
  }
  if (errors.length > 0) throw badQuery(...errors);
  const types = several("task_type");
  return {
    filter: {
      statuses: statuses.length > 0 ? statuses as Status[] : undefined,
      task_types: types.length > 0 ? types : undefined,
      tag: query.get("tag") || undefined,
      q,
      error,
      schedule,
      ...times,
    },
    limit,
    cursor,
    order: order as Order,
    facets: facets === "status",
  };
}
