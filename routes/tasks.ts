/**
 * `/api/tasks`: submit, list, read, cancel and retry tasks; their events and logs.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import { streamSSE } from "hono/streaming";
import * as z from "zod";
import type { IdempotencyKey } from "../queue/once.ts";
import { fingerprint } from "../queue/submit.ts";
import { isTerminal, RETRY_FROM, statusOf, summaryOf, taskOf, type TaskState } from "../queue/task.ts";
import { mayActAs, requireRole } from "./auth.ts";
import { readJson, readOptionalJson } from "./body.ts";
import { artifactRoutes } from "./artifacts.ts";
import { bulkRoutes } from "./bulk.ts";
import type { AppEnv, AppOptions } from "./env.ts";
import { TaskFollower } from "./follow.ts";
import { logRoutes } from "./logs.ts";
import { Problem } from "./problem.ts";
import { readFilter } from "./query.ts";
import { wholeTask } from "./whole_task.ts";
import { batchTaskSchema, submissionSchema, toSubmission } from "./submission.ts";

/** What the header Idempotency-Key asks for. */
function idempotencyOf(c: Context<AppEnv>, body: unknown): IdempotencyKey | undefined {
  const key = c.req.header("Idempotency-Key");
  if (key === undefined) return undefined;
  if (!/^[\x21-\x7e]{1,200}$/.test(key)) {
    const detail = "An Idempotency-Key has 1 to 200 visible ASCII characters.";
    throw new Problem(400, "bad_idempotency_key", detail, [{ parameter: "Idempotency-Key", detail }]);
  }
  // What was sent is compared, not what became of it: a delay is another time at each try.
  return { scope: c.get("principal").name, key, body: fingerprint(body) };
}

/** The routes of tasks. */
export function taskRoutes(options: AppOptions): Hono<AppEnv> {
  const { queue, clock } = options;
  const app = new Hono<AppEnv>({ strict: false });
  const summary = (state: TaskState) => summaryOf(state, queue.retention);
  const whole = (state: TaskState) => wholeTask(queue, state);

  app.post("/submit", requireRole("operator"), async (c) => {
    const body = await readJson(c, submissionSchema);
    const submission = toSubmission(body, clock.now());
    const { task, created } = await queue.submit(submission, idempotencyOf(c, body));
    c.header("Location", `/api/tasks/${task.task.id}`);
    return c.json(created ? taskOf(task, [], queue.retention) : await whole(task), created ? 201 : 200);
  });

  app.post("/batch", requireRole("operator"), async (c) => {
    const body = await readJson(c, z.strictObject({ tasks: z.array(batchTaskSchema).min(1).max(200) }));
    const submissions = body.tasks.map((task, i) => toSubmission(task, clock.now(), `/tasks/${i}`));
    const { tasks, created } = await queue.submitBatch(submissions, idempotencyOf(c, body));
    return c.json({ tasks: tasks.map(summary) }, created ? 201 : 200);
  });

  app.get("/", async (c) => {
    const { filter, limit, cursor, order } = readFilter(new URL(c.req.url).searchParams);
    const as_of = await queue.stream.head();
    const { states, ...page } = await queue.list(filter, limit, cursor, order);
    return c.json({ tasks: states.map(summary), ...page, as_of });
  });

  app.route("/bulk", bulkRoutes(options));

  app.get("/:id", async (c) => c.json(await whole(await queue.get(c.req.param("id")))));

  app.delete("/:id", requireRole("operator"), async (c) => {
    const state = await queue.cancel(c.req.param("id"));
    if (statusOf(state) === "CANCELLED") return c.json(await whole(state));
    return c.json({ ...await whole(state), cancel_requested: true }, 202);
  });

  app.post("/:id/retry", requireRole("operator"), async (c) => {
    const { from } = await readOptionalJson(c, z.strictObject({ from: z.enum(RETRY_FROM).default("checkpoint") }));
    return c.json(await whole(await queue.retry(c.req.param("id"), from, mayActAs(c.get("principal"), "admin"))), 202);
  });

  app.get("/:id/events", async (c) => {
    const id = c.req.param("id");
    const first = await queue.get(id);
    const follower = new TaskFollower(queue, id);
    if (!c.req.header("Accept")?.includes("text/event-stream")) {
      const since = await queue.stream.head();
      return c.json({ events: (await follower.next(first)).events, since });
    }
    return streamSSE(c, async (stream) => {
      let wake: () => void = () => {};
      let version = 0;
      const unsubscribe = await queue.stream.subscribe(({ changes }) => {
        if (changes.some((change) => change.id === id)) wake();
      });
      stream.onAbort(() => wake());
      try {
        while (!stream.aborted) {
          const changed = new Promise<void>((resolve) => wake = resolve);
          const state = await queue.get(id);
          const { version: now, ...shown } = summary(state);
          if (now !== version) {
            version = now;
            for (let more = true; more;) {
              const told = await follower.next(state);
              more = told.more;
              for (const event of told.events) {
                await stream.writeSSE({ event: event.kind, data: JSON.stringify(event) });
              }
            }
            await stream.writeSSE({ event: "task", id: String(now), data: JSON.stringify({ ...shown, version: now }) });
          }
          if (isTerminal(statusOf(state))) break;
          const cancelBeat = clock.after(10_000, () => wake());
          await changed;
          cancelBeat();
          // A comment now and then keeps proxies from closing a quiet stream, and finds out who has gone.
          await stream.write(": beat\n\n");
        }
      } finally {
        unsubscribe();
      }
    });
  });

  app.route("/", logRoutes(options));
  app.route("/", artifactRoutes(options));

  return app;
}
