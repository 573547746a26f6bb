/**
 * `/api/tasks/bulk`: one action on many tasks.
 *
 * @module
 */

import { FILTER_TYPES, SEARCH_CHARS, TAGS, TYPE_CHARS } from "../../queue/task/limits.ts";
import { Hono } from "hono";
import * as z from "zod";
import { MAX_BULK_IDS, TASK_ACTIONS } from "../../queue/task/actions.ts";
import { isId } from "../../queue/task/ids.ts";
import { STATUSES } from "../../queue/task/record.ts";
import { summaryOf } from "../../queue/task/summary.ts";
import { assertType, mayActAs, requireRole } from "../access/auth.ts";
import { readJson } from "../http/body.ts";
import { withBase } from "../http/address.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { idempotencyOf } from "../http/request_headers.ts";
import { Problem } from "../http/problem.ts";
import { timeSchema } from "../http/query.ts";

const time = timeSchema.transform((text) => Date.parse(text)).optional();

/** One value, or several in an array or separated by commas: as in the query of the list. */
const several = z.union([z.string(), z.array(z.string())])
  .transform((value) => [value].flat().flatMap((text) => text.split(",")).map((text) => text.trim()).filter(Boolean));

/** One action on many tasks. */
export const bulkSchema = z.strictObject({
  action: z.enum(TASK_ACTIONS),
  ids: z.array(z.string().refine(isId, "This is not the id of a task.")).min(1).max(MAX_BULK_IDS).optional(),
  filter: z.strictObject({
    status: several.transform((names) => names.map((name) => name.toUpperCase()))
      .pipe(z.array(z.enum(STATUSES)).min(1)).optional(),
    task_type: several.pipe(z.array(z.string().max(TYPE_CHARS)).min(1).max(FILTER_TYPES)).optional(),
    tag: z.string().min(1).max(TAGS.chars).optional(),
    q: z.string().min(1).max(SEARCH_CHARS).optional(),
    error: z.string().min(1).max(SEARCH_CHARS).optional(),
    schedule: z.string().refine(isId, "This is not the id of a schedule.").optional(),
    created_from: time,
    created_to: time,
    ended_from: time,
    ended_to: time,
  }).optional(),
  as_of: z.string().regex(/^[0-9a-f]{20}$/, "Pass as_of from the list that you saw.").optional(),
}).superRefine(({ ids, filter, as_of }, context) => {
  const refuse = (path: string, message: string) =>
    context.addIssue({ code: "custom", path: path ? [path] : [], message });
  if (ids === undefined && filter === undefined) refuse("", "Pass ids, or a filter with as_of.");
  if (ids !== undefined && filter !== undefined) refuse("filter", "Pass ids or a filter, not both.");
  if (filter !== undefined && as_of === undefined) {
    refuse("as_of", "A filter applies to the list that you saw: pass its as_of.");
  }
  if (ids !== undefined && as_of !== undefined) refuse("as_of", "Pass it only with a filter.");
});

/** The routes of bulk actions. */
export function bulkRoutes({ queue, publicUrl }: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });

  app.post("/", requireRole("operator"), async (c) => {
    const body = await readJson(c, bulkSchema);
    const { action, ids, filter, as_of } = body;
    const { name } = c.get("principal");
    if (action === "delete" && !mayActAs(c.get("principal"), "admin")) {
      throw new Problem(403, "forbidden", `Deleting requires the admin role; yours is ${c.get("principal").role}.`);
    }
    c.set("action", `task.${action}`);
    c.set("target", ids);
    if (c.get("principal").task_types) {
      // A filter without types means all of them.
      const types = ids
        ? (await queue.getAll(ids)).map(({ task }) => task.task_type)
        : filter?.task_type ?? ["any type"];
      assertType(c, ...types);
    }
    const { status: statuses, task_type: task_types, ...rest } = filter ?? {};
    const done = ids ? await queue.bulk.byIds(action, ids, name) : await queue.bulk.byFilter(
      action,
      { ...rest, statuses, task_types },
      as_of!,
      name,
      idempotencyOf(c, ["bulk", body]),
    );
    c.set("target", Array.isArray(done) ? done.map(({ id }) => id) : done.task.id);
    if (Array.isArray(done)) return c.json({ outcomes: done });
    c.header("Location", withBase(`/api/tasks/${done.task.id}`, publicUrl));
    return c.json({ task: summaryOf(done, queue.retention) }, 202);
  });

  return app;
}
