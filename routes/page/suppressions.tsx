/**
 * `/suppressions`: the suppression list as a page. It needs no script.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import type { JSX } from "preact";
import { absolute } from "../../islands/app/format.ts";
import type { Suppression } from "../../queue/actions/mail_ledger.ts";
import { bareAddress, parseAddress } from "../../queue/handlers/email/address.ts";
import { MAX_SUPPRESSIONS, REASON_CHARS } from "../api/suppressions.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { requireAllTypes, requireRole } from "../access/auth.ts";
import { readForm } from "../http/body.ts";
import { withBase } from "../http/address.ts";
import { renderDocument } from "./document.tsx";

interface PageProps {
  suppressions: Suppression[];
  /** Where the next page begins. */
  next: string | null;
  /** What was entered and is wrong. */
  entered?: { addresses: string; reason: string; error: string };
}

function SuppressionPage({ suppressions, next, entered }: PageProps): JSX.Element {
  return (
    <main class="plain">
      <p>
        <a href="./">Tasks</a>
      </p>
      <h1>Suppression list</h1>
      <p>No mailing sends to these addresses: they are skipped, and the outcome says so.</p>
      <form method="post" action="suppressions" class="stack">
        <label for="addresses">Addresses, one per line</label>
        <textarea
          id="addresses"
          name="addresses"
          rows={4}
          required
          aria-invalid={entered ? true : undefined}
          aria-describedby={entered ? "error" : undefined}
        >
          {entered?.addresses ?? ""}
        </textarea>
        {entered && <p class="error" id="error" role="alert">Error: {entered.error}</p>}
        <label for="reason">Reason</label>
        <input id="reason" name="reason" maxLength={REASON_CHARS} value={entered?.reason ?? ""} />
        <button type="submit" class="primary">Add</button>
      </form>
      {suppressions.length === 0
        ? <p class="muted">No address is on the list.</p>
        : (
          <div class="scroll" tabIndex={0} role="region" aria-label="Addresses">
            <table class="rows">
              <thead>
                <tr>
                  <th scope="col">Address</th>
                  <th scope="col">Reason</th>
                  <th scope="col">Added</th>
                  <th scope="col">
                    <span class="hidden">Remove</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {suppressions.map(({ address, reason, added_at, added_by }) => (
                  <tr key={address}>
                    <th scope="row">{address}</th>
                    <td>{reason || "–"}</td>
                    <td>{absolute(added_at, { format: "utc", zone: "UTC" })}{added_by ? ` by ${added_by}` : ""}</td>
                    <td>
                      <form method="post" action="suppressions/remove">
                        <input type="hidden" name="address" value={address} />
                        <button type="submit" class="quiet" aria-label={`Remove ${address}`}>Remove</button>
                      </form>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      {next !== null && (
        <p>
          <a href={`suppressions?after=${encodeURIComponent(next)}`}>More</a>
        </p>
      )}
    </main>
  );
}

/** The routes of the page. */
export function suppressionPageRoutes({ queue, publicUrl }: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });

  async function page(c: Context<AppEnv>, entered?: PageProps["entered"]): Promise<Response> {
    const found = await queue.mail.suppressions(MAX_SUPPRESSIONS, c.req.query("after"));
    const children = <SuppressionPage {...found} entered={entered} />;
    return c.html(renderDocument({ title: "Suppression list — Millrace", children }), entered ? 422 : 200);
  }

  app.get("/suppressions", requireRole("operator"), (c) => page(c));

  app.post("/suppressions", requireRole("operator"), requireAllTypes(), async (c) => {
    const form = await readForm(c);
    const [addresses, reason] = [form.get("addresses") ?? "", (form.get("reason") ?? "").slice(0, REASON_CHARS)];
    const lines = addresses.split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
    const wrong = lines.find((line) => parseAddress(line) === null);
    const error = wrong !== undefined
      ? `${wrong.slice(0, 100)} is not an address.`
      : lines.length === 0
      ? "Enter an address."
      : lines.length > MAX_SUPPRESSIONS
      ? `At most ${MAX_SUPPRESSIONS} at once.`
      : null;
    if (error !== null) return await page(c, { addresses, reason, error });
    c.set("target", lines);
    await queue.mail.suppress(lines.map(bareAddress), reason, c.get("principal").name);
    return c.redirect(withBase("/suppressions", publicUrl), 303);
  });

  app.post("/suppressions/remove", requireRole("operator"), requireAllTypes(), async (c) => {
    const address = (await readForm(c)).get("address") ?? "";
    c.set("target", address);
    await queue.mail.unsuppress(address);
    return c.redirect(withBase("/suppressions", publicUrl), 303);
  });

  return app;
}
