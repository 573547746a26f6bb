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
import { logQuery, readQuery } from "../http/query.ts";

/** A position such as `1:500`: attempt and line. */
function positionOf(text: string): LogPosition {
  const [attempt, line] = text.split(":").map(Number);
  return { attempt, line };
}

/** The routes of logs, below `/api/tasks`. */
export function logRoutes({ queue }: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });

  app.get("/:id/logs", async (c) => {
    const id = c.req.param("id");
    await queue.get(id);
    const { after, before, limit } = readQuery(new URL(c.req.url).searchParams, logQuery);
    // "before=end": the newest lines.
    const { lines, next } = before !== undefined
      ? await queue.logs.readTail(id, limit, before === "end" ? undefined : positionOf(before))
      : await queue.logs.read(id, positionOf(after ?? "0:0"), limit);
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
