/**
 * `/schedules`: what is submitted repeatedly, when next, and what became of the last time; made, changed, run, paused and
 * deleted there. It needs no script.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import { getCookie } from "hono/cookie";
import type { JSX } from "preact";
import { HOME, hrefOf } from "../../../islands/app/url.ts";
import { checkFields, readFields } from "../../../islands/form/schema/read_fields.ts";
import type { Schema } from "../../../islands/form/schema/schema.ts";
import { Sprite } from "../../../islands/shell/icons.tsx";
import { parsePreferences, PREFERENCES_COOKIE } from "../../../islands/shell/preferences.ts";
import { nextTimes, refuse } from "../../../queue/actions/cron.ts";
import { foundOrNull, InvalidInputError, NotFoundError } from "../../../queue/task/errors.ts";
import type { Json } from "../../../queue/task/record.ts";
import type { Quotas } from "../../limits/quotas.ts";
import { bodyOf, changedBody, NEXT_TIMES, parseSchedule, recentTasks, toSchedule } from "../../api/schedules.ts";
import { typeInfos } from "../../api/system.ts";
import type { AppEnv, AppOptions } from "../../env.ts";
import { withBase } from "../../http/address.ts";
import { assertType, callerOf, requireRole } from "../../access/auth.ts";
import { readForm } from "../../http/body.ts";
import { Problem } from "../../http/problem.ts";
import { renderDocument } from "../document.tsx";
import { addIssues, readerOf, readParams, readSentForm, type Sent } from "../form_body.ts";
import { SCHEDULE_OPTIONS, type ScheduleForm, ScheduleFormPage } from "./form.tsx";
import { choiceOf, type Chosen, cronOf, DAILY, REPEATS } from "./repeat.ts";
import { ScheduleItem } from "./item.tsx";

const DAY_MS = 86_400_000;

/** Names of the fields of a form that say when. */
const CHOSEN = Object.keys(DAILY) as (keyof Chosen)[];

/** The routes of the page. */
export function schedulePageRoutes(options: AppOptions, quotas: Quotas): Hono<AppEnv> {
  const { queue, clock, publicUrl } = options;
  const { schedules } = queue;
  const app = new Hono<AppEnv>({ strict: false });

  function document(
    c: Context<AppEnv>,
    title: string,
    children: JSX.Element,
    status: 200 | 404 | 422 = 200,
    script?: string,
  ) {
    const { theme, density } = parsePreferences(getCookie(c, PREFERENCES_COOKIE) ?? "");
    return c.html(renderDocument({ title: `${title} — Millrace`, theme, density, script, children }), status);
  }

  async function list(c: Context<AppEnv>, note: JSX.Element | null = null, status: 200 | 404 | 422 = 200) {
    const [all, types] = await Promise.all([schedules.list(), typeInfos(queue)]);
    const lasts = await Promise.all(
      all.map(({ last_task_id }) => last_task_id === null ? null : foundOrNull(queue.get(last_task_id))),
    );
    const recent = await recentTasks(queue, all);
    const mayChange = callerOf(c.get("principal")).permissions.includes("schedule");
    const open = c.req.query("id");
    const children = (
      <>
        <Sprite />
        <main class="plain">
          <p>
            <a href="./">Tasks</a>
          </p>
          <div class="line">
            <h1>Schedules</h1>
            <span class="space" />
            {mayChange && types[0] && (
              <a class="button primary" href={`schedules?new=${types[0].type}`}>
                New schedule
              </a>
            )}
          </div>
          {note}
          {all.length === 0
            ? <p class="muted">No schedules yet. Create one to run a task regularly.</p>
            : (
              <ul class="messages">
                {all.map((schedule, i) => (
                  <ScheduleItem
                    key={schedule.id}
                    schedule={schedule}
                    last={lasts[i]}
                    recent={recent[i]}
                    title={types.find(({ type }) => type === schedule.submission.task_type)?.title ??
                      schedule.submission.task_type}
                    now={clock.now()}
                    mayChange={mayChange}
                    isOpen={schedule.id === open}
                  />
                ))}
              </ul>
            )}
        </main>
      </>
    );
    return document(c, "Schedules", children, status);
  }

  async function form(c: Context<AppEnv>, shown: Omit<ScheduleForm, "type">, type: string, status: 200 | 422 = 200) {
    const types = await typeInfos(queue);
    const info = types.find((one) => one.type === type);
    if (!info) throw new Problem(422, "invalid_input", `There is no task type ${type.slice(0, 64)}.`);
    const children = (
      <ScheduleFormPage form={{ ...shown, type: info }} types={types} maxUpload={options.maxUploadBytes} />
    );
    return document(c, shown.id ? "Edit schedule" : "New schedule", children, status, "static/zone.js");
  }

  app.get("/schedules", async (c) => {
    const { new: type, edit } = c.req.query();
    const mayChange = callerOf(c.get("principal")).permissions.includes("schedule");
    const empty = { texts: {}, errors: {}, own: false, times: null, isZoneUnknown: false };
    const types = queue.registry.public().map(({ type }) => type);
    const schedule = edit !== undefined && mayChange ? await foundOrNull(schedules.get(edit)) : null;
    if (schedule) {
      const { input_params, name, timezone, missed, ...more } = bodyOf(schedule);
      const shown = {
        ...empty,
        id: schedule.id,
        name: name as string,
        chosen: choiceOf(schedule.cron),
        timezone: timezone as string,
        missed: missed as string,
        params: (input_params ?? {}) as Record<string, Json>,
        options: more as Record<string, Json>,
        times: nextTimes(schedule, NEXT_TIMES),
      };
      return await form(c, shown, schedule.submission.task_type);
    }
    if (type !== undefined && types.includes(type) && mayChange) {
      const { time } = parsePreferences(getCookie(c, PREFERENCES_COOKIE) ?? "");
      const shown = { id: null, name: "", chosen: DAILY, timezone: time.zone, missed: "skip", params: {}, options: {} };
      return await form(c, { ...empty, ...shown, isZoneUnknown: time.zone === "UTC" }, type);
    }
    const note = edit !== undefined && mayChange ? <p class="note warn">This schedule was deleted.</p> : null;
    return await list(c, note, note ? 404 : 200);
  });

  /** Makes or changes a schedule, or shows the form again: with what is wrong, or with the next times. */
  async function save(c: Context<AppEnv>, sent: Sent): Promise<Response> {
    const one = (name: string) => sent.fields.get(name)?.at(-1) ?? "";
    const id = one("id") || null;
    const type = one("task_type");
    const info = (await typeInfos(queue)).find((info) => info.type === type);
    if (!info) throw new Problem(422, "invalid_input", `There is no task type ${type.slice(0, 64)}.`);
    assertType(c, type, ...id ? [(await schedules.get(id)).submission.task_type] : []);
    const chosen = { ...DAILY, ...Object.fromEntries(CHOSEN.map((name) => [name, one(name)])) } as Chosen;
    if (!(chosen.repeat in REPEATS)) chosen.repeat = "cron";
    const { values, texts, errors } = readParams(sent, info.params as Schema);
    const more = readFields(SCHEDULE_OPTIONS, readerOf(sent), errors);
    checkFields(SCHEDULE_OPTIONS, more, errors);
    if (chosen.repeat !== "cron" && !/^\d\d:\d\d/.test(chosen.time)) errors["/time"] = "The time is missing.";
    const cron = errors["/time"] ? DAILY.cron : cronOf(chosen);
    const [name, timezone, missed] = [one("name"), one("timezone"), one("missed")];
    let times: number[] | null = null;
    try {
      if (!errors["/time"]) times = schedules.preview(cron, timezone, NEXT_TIMES);
      if (one("action") === "save" && Object.keys(errors).length === 0) {
        // An option that was emptied is taken away; the name falls back to that of the type.
        const fields = Object.keys(SCHEDULE_OPTIONS.properties!).map((field) => [field, more[field] ?? null]);
        const input = {
          ...Object.fromEntries(fields),
          ...{ cron, timezone, missed, name: name || null, task_type: type, input_params: values },
        };
        const limits = quotas.scheduleLimits;
        c.set("action", id ? "schedule.change" : "schedule.create");
        if (id) {
          c.set("target", id);
          await schedules.replace(id, (schedule) => toSchedule(changedBody(schedule, input)), limits);
        } else {
          const made = await schedules.create(toSchedule(parseSchedule(input)), c.get("principal").name, { limits });
          c.set("target", made.schedule.id);
        }
        return c.redirect(withBase("/schedules", publicUrl), 303);
      }
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      addIssues(errors, error.issues, texts);
    }
    const own = one("data") === "own";
    const shown = {
      ...{ id, name, chosen, timezone, missed, params: values, options: more, own, texts, errors, times },
      isZoneUnknown: false,
    };
    return await form(c, shown, type, Object.keys(errors).length > 0 ? 422 : 200);
  }

  app.post("/schedules", requireRole("operator"), async (c) => {
    if (/^multipart\//i.test(c.req.header("Content-Type") ?? "")) {
      return await save(c, await readSentForm(c, options, quotas));
    }
    const sent = await readForm(c);
    const id = sent.get("id") ?? "";
    const { name } = c.get("principal");
    c.set("target", id);
    const action = sent.get("action") ?? "";
    c.set("action", `schedule.${action === "run" ? "trigger" : action.slice(0, 20)}`);
    const admit = (types: string[]) => quotas.takeTasks(c, types);
    try {
      const schedule = await schedules.get(id);
      assertType(c, schedule.submission.task_type);
      switch (action) {
        case "run": {
          const { id: task } = await schedules.trigger(id, name, undefined, admit);
          const note = (
            <p role="status">
              {schedule.name} started. <a href={hrefOf(HOME, { task })}>View task</a>
            </p>
          );
          return await list(c, note);
        }
        case "backfill": {
          const [from, last] = [sent.get("from"), sent.get("to")].map((day) => Date.parse(`${day}T00:00:00Z`));
          if (Number.isNaN(from) || Number.isNaN(last)) refuse("", "Choose the first and the last day.");
          const to = Math.min(last + DAY_MS, clock.now());
          const { ids } = await schedules.backfill(id, from, to, name, undefined, admit);
          const note = (
            <p role="status">
              {schedule.name}: {ids.length === 1 ? "1 task" : `${ids.length} tasks`} for past days.{" "}
              <a href={hrefOf(HOME, { schedule: id })}>View its tasks</a>
            </p>
          );
          return await list(c, note);
        }
        case "pause":
          await schedules.setPaused(id, true);
          break;
        case "resume":
          await schedules.setPaused(id, false, quotas.scheduleLimits);
          break;
        case "delete":
          await schedules.delete(id);
          break;
        default:
          throw new Problem(422, "invalid_input", "There is no such action.");
      }
    } catch (error) {
      if (error instanceof InvalidInputError) {
        return await list(c, <p class="error" role="alert">{error.message}</p>, 422);
      }
      // Someone else has deleted it: the list no longer shows it.
      if (!(error instanceof NotFoundError)) throw error;
    }
    return c.redirect(withBase("/schedules", publicUrl), 303);
  });

  return app;
}
