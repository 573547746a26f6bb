/**
 * `/metrics` for Prometheus, `/livez` and `/readyz` for whoever runs the process.
 *
 * @module
 */

import { Hono, type MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import type { AppEnv, AppOptions } from "../env.ts";
import type { StreamLimits } from "../live/stream_limits.ts";
import { Metrics } from "./metrics.ts";

/** Methods that are told apart; a client may send any word. */
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Counts every request that is answered. */
export function counting(metrics: Metrics, { clock }: AppOptions): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const since = clock.monotonic();
    await next();
    const { method } = c.req;
    // The handler that matched last is that of the route, whether or not it was reached.
    const route = routePath(c, -1);
    metrics.answered(
      METHODS.has(method) ? method : "other",
      route.endsWith("/*") ? "none" : route,
      c.get("sentStatus") ?? c.res.status,
      clock.monotonic() - since,
    );
  };
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
