/**
 * `/undelivered`: messages of KV's own queue that did not become tasks, as a page. It needs no script.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import type { JSX } from "preact";
import { absolute } from "../../islands/app/format.ts";
import { HOME, hrefOf } from "../../islands/app/url.ts";
import type { UndeliveredMessage } from "../../queue/submit/inbox.ts";
import { InvalidInputError, NotFoundError } from "../../queue/task/errors.ts";
import { MESSAGES_SHOWN } from "../api/undelivered.ts";
import type { Quotas } from "../api/quotas.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { requireRole } from "../http/auth.ts";
import { readForm } from "../http/body.ts";
import { withBase } from "../http/address.ts";
import { renderDocument } from "./document.tsx";

interface PageProps {
  messages: UndeliveredMessage[];
  /** Where the next page begins. */
  next: string | null;
  /** What came of a retry. */
  error: string | null;
}

function Row({ id, at, submission, refusal }: UndeliveredMessage): JSX.Element {
  const type = (submission as { task_type?: unknown } | null)?.task_type;
  const button = (action: string, label: string) => (
    <form method="post" action="undelivered">
      <input type="hidden" name="id" value={id} />
      <input type="hidden" name="action" value={action} />
      <button type="submit" class="quiet" aria-label={`${label} ${id}`}>{label}</button>
    </form>
  );
  return (
    <tr>
      <th scope="row">{typeof type === "string" ? type : "Unknown"}</th>
      <td>
        {refusal.errors.length === 0 && refusal.detail}
        {refusal.errors.map(({ pointer, detail }) => (
          <p key={pointer + detail}>
            {pointer && <code>{pointer}</code>} {detail}
          </p>
        ))}
        {submission !== null && (
          <details>
            <summary>Message</summary>
            <pre>{JSON.stringify(submission, null, 2)}</pre>
          </details>
        )}
      </td>
      <td>{absolute(at, { format: "utc", zone: "UTC" })}</td>
      <td>
        {submission !== null && button("retry", "Retry")}
        {button("discard", "Discard")}
      </td>
    </tr>
  );
}

function UndeliveredPage({ messages, next, error }: PageProps): JSX.Element {
  return (
    <main class="plain">
      <p>
        <a href="./">Tasks</a>
      </p>
      <h1>Undelivered messages</h1>
      <p>
        Programs that share the store can submit tasks by messages. These messages were refused. Retry one when its
        cause is fixed, or discard it.
      </p>
      {error !== null && <p class="error" role="alert">Error: {error}</p>}
      {messages.length === 0
        ? <p class="muted">There are none.</p>
        : (
          <div class="scroll" tabIndex={0} role="region" aria-label="Messages">
            <table class="rows">
              <thead>
                <tr>
                  <th scope="col">Task type</th>
                  <th scope="col">Reason</th>
                  <th scope="col">Sent</th>
                  <th scope="col">
                    <span class="hidden">Actions</span>
                  </th>
                </tr>
              </thead>
              <tbody>{messages.map((message) => <Row key={message.id} {...message} />)}</tbody>
            </table>
          </div>
        )}
      {next !== null && (
        <p>
          <a href={`undelivered?after=${encodeURIComponent(next)}`}>More</a>
        </p>
      )}
    </main>
  );
}

/** The routes of the page. */
export function undeliveredPageRoutes({ queue, publicUrl }: AppOptions, quotas: Quotas): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });

  async function page(c: Context<AppEnv>, error: string | null = null): Promise<Response> {
    const found = await queue.inbox.list(MESSAGES_SHOWN, c.req.query("after"));
    const children = <UndeliveredPage {...found} error={error} />;
    return c.html(renderDocument({ title: "Undelivered messages — Millrace", children }), error === null ? 200 : 422);
  }

  app.get("/undelivered", requireRole("operator"), (c) => page(c));

  app.post("/undelivered", requireRole("operator"), async (c) => {
    const form = await readForm(c);
    const id = form.get("id") ?? "";
    try {
      if (form.get("action") === "discard") await queue.inbox.discard(id);
      else {
        await quotas.takeTasks(c, 1);
        const task = await queue.inbox.retry(id);
        return c.redirect(withBase(hrefOf(HOME, { task }), publicUrl), 303);
      }
    } catch (error) {
      if (error instanceof InvalidInputError) return await page(c, `${id} was refused again. ${error.message}`);
      // Someone else has retried or discarded it: the list no longer shows it.
      if (!(error instanceof NotFoundError)) throw error;
    }
    return c.redirect(withBase("/undelivered", publicUrl), 303);
  });

  return app;
}
