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

const COLUMNS = ["at", "by", "role", "from", "action", "status", "problem", "count", "targets"];

function rowOf(entry: AuditEntry): Record<string, unknown> {
  const row = { ...shownEntry(entry), targets: entry.targets.join(" ") };
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, cell(value ?? "")]));
}

/** The routes of the audit log. */
export function auditRoutes({ queue }: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });

  app.get("/audit", requireRole("admin"), async (c) => {
    const { filter, limit, before } = readAuditQuery(new URL(c.req.url).searchParams);
    const { entries, next } = await queue.audit.read(filter, limit, before);
    return c.json({ entries: entries.map(shownEntry), next });
  });

  app.get("/audit.csv", requireRole("admin"), (c) => {
    const { filter } = readAuditQuery(new URL(c.req.url).searchParams);
    const pages = queue.audit.pages(filter);
    const encoder = new TextEncoder();
    let headers = true;
    const text = new ReadableStream<Uint8Array>({
      async pull(controller) {
        let done: boolean | undefined;
        let rows: Record<string, unknown>[] = [];
        // Whoever reads waits until there is something.
        while (!done && rows.length === 0) {
          const page = await pages.next();
          done = page.done;
          rows = page.done ? [] : page.value.entries.map(rowOf);
        }
        if (headers || rows.length > 0) {
          controller.enqueue(encoder.encode(stringify(rows, { columns: COLUMNS, headers })));
        }
        headers = false;
        if (done) controller.close();
      },
      cancel: async () => void await pages.return(undefined),
    }, { highWaterMark: 0 });
    return c.body(text, 200, {
      "Content-Type": "text/csv; charset=utf-8",
      "Content-Disposition": 'attachment; filename="audit.csv"',
    });
  });

  return app;
}
