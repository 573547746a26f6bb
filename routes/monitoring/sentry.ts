/**
 * Error tracking: attempts that fail, and errors that nobody handled, go to Sentry. Its library is loaded only where
 * `SENTRY_DSN` is set.
 *
 * @module
 */

import type { TaskError } from "../../queue/task/record.ts";
import { moveOf, type QueueObserver } from "../../queue/watch/observer.ts";

/** Outcomes of attempts that are reported. */
const REPORTED = ["failed", "timeout"];

/** Reports to Sentry. */
export interface ErrorReports extends QueueObserver {
  /** Reports an error that nobody handled. */
  fault(error: unknown): void;
  /** Waits until what was reported is sent, for as many milliseconds at most. */
  close(ms: number): Promise<void>;
}

/** An error as it was thrown. */
function thrown({ code, message, stack }: TaskError): Error {
  const error = new Error(message);
  error.name = code;
  if (stack !== undefined) error.stack = stack;
  return error;
}

/** Opens the connection to a project. */
export async function openSentry(dsn: string): Promise<ErrorReports> {
  const Sentry = await import("@sentry/deno");
  Sentry.init({
    dsn,
    // Nothing is patched, and nothing of a request is sent: only what is reported here.
    defaultIntegrations: false,
    integrations: [Sentry.dedupeIntegration()],
    sendDefaultPii: false,
  });
  return {
    moved(changes) {
      for (const change of changes) {
        const { attempt } = moveOf(change);
        if (!attempt?.error || !REPORTED.includes(attempt.outcome)) continue;
        const { id, task_type, max_attempts, traceparent } = change.after!.task;
        const [, trace_id, span_id] = traceparent?.split("-") ?? [];
        Sentry.captureException(thrown(attempt.error), {
          tags: { task_type, attempt: attempt.attempt, outcome: attempt.outcome },
          extra: { task_id: id, max_attempts, instance: attempt.instance },
          fingerprint: ["{{ default }}", task_type],
          ...trace_id !== undefined && { contexts: { trace: { trace_id, span_id } } },
        });
      }
    },
    fault(error) {
      Sentry.captureException(error, { tags: { unhandled: true } });
    },
    async close(ms) {
      await Sentry.close(ms);
    },
  };
}
