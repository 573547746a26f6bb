/**
 * Writes what callers change into the audit log: every request that is no mere reading, whoever sent it and whatever came
 * of it.
 *
 * @module
 */

import type { Context } from "hono";
import type { AppEnv, AppOptions } from "../env.ts";
import { addressOf } from "../http/address.ts";

/** What each route does, by method and pattern. */
export const ACTIONS: Readonly<Record<string, string>> = {
  "POST /api/tasks/submit": "task.submit",
  "POST /api/tasks/batch": "task.submit",
  "POST /api/tasks/bulk": "task.bulk",
  "DELETE /api/tasks/:id": "task.cancel",
  "POST /api/tasks/:id/retry": "task.retry",
  "POST /api/uploads": "upload.create",
  "POST /api/schedules": "schedule.create",
  "PATCH /api/schedules/:id": "schedule.change",
  "DELETE /api/schedules/:id": "schedule.delete",
  "POST /api/schedules/:id/pause": "schedule.pause",
  "POST /api/schedules/:id/resume": "schedule.resume",
  "POST /api/schedules/:id/trigger": "schedule.trigger",
  "POST /api/schedules/:id/backfill": "schedule.backfill",
  "POST /api/task-types/:type/pause": "type.pause",
  "POST /api/task-types/:type/resume": "type.resume",
  "POST /api/suppressions": "suppression.add",
  "DELETE /api/suppressions/:address": "suppression.remove",
  "POST /api/undelivered/:id/retry": "message.retry",
  "DELETE /api/undelivered/:id": "message.discard",
  "POST /api/tokens": "token.create",
  "DELETE /api/tokens/:id": "token.revoke",
  "POST /api/alerts": "alert.create",
  "DELETE /api/alerts/:id": "alert.delete",
  "POST /api/alerts/:id/test": "alert.test",
  "POST /alerts": "alert.create",
  "POST /login": "sign_in",
  "GET /login/callback": "sign_in",
  "POST /logout": "sign_out",
  "POST /tasks": "task.submit",
  "POST /examples": "task.submit",
  "POST /tasks/:id/cancel": "task.cancel",
  "POST /tasks/:id/retry": "task.retry",
  "POST /schedules": "schedule.change",
  "POST /suppressions": "suppression.add",
  "POST /suppressions/remove": "suppression.remove",
  "POST /undelivered": "message.retry",
};

/** Actions that are not answered before their entry is stored. */
const STORED_FIRST = /^(token|schedule|type|alert|sign_in|task\.delete)/;

/** Adds an entry for a request that was answered, if it changes something; resolves once it may be answered. */
export function auditing(
  options: AppOptions,
): (c: Context<AppEnv>, route: string, status: number) => Promise<void> | undefined {
  const { queue } = options;
  return (c, route, status) => {
    const known = ACTIONS[`${c.req.method} ${route.length > 1 && route.endsWith("/") ? route.slice(0, -1) : route}`];
    if (known === undefined) return;
    const action = c.get("action") ?? known;
    const principal = c.get("principal");
    const { id, type, address } = c.req.param() as Record<string, string | undefined>;
    const targets = [c.get("target") ?? id ?? type ?? address ?? []].flat().map((target) => target.slice(0, 200));
    queue.audit.add({
      by: principal?.name ?? "",
      role: principal?.role ?? "",
      from: addressOf(c, options),
      action,
      status,
      problem: c.get("problem") ?? null,
    }, targets);
    // What is refused may be sent by anyone, at any rate: it is gathered.
    return status < 400 && STORED_FIRST.test(action) ? queue.audit.flush() : undefined;
  };
}
