/**
 * `/audit`: who has done what, for admins. It needs no script.
 *
 * @module
 */

import { Hono } from "hono";
import type { JSX } from "preact";
import { absolute } from "../../islands/app/format.ts";
import type { AuditEntry } from "../../queue/access/audit_log.ts";
import { ACTIONS } from "../access/audit.ts";
import { requireRole } from "../access/auth.ts";
import { readAuditQuery } from "../access/audit_routes.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { renderDocument } from "./document.tsx";

/** Targets that are shown of an entry; the CSV has all that are known. */
const SHOWN = 1;

function named(targets: string[], count: number): string {
  if (targets.length === 0) return "–";
  const rest = Math.max(targets.length, count) - SHOWN;
  return targets.slice(0, SHOWN).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

function AuditPage({ entries, next, query }: {
  entries: AuditEntry[];
  next: string | null;
  query: URLSearchParams;
}): JSX.Element {
  const actions = [...new Set(Object.values(ACTIONS))].sort();
  const kept = new URLSearchParams([...query].filter(([name, value]) => name !== "before" && value !== ""));
  const withNext = new URLSearchParams(kept);
  if (next !== null) withNext.set("before", next);
  return (
    <main class="plain wide">
      <p>
        <a href="./">Tasks</a>
      </p>
      <h1>Audit log</h1>
      <p class="muted">What callers have changed, or tried to, in the last 90 days. Times are UTC.</p>
      <form method="get" action="audit" class="filters">
        <div class="field">
          <label for="by">Caller</label>
          <input id="by" name="by" value={query.get("by") ?? ""} autoComplete="off" />
        </div>
        <div class="field">
          <label for="action">Action</label>
          <select id="action" name="action">
            <option value="">All actions</option>
            {actions.map((action) => (
              <option key={action} value={action} selected={action === query.get("action")}>{action}</option>
            ))}
          </select>
        </div>
        {(["from", "to"] as const).map((end) => (
          <div key={end} class="field">
            <label for={end}>{end === "from" ? "From" : "Before"}</label>
            <input id={end} name={end} type="date" value={query.get(end)?.slice(0, 10) ?? ""} />
          </div>
        ))}
        <button type="submit">Filter</button>
        <a class="button" href={`api/audit.csv?${kept}`}>Download CSV</a>
      </form>
      {entries.length === 0
        ? (
          <p class="muted">
            {next === null ? "There are no such entries." : "None among the newest; look at older ones."}
          </p>
        )
        : (
          <div class="scroll" tabIndex={0} role="region" aria-label="Audit log">
            <table class="rows">
              <thead>
                <tr>
                  {["Time", "Caller", "Address", "Action", "On", "Outcome"].map((head) => (
                    <th key={head} scope="col">{head}</th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {entries.map(({ at, by, role, from, action, targets, status, problem, count }, i) => (
                  <tr key={i}>
                    <td>{absolute(at, { format: "utc", zone: "UTC" })}</td>
                    <td>{by ? `${by}, ${role}` : "–"}</td>
                    <td>{from}</td>
                    <td>{action}{count > 1 ? ` (${count.toLocaleString("en")} times)` : ""}</td>
                    <td>{named(targets, count)}</td>
                    <td class={problem ? "bad" : undefined}>{problem ? `${status} ${problem}` : status}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      {next !== null && (
        <p>
          <a href={`audit?${withNext}`}>Older</a>
        </p>
      )}
    </main>
  );
}

/** The route of the page. */
export function auditPageRoutes({ queue }: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  app.get("/audit", requireRole("admin"), async (c) => {
    const query = new URL(c.req.url).searchParams;
    const { filter, limit, before } = readAuditQuery(query);
    const children = <AuditPage {...await queue.audit.read(filter, limit, before)} query={query} />;
    return c.html(renderDocument({ title: "Audit log — Millrace", children }));
  });
  return app;
}
