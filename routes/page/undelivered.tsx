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
import { afterOf, MESSAGES_SHOWN } from "../api/undelivered.ts";
import type { Quotas } from "../limits/quotas.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { requireAllTypes, requireRole } from "../access/auth.ts";
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

function Message({ id, at, submission, refusal }: UndeliveredMessage): JSX.Element {
  const type = (submission as { task_type?: unknown } | null)?.task_type;
  const title = typeof type === "string" ? type : "Unknown message";
  const button = (action: string, label: string) => (
    <form method="post" action="undelivered">
      <input type="hidden" name="id" value={id} />
      <input type="hidden" name="action" value={action} />
      <button type="submit" aria-label={`${label} ${title}, ${id}`}>{label}</button>
    </form>
  );
  return (
    <li>
      <h2>{title}</h2>
      <p class="muted">Sent {absolute(at, { format: "utc", zone: "UTC" })}</p>
      {refusal.errors.length === 0 && <p>{refusal.detail}</p>}
      {refusal.errors.map(({ pointer, detail }) => (
        <p key={pointer + detail}>
          {pointer && <code>{pointer}</code>} {detail}
        </p>
      ))}
      {submission !== null && (
        <details>
          <summary>What was sent</summary>
          <pre>{JSON.stringify(submission, null, 2)}</pre>
        </details>
      )}
      <div class="buttons">
        {submission !== null && button("retry", "Retry")}
        {button("discard", "Discard")}
      </div>
    </li>
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
        : <ul class="messages">{messages.map((message) => <Message key={message.id} {...message} />)}</ul>}
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
    const found = await queue.inbox.list(MESSAGES_SHOWN, afterOf(c));
    const children = <UndeliveredPage {...found} error={error} />;
    return c.html(renderDocument({ title: "Undelivered messages — Millrace", children }), error === null ? 200 : 422);
  }

  app.get("/undelivered", requireRole("operator"), (c) => page(c));

  app.post("/undelivered", requireRole("operator"), requireAllTypes(), async (c) => {
    const form = await readForm(c);
    const id = form.get("id") ?? "";
    c.set("target", id);
    if (form.get("action") === "discard") c.set("action", "message.discard");
    try {
      if (form.get("action") === "discard") await queue.inbox.discard(id);
      else {
        await quotas.takeTasks(c, [null]);
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
