/**
 * `/api/audit`: who has done what, as JSON and as CSV.
 *
 * @module
 */

import { stringify } from "@std/csv";
import { Hono } from "hono";
import type { AuditEntry } from "../../queue/access/audit_log.ts";
import { requireRole } from "./auth.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { auditQuery, readQuery } from "../http/query.ts";

/** The most entries of a CSV. */
const MAX_ROWS = 100_000;

/** An entry as it is answered. */
export function shownEntry({ at, ...entry }: AuditEntry) {
  return { at: new Date(at).toISOString(), ...entry };
}

/** What a query asks for. */
export function readAuditQuery(query: URLSearchParams) {
  const { by, action, from, to, limit, before } = readQuery(query, auditQuery);
  const ms = (text: string | undefined) => text === undefined ? undefined : Date.parse(text);
  return { filter: { by, action, since: ms(from), until: ms(to) }, limit, before };
}

/** A cell that a spreadsheet does not take for a formula. */
const cell = (value: unknown) => /^[=+\-@\t\r]/.test(String(value)) ? `'${value}` : value;

/** The routes of the audit log. */
export function auditRoutes({ queue }: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });

  app.get("/audit", requireRole("admin"), async (c) => {
    const { filter, limit, before } = readAuditQuery(new URL(c.req.url).searchParams);
    const { entries, next } = await queue.audit.read(filter, limit, before);
    return c.json({ entries: entries.map(shownEntry), next });
  });

  app.get("/audit.csv", requireRole("admin"), async (c) => {
    const { filter } = readAuditQuery(new URL(c.req.url).searchParams);
    const { entries } = await queue.audit.read(filter, MAX_ROWS);
    const columns = ["at", "by", "role", "from", "action", "status", "problem", "count", "targets"];
    const rows = entries.map((entry) => {
      const row = { ...shownEntry(entry), targets: entry.targets.join(" ") };
      return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, cell(value ?? "")]));
    });
    return c.body(stringify(rows, { columns }), 200, {
      "Content-Type": "text/csv; charset=utf-8",
      "Content-Disposition": 'attachment; filename="audit.csv"',
    });
  });

  return app;
}
