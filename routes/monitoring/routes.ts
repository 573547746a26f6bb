/**
 * `/metrics` for Prometheus, `/livez` and `/readyz` for whoever runs the process.
 *
 * @module
 */

import { SpanStatusCode } from "@opentelemetry/api";
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import { activeTraceparent, tracedRequest } from "../../queue/tracing.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import type { StreamLimits } from "../live/stream_limits.ts";
import type { Metrics } from "./metrics.ts";

/** Answers every request within a span, below that of its `traceparent`. */
export function tracing(): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const { method } = c.req;
    const attributes = { "http.request.method": method, "url.path": c.req.path };
    await tracedRequest(method, c.req.header("traceparent") ?? null, attributes, async (span) => {
      await next();
      const status = c.get("sentStatus") ?? c.res.status;
      span.updateName(`${method} ${routePath(c, -1)}`);
      span.setAttributes({ "http.route": routePath(c, -1), "http.response.status_code": status });
      if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
    });
  };
}

/** The span that a submit is part of: that of the request if it is traced, else the caller's. */
export function traceparentOf(c: Context<AppEnv>): string | undefined {
  return activeTraceparent() ?? c.req.header("traceparent");
}

/** The routes. */
export function monitoringRoutes(options: AppOptions, metrics: Metrics, streams: StreamLimits): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  const { queue, clock, storePath, faults = () => 0 } = options;

  app.get("/metrics", async (c) => {
    const text = await metrics.read({ queue, clock, storePath, streams: () => streams.counts, faults });
    return c.body(text, 200, { "Content-Type": metrics.contentType });
  });

  // It answers, so it lives: a process that hangs does not.
  app.get("/livez", (c) => c.json({ status: "alive" }));

  app.get("/readyz", async (c) => {
    const { kv, runner } = await queue.health();
    const isReady = kv && runner && !streams.isClosed;
    return c.json({ status: isReady ? "ready" : "not_ready" }, isReady ? 200 : 503);
  });

  return app;
}
