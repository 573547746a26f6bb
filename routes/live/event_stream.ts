/**
 * `/api/tasks/{id}/events`: the events of a task, as JSON or as a stream of server-sent events that a client can resume.
 *
 * @module
 */

import { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import { NotFoundError } from "../../queue/task/errors.ts";
import type { TaskHistoryEvent } from "../../queue/task/api_types.ts";
import { isTerminal, statusOf } from "../../queue/task/record.ts";
import { summaryOf } from "../../queue/task/summary.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { wantsEventStream } from "../http/request_headers.ts";
import type { StreamLimits } from "./stream_limits.ts";
import { statusKey, TaskFollower } from "./task_events.ts";

/** How often an idle stream is written to. Milliseconds. */
const BEAT_MS = 10_000;

/** How far a client has been told: the `id` of an event. */
interface Cursor {
  /** Version of the last task that was sent whole. */
  version: number;
  /** The last change of status. */
  status: string;
  /** The next line of the log. */
  attempt: number;
  line: number;
}

const textOf = ({ version, status, attempt, line }: Cursor) => `${version}/${status}/${attempt}/${line}`;

/** Reads a cursor back; null if it is none of ours. */
function cursorOf(text: string | undefined): Cursor | null {
  const match = /^(\d{1,15})\/([\w:.-]{0,60})\/(\d{1,9})\/(\d{1,9})$/.exec(text ?? "");
  if (!match) return null;
  return { version: Number(match[1]), status: match[2], attempt: Number(match[3]), line: Number(match[4]) };
}

/** How far a client has been told once it has an event. */
function after(cursor: Cursor, event: TaskHistoryEvent): Cursor {
  if (event.kind === "status") return { ...cursor, status: statusKey(event) };
  // Sorted by time, a line may come after a later one.
  const { attempt, line } = event;
  const isBehind = attempt < cursor.attempt || attempt === cursor.attempt && line < cursor.line;
  return isBehind ? cursor : { ...cursor, attempt, line: line + 1 };
}

/** The route of events, below `/api/tasks`. */
export function eventRoutes({ queue, clock, log }: AppOptions, streams: StreamLimits): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });

  app.get("/:id/events", async (c) => {
    const id = c.req.param("id");
    const first = await queue.get(id);
    if (!wantsEventStream(c)) {
      const since = await queue.stream.head();
      const { events, gap } = await new TaskFollower(queue, id).next(first);
      return c.json({ events, gap, since });
    }
    const resumed = cursorOf(c.req.header("Last-Event-ID"));
    // A client that has been told everything is asked to stop (HTML, 9.2: 204).
    if (resumed && isTerminal(statusOf(first)) && resumed.version === summaryOf(first, queue.retention).version) {
      return c.body(null, 204);
    }
    const follower = new TaskFollower(queue, id, resumed, resumed?.status);
    let cursor = resumed ?? { version: 0, status: "", attempt: 0, line: 0 };
    const place = streams.enter(c);
    return streamSSE(c, async (stream) => {
      place.onEnd(() => stream.abort());
      let wake: () => void = () => {};
      let unsubscribe = () => {};
      const send = (event: string, data: unknown) =>
        stream.writeSSE({ event, id: textOf(cursor), data: JSON.stringify(data) });
      stream.onAbort(() => wake());
      try {
        unsubscribe = await queue.stream.subscribe(({ changes }) => {
          if (changes.some((change) => change.id === id)) wake();
        });
        while (!stream.aborted) {
          const changed = new Promise<void>((resolve) => wake = resolve);
          const state = await queue.get(id);
          const summary = summaryOf(state, queue.retention);
          if (summary.version !== cursor.version) {
            for (let more = true; more;) {
              const told = await follower.next(state);
              more = told.more;
              if (told.gap) {
                const [attempt, line] = told.gap.before.split(":").map(Number);
                cursor = { ...cursor, attempt, line };
                await send("gap", told.gap);
              }
              for (const event of told.events) {
                cursor = after(cursor, event);
                await send(event.kind, event);
              }
            }
            cursor = { ...cursor, version: summary.version };
            await send("task", summary);
          }
          if (isTerminal(statusOf(state))) break;
          const cancelBeat = clock.after(BEAT_MS, () => wake());
          await changed;
          cancelBeat();
          // An occasional comment keeps proxies from closing an idle stream, and detects clients that have gone.
          await stream.write(": beat\n\n");
        }
      } finally {
        unsubscribe();
        place.leave();
      }
    }, (error) => {
      // The task was deleted, or the store does not answer: the client reconnects and learns why.
      if (!(error instanceof NotFoundError)) log.warn("An event stream was interrupted.", { error });
      return Promise.resolve();
    });
  });

  return app;
}
