/**
 * Queries: read by a schema, and the schemas of those that have parameters.
 *
 * @module
 */

import { LOG_PAGE, PAGE, type Range, RANGES, SCHEDULE_CHARS, SEARCH_CHARS } from "../../queue/task/limits.ts";
import * as z from "zod";
import { isId } from "../../queue/task/ids.ts";
import type { Filter, Order } from "../../queue/store/listing.ts";
import { STATUSES } from "../../queue/task/record.ts";
import { Problem, type ProblemIssue } from "./problem.ts";

/** A time, or a date, which means its start in UTC. */
export const timeSchema = z.union([z.iso.datetime({ offset: true }), z.iso.date()], {
  error: "Must be a time such as 2026-11-25T08:00:00Z, or a date.",
});

/** The problem that a query is wrong. */
export function badQuery(...errors: ProblemIssue[]): Problem {
  return new Problem(400, "bad_query", "The query is not valid; see errors.", errors);
}

/**
 * Reads a query. A parameter without a value counts as left out; one whose schema is an array may be repeated, and hold
 * several values with commas. Only a strict schema refuses parameters that it does not know.
 *
 * @throws {Problem} 400 that names each wrong parameter.
 */
export function readQuery<S extends z.ZodObject>(query: URLSearchParams, schema: S): z.output<S> {
  const given: Record<string, unknown> = {};
  const errors: ProblemIssue[] = [];
  for (const name of new Set(query.keys())) {
    const values = query.getAll(name);
    if (isSeveral(schema.shape[name])) {
      const all = values.flatMap((value) => value.split(",")).filter(Boolean);
      if (all.length > 0) given[name] = all;
    } else {
      if (values.length > 1 && name in schema.shape) {
        errors.push({ parameter: name, detail: "Must be given only once." });
      }
      if (values[0] !== "") given[name] = values[0];
    }
  }
  const parsed = schema.safeParse(given);
  for (const issue of parsed.error?.issues ?? []) {
    if (issue.code === "unrecognized_keys") {
      errors.push(...issue.keys.map((parameter) => ({ parameter, detail: "Unknown parameter." })));
    } else errors.push({ parameter: String(issue.path[0]), detail: issue.message });
  }
  if (errors.length > 0) throw badQuery(...errors);
  return parsed.data as z.output<S>;
}

/** Whether a parameter takes several values. */
function isSeveral(schema: z.core.$ZodType | undefined): boolean {
  const def = schema?._zod.def as { type: string; innerType?: z.core.$ZodType; out?: z.core.$ZodType } | undefined;
  return def !== undefined && (def.type === "array" || isSeveral(def.innerType ?? def.out));
}

/** A whole number as text. */
function whole(max: number, otherwise: number) {
  const error = `Must be a whole number from 1 to ${max}.`;
  const number = z.int({ error, abort: true }).min(1, error).max(max, error).default(otherwise);
  return z.preprocess((text) => /^\d{1,15}$/.test(String(text)) ? Number(text) : text, number);
}

const upper = (values: unknown) => (values as string[] | undefined)?.map((value) => value.toUpperCase());
const searched = z.string().max(SEARCH_CHARS, `At most ${SEARCH_CHARS} characters.`).optional();
const time = timeSchema.optional();

/** The query of the list of tasks. */
export const listQuery = z.strictObject({
  status: z.preprocess(
    upper,
    z.array(z.enum(STATUSES, { error: ({ input }) => `"${input}" is not one of ${STATUSES.join(", ")}.` })).optional(),
  ).meta({ description: "Tasks in one of these statuses." }),
  task_type: z.array(z.string()).optional().meta({ description: "Tasks of one of these types." }),
  tag: z.string().optional().meta({ description: "Tasks with this tag." }),
  q: searched.meta({ description: "Text that is found in id, title, type, tags, message or error." }),
  error: searched.meta({ description: "Text that is found in the code or the message of the error." }),
  schedule: z.string().refine(isId, "Must be the id of a schedule.").optional()
    .meta({ description: "Tasks of the schedule with this id." }),
  created_from: time.meta({ description: "Tasks that were submitted at this time or later." }),
  created_to: time.meta({ description: "Tasks that were submitted before this time." }),
  ended_from: time.meta({ description: "Tasks that ended at this time or later." }),
  ended_to: time.meta({ description: "Tasks that ended before this time." }),
  order: z.enum(["newest", "oldest"], "Must be newest or oldest.").default("newest")
    .meta({ description: "Which tasks come first, by their time of submit." }),
  limit: whole(PAGE.max, PAGE.default).meta({ description: "Tasks on a page." }),
  cursor: z.string().refine(isId, "Pass next_cursor from the previous page.").optional()
    .meta({ description: "`next_cursor` or `prev_cursor` of another page." }),
  facets: z.enum(["none", "status"], "Must be status or none.").default("none")
    .meta({ description: "`status`: how many tasks each status has under the other filters." }),
}).superRefine((query, context) => {
  for (const what of ["created", "ended"] as const) {
    const [from, to] = [query[`${what}_from`], query[`${what}_to`]];
    if (from === undefined || to === undefined || Date.parse(from) < Date.parse(to)) continue;
    const message = `It must be later than ${what}_from.`;
    context.addIssue({ code: "custom", path: [`${what}_to`], message });
  }
});

/** What the query of a list asks for, or a problem that names each wrong parameter. */
export function readFilter(
  query: URLSearchParams,
): { filter: Filter; limit: number; cursor: string | undefined; order: Order; facets: boolean } {
  const { status, task_type, limit, cursor, order, facets, ...rest } = readQuery(query, listQuery);
  const { created_from, created_to, ended_from, ended_to, ...texts } = rest;
  const ms = (text: string | undefined) => text === undefined ? undefined : Date.parse(text);
  const times = {
    created_from: ms(created_from),
    created_to: ms(created_to),
    ended_from: ms(ended_from),
    ended_to: ms(ended_to),
  };
  const filter = { statuses: status, task_types: task_type, ...texts, ...times };
  return { filter, limit, cursor, order, facets: facets === "status" };
}

const position = z.string().regex(/^\d{1,9}:\d{1,9}$/, "Pass next or first from another page, such as 1:500.");

/** The query of a page of a log. */
export const logQuery = z.object({
  after: position.optional().meta({ description: "The first line to tell, `attempt:line`. Default: the oldest." }),
  before: z.union([z.literal("end"), position], "Pass next or first from another page, such as 1:500.").optional()
    .meta({ description: "Tells the lines before this one; `end`: the newest lines." }),
  limit: whole(LOG_PAGE.max, LOG_PAGE.default).meta({ description: "Lines on a page." }),
}).refine(({ after, before }) => after === undefined || before === undefined, {
  path: ["before"],
  message: "Pass after or before, not both.",
});

/** The query of a series. */
export const seriesQuery = z.object({
  range: z.enum(Object.keys(RANGES) as Range[], `Must be one of ${Object.keys(RANGES).join(", ")}.`).default("1h")
    .meta({ description: "How far back it goes." }),
  task_type: z.array(z.string()).default([]).meta({ description: "Only these types. Default: all." }),
});

/** The query of the next times of a cron expression. */
export const nextTimesQuery = z.object({
  cron: z.string().max(SCHEDULE_CHARS.cron).default("").meta({
    description: "A cron expression.",
    example: "0 2 * * *",
  }),
  timezone: z.string().max(SCHEDULE_CHARS.timezone).default("UTC")
    .meta({ description: "An IANA time zone.", example: "Europe/Zurich" }),
});

/** The query of a list of undelivered messages. */
export const undeliveredQuery = z.object({
  after: z.string().refine(isId, "Pass next from the previous page.").optional()
    .meta({ description: "`next` of the page before." }),
});

/** The query of the audit log. */
export const auditQuery = z.object({
  by: z.string().optional().meta({ description: "What this caller has done." }),
  action: z.string().optional().meta({ description: "Only this action, such as `task.cancel`." }),
  from: time.meta({ description: "From this time on." }),
  to: time.meta({ description: "Before this time." }),
  limit: whole(1_000, 100).meta({ description: "About how many entries; there may be some more." }),
  before: z.string().regex(/^\d{1,16}-[0-9A-Z]{26}$/, "Pass next from the page before.").optional()
    .meta({ description: "`next` of the page before." }),
});

/** The query of a list of suppressions. */
export const suppressionsQuery = z.object({
  after: z.string().max(320).optional().meta({ description: "`next` of the page before." }),
});
