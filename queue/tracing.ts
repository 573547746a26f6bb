/**
 * Traces by OpenTelemetry: an attempt is a span in the trace of the request that submitted its task, with spans for its
 * steps and mails. Without a provider (in Deno: `OTEL_DENO=true`) nothing is measured.
 *
 * @module
 */

import {
  type Attributes,
  context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  trace,
  TraceFlags,
} from "@opentelemetry/api";
import type { Clock } from "./task/clock.ts";
import type { TaskRecord } from "./task/record.ts";
import type { QueueObserver } from "./watch/observer.ts";

const tracer = trace.getTracer("millrace");

/** The parts of a `traceparent` header (https://www.w3.org/TR/trace-context/), of any version but ff. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-|$)/;

/** A `traceparent` if it is valid, else null. */
export function validTraceparent(header: string | null | undefined): string | null {
  const match = TRACEPARENT.exec(header ?? "");
  return match ? `00-${match[1]}-${match[2]}-${match[3]}` : null;
}

/** The context that a `traceparent` names; the root if there is none. */
function contextOf(traceparent: string | null) {
  const match = TRACEPARENT.exec(traceparent ?? "");
  if (!match) return ROOT_CONTEXT;
  const [, traceId, spanId, flags] = match;
  const traceFlags = parseInt(flags, 16) & TraceFlags.SAMPLED;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

/** Runs something within a span, which tells if it fails. */
async function within<T>(
  name: string,
  options: SpanOptions,
  parent: ReturnType<typeof context.active>,
  run: (span: Span) => Promise<T>,
): Promise<T> {
  const span = tracer.startSpan(name, options, parent);
  try {
    return await context.with(trace.setSpan(parent, span), () => run(span));
  } catch (error) {
    span.recordException(error as Error);
    span.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).message });
    throw error;
  } finally {
    span.end();
  }
}

/** Runs something within a span below the one that is active. */
export function traced<T>(name: string, attributes: Attributes, run: () => Promise<T>): Promise<T> {
  return within(name, { attributes }, context.active(), run);
}

/** Answers a request within a span of its own, below that of its `traceparent`. */
export function tracedRequest<T>(
  name: string,
  traceparent: string | null,
  attributes: Attributes,
  run: (span: Span) => Promise<T>,
): Promise<T> {
  return within(name, { kind: SpanKind.SERVER, attributes }, contextOf(traceparent), run);
}

/** Runs a handler within the span of its attempt. */
export function tracedAttempt<T>(task: TaskRecord, attempt: number, run: () => Promise<T>): Promise<T> {
  const attributes = {
    "messaging.system": "millrace",
    "messaging.operation.type": "process",
    "messaging.destination.name": task.task_type,
    "messaging.message.id": task.id,
    "millrace.attempt": attempt,
  };
  return within(`task ${task.task_type}`, { kind: SpanKind.CONSUMER, attributes }, contextOf(task.traceparent), run);
}

/** The `traceparent` of the span that is active; null: there is none. */
export function activeTraceparent(): string | null {
  const active = trace.getActiveSpan()?.spanContext();
  return active ? `00-${active.traceId}-${active.spanId}-0${active.traceFlags & TraceFlags.SAMPLED}` : null;
}

/** The ids of the active span, for lines of the log. */
export function activeIds(): { trace_id?: string; span_id?: string } {
  const active = trace.getActiveSpan()?.spanContext();
  return active ? { trace_id: active.traceId, span_id: active.spanId } : {};
}

/** Makes a span of each atomic. It holds the writes of many tasks, so it is a trace of its own. */
export function commitSpans(clock: Clock): QueueObserver {
  return {
    committed(ms, changesets) {
      const end = clock.now();
      const attributes = { "millrace.changesets": changesets };
      tracer.startSpan("commit", { root: true, startTime: end - ms, attributes }).end(end);
    },
  };
}
