/**
 * The page: rendered whole from its URL, so that it works without JavaScript; islands only keep it current. Its forms
 * post here and are sent on to the view that shows what became of it.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import type { JSX } from "preact";
import { ConnectionPill } from "../islands/connection.tsx";
import { createStore, type LogEvent, type PageData, type Store } from "../islands/store.ts";
import { SubmitForm } from "../islands/submit_form.tsx";
import { TaskDetails } from "../islands/task_details.tsx";
import { TaskList } from "../islands/task_list.tsx";
import { Totals } from "../islands/totals.tsx";
import { hrefOf, toggled } from "../islands/url.ts";
import { paramsSchema } from "../queue/define.ts";
import { IllegalTransitionError, InvalidInputError, NotFoundError, TooLargeError } from "../queue/errors.ts";
import { newId } from "../queue/ids.ts";
import { fingerprint } from "../queue/submit.ts";
import { summaryOf, taskOf } from "../queue/task.ts";
import { mayActAs, requireRole } from "./auth.ts";
import { readForm, readMultipart, refuseLong } from "./body.ts";
import { renderDocument } from "./document.tsx";
import type { AppEnv, AppOptions } from "./env.ts";
import { TaskFollower } from "./follow.ts";
import { Problem } from "./problem.ts";
import { type Manifest, readManifest } from "./static.ts";
import { readStats, typeInfos } from "./system.ts";
import { readFilter } from "./query.ts";
import { RequestFiles } from "./uploads.ts";

const PAGE = 50;

function TypeFilter({ data }: { data: PageData }): JSX.Element {
  const { view, types } = data;
  return (
    <nav class="filters" aria-label="Filter by type">
      {types.map(({ type, title }) => (
        <a
          key={type}
          class="chip"
          href={hrefOf(view, { task_types: toggled(view.task_types, type), cursor: null })}
          aria-current={view.task_types.includes(type) ? "true" : undefined}
        >
          {title}
        </a>
      ))}
      {view.statuses.length + view.task_types.length > 0 && (
        <a href={hrefOf(view, { statuses: [], task_types: [], cursor: null })}>Clear filters</a>
      )}
    </nav>
  );
}

function Page({ data, store }: { data: PageData; store: Store }): JSX.Element {
  const { view, principal, open } = data;
  return (
    <>
      <a class="skip" href="#tasks">Skip to the tasks</a>
      <header class="top">
        <a class="brand" href="/">Millrace</a>
        <span data-island="connection">
          <ConnectionPill store={store} />
        </span>
        <span class="space" />
        {principal.may_operate
          ? (
            <a class="button primary" href={hrefOf(view, { form: data.types[0]?.type ?? null, task: null })}>
              New task
            </a>
          )
          : <span class="muted">Read-only access</span>}
        {data.signed_in && (
          <form method="post" action="/logout">
            <button type="submit">Sign out {principal.name}</button>
          </form>
        )}
      </header>
      <div class={open ? "layout with-details" : "layout"}>
        <main id="tasks">
          <h1 class="hidden">Tasks</h1>
          {principal.may_operate && <SubmitForm data={data} />}
          <section aria-label="Totals" data-island="totals">
            <Totals store={store} />
          </section>
          <TypeFilter data={data} />
          <section aria-label="Tasks" data-island="list">
            <TaskList store={store} />
          </section>
        </main>
        {open && (
          <aside aria-label="Task" data-island="details">
            <TaskDetails store={store} />
          </aside>
        )}
      </div>
    </>
  );
}

/**
 * Text fields of a form as parameters: numbers and truth values by the schema; what is empty is left out.
 *
 * @throws {InvalidInputError} If a field that takes JSON or pairs holds something else.
 */
export function paramsFromForm(
  schema: Record<string, unknown>,
  values: Record<string, string>,
): Record<string, unknown> {
  const properties = (schema.properties ?? {}) as Record<string, { type?: string; "x-json"?: boolean }>;
  const params: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(values)) {
    if (text === "") continue;
    const type = properties[name]?.type;
    if (type === "integer" || type === "number") params[name] = Number.isNaN(Number(text)) ? text : Number(text);
    else if (type === "boolean") params[name] = text === "true";
    else if (properties[name]?.["x-json"]) params[name] = parsedJson(name, text);
    else if (type === "object") params[name] = pairs(name, text);
    else if (type === "array") params[name] = text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
    else params[name] = text.replaceAll("\r\n", "\n");
  }
  return params;
}

/** What a field says that takes JSON. */
function parsedJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidInputError([{
      pointer: `/input_params/${name}`,
      detail: `Not JSON: ${(error as Error).message}`,
    }]);
  }
}

/** What a field says that takes one name=value a line. */
function pairs(name: string, text: string): Record<string, string> {
  const lines = text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
  return Object.fromEntries(lines.map((line) => {
    const at = line.indexOf("=");
    if (at > 0) return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    throw new InvalidInputError([{ pointer: `/input_params/${name}`, detail: `"${line}" is not name=value.` }]);
  }));
}

/** A place within this page that a form may send its reader back to. */
function safeBack(value: string | null): string {
  return value && /^\/(\?[\x21-\x7e]*)?$/.test(value) && !/[#\\]/.test(value) ? value : "/";
}

/** The routes of the page. */
export function pageRoutes(options: AppOptions): Hono<AppEnv> {
  const { queue, clock, tokens } = options;
  const app = new Hono<AppEnv>({ strict: false });
  let manifest: Promise<Manifest | null> | undefined;

  async function readOpen(id: string): Promise<PageData["open"]> {
    try {
      const state = await queue.get(id);
      const { events } = await new TaskFollower(queue, id).next(state);
      const log = events.filter((event): event is LogEvent => event.kind === "log");
      return { task: taskOf(state, await queue.artifacts(id), queue.retention), log };
    } catch (error) {
      if (error instanceof NotFoundError) return { missing: id };
      throw error;
    }
  }

  async function readPage(
    c: Context<AppEnv>,
    query: URLSearchParams,
    form: Partial<PageData["form"]> = {},
  ): Promise<PageData> {
    const task = query.get("task");
    const wanted = query.get("new");
    query.delete("task");
    query.delete("new");
    const { filter, cursor } = readFilter(query);
    const types = await typeInfos(queue);
    const since = await queue.stream.head();
    const [page, stats, open] = await Promise.all([
      queue.list(filter, PAGE, cursor),
      readStats(queue),
      task === null ? null : readOpen(task),
    ]);
    const principal = c.get("principal");
    return {
      types,
      stats,
      view: {
        statuses: filter.statuses ?? [],
        task_types: filter.task_types ?? [],
        cursor: cursor ?? null,
        task,
        form: types.some(({ type }) => type === wanted) ? wanted : null,
      },
      tasks: page.states.map((state) => summaryOf(state, queue.retention)),
      next_cursor: page.next_cursor,
      total: page.total,
      since,
      server_time: new Date(clock.now()).toISOString(),
      open,
      form: { values: {}, errors: {}, idempotency_key: newId(clock.now()), ...form },
      principal: { name: principal.name, may_operate: mayActAs(principal, "operator") },
      signed_in: tokens.length > 0,
    };
  }

  async function render(data: PageData): Promise<string> {
    const script = (await (manifest ??= readManifest()))?.client;
    const title = data.open && "task" in data.open ? data.open.task.title : "Tasks";
    return renderDocument({
      title: `${title} – Millrace`,
      script: script && `/static/build/${script}`,
      // The form is not an island: what was typed into it need not be sent twice.
      page: JSON.stringify({ ...data, form: { values: {}, errors: {}, idempotency_key: "" } }),
      children: <Page data={data} store={createStore(data)} />,
    });
  }

  app.get("/", async (c) => c.html(await render(await readPage(c, new URL(c.req.url).searchParams))));

  app.post("/tasks", requireRole("operator"), async (c) => {
    refuseLong(c, options.maxUploadTotalBytes);
    const files = new RequestFiles(options);
    const uploads = new Map<string, string[]>();
    const hashes: string[] = [];
    const fields = await readMultipart(c, async ({ field, name, media_type, stream }) => {
      // A browser sends an empty file where none was chosen.
      if (name === "") return void await stream.pipeTo(new WritableStream());
      const { upload_id, sha256 } = await files.store(name, media_type, stream);
      hashes.push(sha256);
      const param = field.replace(/^params\./, "");
      uploads.set(param, [...uploads.get(param) ?? [], upload_id]);
    }).catch(async (error) => {
      await files.discard();
      throw error;
    });
    const type = fields.get("task_type")?.[0] ?? "";
    const values: Record<string, string> = {};
    for (const [name, [text]] of fields) {
      if (name.startsWith("params.")) values[name.slice("params.".length)] = text;
    }
    const definition = queue.registry.get(type);
    if (!definition) throw new Problem(422, "invalid_input", `There is no task type ${type}.`);
    const schema = paramsSchema(definition);
    const properties = schema.properties as Record<string, { type?: string }>;
    const key = fields.get("idempotency_key")?.[0]?.slice(0, 200);
    try {
      const params = paramsFromForm(schema, values);
      for (const [name, ids] of uploads) params[name] = properties[name]?.type === "array" ? ids : ids[0];
      const { task } = await queue.submit(
        { task_type: type, input_params: params },
        // The same form sent twice is one task, though its file was stored twice.
        key ? { scope: `form:${c.get("principal").name}`, key, body: fingerprint([type, values, hashes]) } : undefined,
      );
      return c.redirect(
        hrefOf({ statuses: [], task_types: [], cursor: null, task: task.task.id, form: null }, {}),
        303,
      );
    } catch (error) {
      if (!(error instanceof InvalidInputError || error instanceof TooLargeError)) throw error;
      const errors: Record<string, string> = {};
      if (error instanceof TooLargeError) errors[""] = error.message;
      else {
        for (const { pointer, detail } of error.issues) {
          const name = /^\/input_params\/([^/]+)/.exec(pointer)?.[1] ?? "";
          errors[name] ??= detail;
        }
      }
      return c.html(await render(await readPage(c, new URLSearchParams({ new: type }), { values, errors })), 422);
    }
  });

  for (const action of ["cancel", "retry"] as const) {
    app.post(`/tasks/:id/${action}`, requireRole("operator"), async (c) => {
      const back = (await readForm(c)).get("back");
      try {
        await queue[action](c.req.param("id"));
      } catch (error) {
        // It has moved on meanwhile: the view that follows shows where.
        if (!(error instanceof IllegalTransitionError)) throw error;
      }
      return c.redirect(safeBack(back), 303);
    });
  }

  return app;
}
