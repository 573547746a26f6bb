/**
 * `/alerts`: what is watched and who is told. It needs no script.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import type { JSX } from "preact";
import { absolute } from "../../islands/app/format.ts";
import { HOME, hrefOf } from "../../islands/app/url.ts";
import { CALM, type Channel, type Condition, type Rule, ruleSchema, type RuleState } from "../../queue/alerts/rule.ts";
import { issuesOf } from "../../queue/params.ts";
import { IllegalTransitionError, InvalidInputError, NotFoundError } from "../../queue/task/errors.ts";
import { requireAllTypes, requireRole } from "../access/auth.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { withBase } from "../http/address.ts";
import { readForm } from "../http/body.ts";
import { Problem } from "../http/problem.ts";
import { renderDocument } from "./document.tsx";

const KINDS: Record<Condition["kind"], string> = {
  failures: "Tasks fail",
  oldest_waiting: "The oldest task waits too long",
  nothing_ended: "Nothing ends, though tasks wait",
  schedule_missed: "A schedule was missed",
  instance_died: "An instance died",
  disk_nearly_full: "The store’s disk is nearly full",
};

const CHANNELS: Record<Channel["kind"], string> = {
  mail: "Mail",
  webhook: "Webhook",
  slack: "Slack",
  discord: "Discord",
  ntfy: "ntfy",
};

/** A condition in words. */
function wordsOf({ when, window }: Rule): string {
  const type = "task_type" in when && when.task_type ? ` of ${when.task_type}` : "";
  const minutes = `${Math.ceil(window / 60)} min`;
  switch (when.kind) {
    case "failures":
      return `${when.count} or more tasks${type || " of a type"} fail within ${minutes}` +
        (when.share > 0 ? `, and ${Math.round(100 * when.share)} % of those that end` : "");
    case "oldest_waiting":
      return `the oldest ready task${type} has waited for ${when.older_than} s`;
    case "nothing_ended":
      return `nothing${type} ends for ${minutes}, though tasks wait`;
    case "disk_nearly_full":
      return `the store’s disk has less than ${Math.round(100 * when.free_below)} % left`;
    case "schedule_missed":
      return `a schedule was missed within ${minutes}`;
    case "instance_died":
      return `an instance died within ${minutes}`;
  }
}

function told(channel: Channel): string {
  return channel.kind === "mail" ? channel.to : `${CHANNELS[channel.kind]} at ${new URL(channel.url).host}`;
}

function RuleItem({ rule, state }: { rule: Rule; state: RuleState }): JSX.Element {
  const button = (action: string, label: string, className?: string) => (
    <form method="post" action="alerts">
      <input type="hidden" name="id" value={rule.id} />
      <button type="submit" name="action" value={action} class={className} aria-label={`${label}: ${rule.name}`}>
        {label}
      </button>
    </form>
  );
  return (
    <li>
      <h2>{rule.name}</h2>
      <p>Alert when {wordsOf(rule)}.</p>
      <p class="muted">
        Tells {rule.to.map(told).join(", ")} · {rule.created_by ? `created by ${rule.created_by}` : "from ALERT_RULES"}
      </p>
      {state.firing
        ? (
          <p class="bad">
            <strong>Alert since {absolute(state.since, { format: "utc", zone: "UTC" })}.</strong> {state.detail}
          </p>
        )
        : <p class="muted">Nothing is wrong.</p>}
      <div class="buttons">
        {button("test", "Send a test")}
        {rule.created_by !== null && button("delete", "Delete", "danger-quiet")}
      </div>
    </li>
  );
}

/** What was entered, and what is wrong with it. */
interface Entered {
  texts: Record<string, string>;
  error: string | null;
}

function NewRule({ types, entered }: { types: string[]; entered: Entered }): JSX.Element {
  const { texts, error } = entered;
  const select = (name: string, label: string, options: Record<string, string>) => (
    <>
      <label for={name}>{label}</label>
      <select id={name} name={name}>
        {Object.entries(options).map(([value, text]) => (
          <option key={value} value={value} selected={value === texts[name]}>{text}</option>
        ))}
      </select>
    </>
  );
  const input = (name: string, label: string, help: string, attributes: JSX.IntrinsicElements["input"] = {}) => (
    <>
      <label for={name}>{label}</label>
      <input id={name} name={name} value={texts[name] ?? ""} aria-describedby={`${name}-help`} {...attributes} />
      <p class="help" id={`${name}-help`}>{help}</p>
    </>
  );
  const number = { type: "number", min: "0", step: "any" } as const;
  return (
    <form method="post" action="alerts" class="stack">
      {error && <p class="error" role="alert">Error: {error}</p>}
      {input("name", "Name", "What the notice calls it.", { required: true, maxLength: 100 })}
      {select("when", "When", KINDS)}
      {select("task_type", "Task type", { "": "Any type", ...Object.fromEntries(types.map((type) => [type, type])) })}
      {input(
        "number",
        "Limit",
        "Of tasks that fail: how many (1). Of waiting: seconds (600). Of the disk: percent that is left (10).",
        number,
      )}
      {input("share", "Share that fails, in percent", "Of tasks that end. Empty: any.", { ...number, max: "100" })}
      {input("window", "Window in minutes", "What is looked at; a rule tells once in it. Empty: 15.", number)}
      {select("channel", "Tell by", CHANNELS)}
      {input("address", "Address", "A mail address, or the URL of a webhook.", { required: true, autoComplete: "off" })}
      <button type="submit" name="action" value="create" class="primary">Create alert</button>
    </form>
  );
}

/** The body of a rule that a form asks for. */
function bodyOf(text: (name: string) => string): Record<string, unknown> {
  const number = (name: string, scale = 1) => text(name) === "" ? undefined : Number(text(name)) * scale;
  const limits: Record<string, Record<string, unknown>> = {
    failures: { count: number("number"), share: number("share", 0.01) },
    oldest_waiting: { older_than: number("number") ?? 600 },
    disk_nearly_full: { free_below: number("number", 0.01) },
  };
  const kind = text("when");
  const isOfType = ["failures", "oldest_waiting", "nothing_ended"].includes(kind);
  const channel = text("channel");
  return {
    name: text("name"),
    when: { kind, ...limits[kind], ...isOfType && text("task_type") !== "" && { task_type: text("task_type") } },
    window: number("window", 60),
    to: [channel === "mail" ? { kind: "mail", to: text("address") } : { kind: channel, url: text("address") }],
  };
}

/** The routes of the page. */
export function alertPageRoutes({ queue, publicUrl }: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  const { alerts } = queue;

  async function page(c: Context<AppEnv>, entered: Entered, note: JSX.Element | null = null, status: 200 | 422 = 200) {
    const [rules, states] = await Promise.all([alerts.list(), alerts.states()]);
    const types = queue.registry.public().map(({ type }) => type);
    const children = (
      <main class="plain">
        <p>
          <a href="./">Tasks</a>
        </p>
        <h1>Alerts</h1>
        {note}
        {rules.length === 0 ? <p class="muted">Nothing is watched yet.</p> : (
          <ul class="messages">
            {rules.map((rule) => <RuleItem key={rule.id} rule={rule} state={states.get(rule.id) ?? CALM} />)}
          </ul>
        )}
        <h2>New alert</h2>
        <NewRule types={types} entered={entered} />
      </main>
    );
    return c.html(renderDocument({ title: "Alerts — Millrace", children }), status);
  }

  app.get("/alerts", requireRole("admin"), (c) => page(c, { texts: {}, error: null }));

  app.post("/alerts", requireRole("admin"), requireAllTypes(), async (c) => {
    const form = await readForm(c);
    const texts = Object.fromEntries([...form].map(([name, value]) => [name, value.trim()]));
    const id = texts.id ?? "";
    c.set("target", id || undefined);
    const done = { create: "alert.create", test: "alert.test", delete: "alert.delete" }[texts.action ?? ""];
    if (done) c.set("action", done);
    try {
      switch (texts.action) {
        case "create": {
          const parsed = ruleSchema.safeParse(bodyOf((name) => texts[name] ?? ""));
          if (!parsed.success) throw new InvalidInputError(issuesOf(parsed.error, ""));
          c.set("target", (await alerts.create(parsed.data, c.get("principal").name)).id);
          break;
        }
        case "test": {
          const [{ task }] = await alerts.test(id);
          return await page(
            c,
            { texts: {}, error: null },
            (
              <p role="status">
                A test is on its way. <a href={hrefOf(HOME, { task: task.id })}>View task</a>
              </p>
            ),
          );
        }
        case "delete":
          await alerts.delete(id);
          break;
        default:
          throw new Problem(422, "invalid_input", "There is no such action.");
      }
    } catch (error) {
      if (error instanceof InvalidInputError) {
        return await page(c, { texts, error: error.issues.map(({ detail }) => detail).join(" ") }, null, 422);
      }
      // It was deleted meanwhile, or is one of the settings: the list says so.
      if (!(error instanceof NotFoundError || error instanceof IllegalTransitionError)) throw error;
    }
    return c.redirect(withBase("/alerts", publicUrl), 303);
  });

  return app;
}
