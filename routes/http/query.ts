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

const FILTERS = ["status", "task_type", "tag", "q", "created_from", "created_to"];

/** A time, or a date, which means its start in UTC. */
export const timeSchema = z.union([z.iso.datetime({ offset: true }), z.iso.date()]);

/** The problem that a query is wrong. */
export function badQuery(...errors: ProblemIssue[]): Problem {
  return new Problem(400, "bad_query", "The query is not valid; see errors.", errors);
}

/** A list's query, or a problem that names each wrong parameter. */
export function readFilter(
  query: URLSearchParams,
): { filter: Filter; limit: number; cursor: string | undefined; order: Order } {
  const errors: ProblemIssue[] = [];
  const known = new Set([...FILTERS, "limit", "cursor", "order"]);
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
  for (const name of ["tag", "q", "created_from", "created_to", "limit", "cursor", "order"]) {
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
  const created_from = time("created_from");
  const created_to = time("created_to");
  if (created_from !== undefined && created_to !== undefined && created_from >= created_to) {
    errors.push({ parameter: "created_to", detail: "It must be later than created_from." });
  }
  const q = query.get("q") || undefined;
  if (q !== undefined && q.length > SEARCH_CHARS) {
    errors.push({ parameter: "q", detail: `At most ${SEARCH_CHARS} characters.` });
  }
  if (errors.length > 0) throw badQuery(...errors);
  const types = several("task_type");
  return {
    filter: {
      statuses: statuses.length > 0 ? statuses as Status[] : undefined,
      task_types: types.length > 0 ? types : undefined,
      tag: query.get("tag") || undefined,
      q,
      created_from,
      created_to,
    },
    limit,
    cursor,
    order: order as Order,
  };
}
