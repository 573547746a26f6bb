/**
 * `/api/tasks/{id}/logs`: the log of a task, in pages from either end, or whole as text.
 *
 * @module
 */

import { LOG_PAGE } from "../../queue/task/limits.ts";
import { Hono } from "hono";
import { oneLine } from "../../queue/log.ts";
import type { LogPosition } from "../../queue/run/task_log.ts";
import { contentDisposition } from "./artifacts.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { badQuery } from "../http/query.ts";

function refuse(parameter: string, detail: string): never {
  throw badQuery({ parameter, detail });
}

/** A position such as `1:500`: attempt and line. */
function readPosition(parameter: string, text: string): LogPosition {
  const match = /^(\d{1,9}):(\d{1,9})$/.exec(text);
  if (!match) refuse(parameter, "Pass next or first from another page, such as 1:500.");
  return { attempt: Number(match[1]), line: Number(match[2]) };
}

/** The routes of logs, below `/api/tasks`. */
export function logRoutes({ queue }: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });

  app.get("/:id/logs", async (c) => {
    const id = c.req.param("id");
    await queue.get(id);
    const [after, before] = [c.req.query("after"), c.req.query("before")];
    if (after !== undefined && before !== undefined) refuse("before", "Pass after or before, not both.");
    const limit = Number(c.req.query("limit") ?? LOG_PAGE.default);
    if (!Number.isInteger(limit) || limit < 1 || limit > LOG_PAGE.max) {
      refuse("limit", `Must be a whole number from 1 to ${LOG_PAGE.max}.`);
    }
    // "before=end": the newest lines.
    const { lines, next } = before !== undefined
      ? await queue.logs.readTail(id, limit, before === "end" ? undefined : readPosition("before", before))
      : await queue.logs.read(id, readPosition("after", after ?? "0:0"), limit);
    const [first] = lines;
    return c.json({
      lines: lines.map((entry) => ({ ...entry, at: new Date(entry.at).toISOString() })),
      first: first ? `${first.attempt}:${first.line}` : null,
      next: `${next.attempt}:${next.line}`,
    });
  });

  app.get("/:id/logs.txt", async (c) => {
    const id = c.req.param("id");
    await queue.get(id);
    const encoder = new TextEncoder();
    let from: LogPosition = { attempt: 0, line: 0 };
    const text = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const { lines, next } = await queue.logs.read(id, from, LOG_PAGE.max);
        from = next;
        const part = lines.map(({ at, attempt, level, text }) =>
          `${new Date(at).toISOString()} ${attempt} ${level.toUpperCase().padEnd(5)} ${oneLine(text)}\n`
        );
        if (part.length > 0) controller.enqueue(encoder.encode(part.join("")));
        if (part.length < LOG_PAGE.max) controller.close();
      },
    }, { highWaterMark: 0 });
    return c.body(text, 200, {
      "Content-Type": "text/plain; charset=utf-8",
      "Content-Disposition": contentDisposition(`${id}.log`, "application/octet-stream"),
    });
  });

  return app;
}
