/**
 * `/api/tasks`: submit, list, read, cancel and retry tasks; their events and logs.
 *
 * @module
 */

import { MAX_BATCH } from "../../queue/task/limits.ts";
import { type Context, Hono } from "hono";
import * as z from "zod";
import type { Queue } from "../../queue/queue.ts";
import type { Clock } from "../../queue/task/clock.ts";
import { isTerminal, statusOf, type TaskState } from "../../queue/task/record.ts";
import { summaryOf, type TaskGraph, taskOf } from "../../queue/task/summary.ts";
import { RETRY_FROM } from "../../queue/task/transitions.ts";
import { assertType, mayActAs, requireRole } from "../access/auth.ts";
import { readJson, readOptionalJson } from "../http/body.ts";
import { json } from "../http/json.ts";
import { Problem } from "../http/problem.ts";
import { idempotencyOf, preferencesOf } from "../http/request_headers.ts";
import type { StreamLimits, StreamSlot } from "../live/stream_limits.ts";
import { traceparentOf } from "../monitoring/routes.ts";
import type { Quotas } from "../limits/quotas.ts";
import { artifactRoutes } from "./artifacts.ts";
import { bulkRoutes } from "./bulk.ts";
import { REDO_ONLY } from "../../queue/define.ts";
import { withBase } from "../http/address.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { eventRoutes } from "../live/event_stream.ts";
import { logRoutes } from "./logs.ts";
import { readFilter } from "../http/query.ts";
import { taskResponse } from "./task_response.ts";
import { batchTaskSchema, submissionSchema, toSubmission } from "../../queue/submit/submission.ts";

/** How a task is retried: from where, or only what failed or is unknown, as a new task. */
export const retrySchema = z.strictObject({ from: z.enum(RETRY_FROM).optional(), only: z.enum(REDO_ONLY).optional() })
  .refine(({ from, only }) => from === undefined || only === undefined, {
    path: ["from"],
    message: "A part of a task is done from the beginning.",
  });

/** Several tasks at once. */
export const batchSchema = z.strictObject({ tasks: z.array(batchTaskSchema).min(1).max(MAX_BATCH) });

/** The routes of tasks. */
export function taskRoutes(options: AppOptions, streams: StreamLimits, quotas: Quotas): Hono<AppEnv> {
  const { queue, clock, publicUrl } = options;
  const app = new Hono<AppEnv>({ strict: false });
  const summary = (state: TaskState) => summaryOf(state, queue.retention);
  const whole = (c: Context<AppEnv>, state: TaskState) => taskResponse(queue, state, c.get("principal"));

  /** Refuses a token that is not for the type of a task. */
  const assertTypeOf = async (c: Context<AppEnv>, id: string) => {
    if (c.get("principal").task_types) assertType(c, (await queue.get(id)).task.task_type);
  };

  app.post("/submit", requireRole("operator"), async (c) => {
    const body = await readJson(c, submissionSchema);
    assertType(c, body.task_type);
    const submission = {
      ...toSubmission(body, clock.now()),
      submitted_by: c.get("principal").name,
      traceparent: traceparentOf(c),
    };
    await quotas.takeTasks(c, [body.task_type]);
    const { minimal, wait } = preferencesOf(c);
    const place = wait === null ? null : placeOrNone(c, streams);
    let { task, created } = await queue.submit(submission, idempotencyOf(c, body)).catch((error) => {
      place?.leave();
      throw error;
    });
    const applied = [...place ? [`wait=${wait}`] : [], ...minimal ? ["return=minimal"] : []].join(", ");
    const headers = {
      Location: withBase(`/api/tasks/${task.task.id}`, publicUrl),
      ...applied && { "Preference-Applied": applied },
    };
    c.set("target", task.task.id);
    if (place) task = await untilEnded(queue, clock, task, wait! * 1_000, c.req.raw.signal, place);
    const status = created ? 201 : 200;
    if (minimal) return c.body(null, status, headers);
    return json(
      c,
      created && !place && isAlone(task) ? taskOf(task, [], queue.retention) : await whole(c, task),
      status,
      headers,
    );
  });

  app.post("/batch", requireRole("operator"), async (c) => {
    const body = await readJson(c, batchSchema);
    assertType(c, ...body.tasks.map(({ task_type }) => task_type));
    const more = { submitted_by: c.get("principal").name, traceparent: traceparentOf(c) };
    const submissions = body.tasks.map((task, i) => ({
      ...toSubmission(task, clock.now(), `/tasks/${i}`),
      ...more,
    }));
    await quotas.takeTasks(c, submissions.map(({ task_type }) => task_type));
    const { tasks, created } = await queue.submitBatch(submissions, idempotencyOf(c, body));
    c.set("target", tasks.map(({ task }) => task.id));
    return json(c, { tasks: tasks.map(summary) }, created ? 201 : 200);
  });

  app.get("/", async (c) => {
    const { filter, limit, cursor, order, facets } = readFilter(new URL(c.req.url).searchParams);
    const as_of = await queue.stream.head();
    const [{ states, ...page }, counts] = await Promise.all([
      queue.list(filter, limit, cursor, order),
      facets ? queue.countByStatus(filter) : null,
    ]);
    return c.json({ tasks: states.map(summary), ...page, ...counts && { facets: counts }, as_of });
  });

  app.route("/bulk", bulkRoutes(options));

  app.get("/:id", async (c) => c.json(await whole(c, await queue.get(c.req.param("id")))));

  app.get("/:id/graph", async (c) => {
    const { states, ...more } = await queue.graph(c.req.param("id"));
    const tasks = states.map((state) => ({ ...summary(state), depends_on: state.task.depends_on }));
    return c.json({ tasks, ...more } satisfies TaskGraph);
  });

  app.delete("/:id", requireRole("operator"), async (c) => {
    await assertTypeOf(c, c.req.param("id"));
    const state = await queue.cancel(c.req.param("id"), c.get("principal").name);
    if (statusOf(state) === "CANCELLED") return c.json(await whole(c, state));
    return c.json({ ...await whole(c, state), cancel_requested: true }, 202);
  });

  app.post("/:id/retry", requireRole("operator"), async (c) => {
    const { from = "checkpoint", only } = await readOptionalJson(c, retrySchema);
    const caller = c.get("principal");
    const { task_type } = (await queue.get(c.req.param("id"))).task;
    assertType(c, task_type);
    await quotas.takeTasks(c, [task_type]);
    if (only) {
      const state = await queue.redo(c.req.param("id"), only, caller.name);
      c.header("Location", withBase(`/api/tasks/${state.task.id}`, publicUrl));
      return c.json(await whole(c, state), 201);
    }
    const state = await queue.retry(c.req.param("id"), from, caller.name, mayActAs(caller, "admin"));
    return c.json(await whole(c, state), 202);
  });

  app.route("/", eventRoutes(options, streams));
  app.route("/", logRoutes(options));
  app.route("/", artifactRoutes(options));

  return app;
}

/** Whether a new task has neither files nor relations, so that nothing has to be read to show it. */
function isAlone({ task }: TaskState): boolean {
  return task.uploads.length === 0 && task.depends_on.length === 0 && task.retried_from === null;
}

/** A place among the streams for an answer that waits; null if there is none: then it does not wait. */
function placeOrNone(c: Context<AppEnv>, streams: StreamLimits): StreamSlot | null {
  try {
    return streams.enter(c);
  } catch (error) {
    if (error instanceof Problem) return null;
    throw error;
  }
}

/** The task once it has ended, or as it is when the time is over, the client has gone or the service stops. */
async function untilEnded(
  queue: Queue,
  clock: Clock,
  submitted: TaskState,
  ms: number,
  signal: AbortSignal,
  place: StreamSlot,
): Promise<TaskState> {
  const { id } = submitted.task;
  let state = submitted;
  let over = false;
  let wake: () => void = () => {};
  const end = () => {
    over = true;
    wake();
  };
  const cancelTimer = clock.after(ms, end);
  signal.addEventListener("abort", end);
  place.onEnd(end);
  let unsubscribe = () => {};
  try {
    unsubscribe = await queue.stream.subscribe(({ changes }) => {
      if (changes.some((change) => change.id === id)) wake();
    });
    while (!over && !isTerminal(statusOf(state))) {
      const changed = new Promise<void>((resolve) => wake = resolve);
      state = await queue.get(id);
      if (!over && !isTerminal(statusOf(state))) await changed;
    }
    return state;
  } catch {
    // The task was accepted, whatever became of it: that is what the answer says.
    return state;
  } finally {
    cancelTimer();
    signal.removeEventListener("abort", end);
    unsubscribe();
    place.leave();
  }
}
