/**
 * The web application, as a table of contents.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import { routePath } from "hono/route";
import { getPathNoStrict } from "hono/utils/url";
import type { Clock } from "../queue/task/clock.ts";
import { logOf } from "../queue/log.ts";
import { alertRoutes } from "./api/alerts.ts";
import { auditRoutes } from "./access/audit_routes.ts";
import { tokenRoutes } from "./access/tokens.ts";
import { auditing } from "./access/audit.ts";
import { guard } from "./access/auth.ts";
import type { AppEnv, AppOptions } from "./env.ts";
import { AuthThrottle } from "./limits/auth_throttle.ts";
import { StreamLimits } from "./live/stream_limits.ts";
import { loginRoutes } from "./page/login.tsx";
import { COMMON_HEADERS } from "./http/json.ts";
import { assertAcceptable } from "./http/request_headers.ts";
import { Metrics } from "./monitoring/metrics.ts";
import { monitoringRoutes, tracing } from "./monitoring/routes.ts";
import { openApiRoutes } from "./openapi/routes.tsx";
import { alertPageRoutes } from "./page/alerts.tsx";
import { auditPageRoutes } from "./page/audit.tsx";
import { pageRoutes } from "./page/page.ts";
import { withoutBase } from "./http/address.ts";
import { Problem, problemResponse, toProblem } from "./http/problem.ts";
import { RequestLimits } from "./limits/request_limits.ts";
import { Quotas } from "./limits/quotas.ts";
import { schedulePageRoutes } from "./page/schedules/page.tsx";
import { scheduleRoutes } from "./api/schedules.ts";
import { staticRoutes } from "./page/static.ts";
import { StatsFeed } from "./live/stats_feed.ts";
import { streamRoutes } from "./live/socket.ts";
import { suppressionPageRoutes } from "./page/suppressions.tsx";
import { suppressionRoutes } from "./api/suppressions.ts";
import { systemRoutes } from "./api/system.ts";
import { taskRoutes } from "./api/tasks.ts";
import { undeliveredPageRoutes } from "./page/undelivered.tsx";
import { undeliveredRoutes } from "./api/undelivered.ts";
import { uploadRoutes } from "./api/uploads.ts";

/** Makes the application; `close` ends its sockets. */
export function createApp(options: AppOptions): { app: Hono<AppEnv>; close(): Promise<void> } {
  const { publicUrl } = options;
  const app = publicUrl
    ? new Hono<AppEnv>({ getPath: (request) => withoutBase(getPathNoStrict(request), publicUrl) })
    : new Hono<AppEnv>({ strict: false });
  const live = { ...options, log: logOf(options.log, "live") };
  const stats = new StatsFeed(options.queue, options.clock, live.log);
  const streams = new StreamLimits(live);
  const guesses = new AuthThrottle(options.clock, options.log, options.quotas?.signInFailures);
  const quotas = new Quotas(options);

  const { metrics = new Metrics() } = options;
  const requests = new RequestLimits(options);
  const audit = auditing(options);

  if (options.tracing) app.use(tracing());
  // One function for all that is done after an answer: each more costs every request some microseconds.
  app.use(async (c, next) => {
    const since = options.clock.monotonic();
    await next();
    const route = routePath(c, -1);
    const status = c.get("sentStatus") ?? c.res.status;
    metrics.answered(c.req.method, route, status, options.clock.monotonic() - since);
    await audit(c, route, status);
    // The response to an upgrade must not be changed.
    if (status === 101) return;
    if (c.req.method === "HEAD") await withoutBody(c);
    if (c.get("hasCommonHeaders")) return;
    for (const [name, value] of Object.entries(COMMON_HEADERS)) {
      if (!c.res.headers.has(name)) c.res.headers.set(name, value);
    }
  });
  app.use(guard(options, guesses, requests), assertAcceptable(), quotas.assertRoom());

  app.route("/api/tasks", taskRoutes(options, streams, quotas));
  app.route("/api/schedules", scheduleRoutes(options, quotas));
  app.route("/api/suppressions", suppressionRoutes(options));
  app.route("/api/undelivered", undeliveredRoutes(options, quotas));
  app.route("/api/uploads", uploadRoutes(options, quotas));
  app.route("/api/tokens", tokenRoutes(options, streams));
  app.route("/api/alerts", alertRoutes(options));
  app.route("/api", auditRoutes(options));
  app.route("/api", systemRoutes(options, stats));
  app.route("/", streamRoutes(live, stats, streams));
  app.route("/", monitoringRoutes(options, metrics, streams));
  app.route("/", openApiRoutes(options));
  app.route("/static", staticRoutes());
  app.route("/", loginRoutes(options, guesses, streams));
  app.route("/", schedulePageRoutes(options, quotas));
  app.route("/", alertPageRoutes(options));
  app.route("/", auditPageRoutes(options));
  app.route("/", suppressionPageRoutes(options));
  app.route("/", undeliveredPageRoutes(options, quotas));
  app.route("/", pageRoutes(options, stats, quotas));

  app.notFound((c) => {
    const methods = methodsOf(app, c.req.path);
    if (methods.length === 0) {
      return problemResponse(c, new Problem(404, "not_found", "There is nothing at this address."));
    }
    const allow = { Allow: [...methods, "OPTIONS"].join(", ") };
    if (c.req.method === "OPTIONS") return c.body(null, 204, allow);
    const detail = `${c.req.method} is not allowed here.`;
    return problemResponse(c, new Problem(405, "method_not_allowed", detail, [], allow));
  });
  const gone = atMostOncePerSecond(options.clock, (count) => {
    options.log.info("Clients disconnected in the middle of a request.", { count });
  });
  app.onError((error, c) => {
    if (c.env.isGone() && !(error instanceof Problem)) {
      gone();
      return problemResponse(c, new Problem(400, "aborted", "The request was interrupted."));
    }
    return problemResponse(c, toProblem(error, options.log));
  });

  return { app, close: () => streams.close() };
}

/** Makes the application of an instance that only works: metrics and probes. */
export function createMonitoringApp(options: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  const guesses = new AuthThrottle(options.clock, options.log, options.quotas?.signInFailures);
  app.use(guard(options, guesses, new RequestLimits(options)));
  app.route("/", monitoringRoutes(options, options.metrics ?? new Metrics(), new StreamLimits(options)));
  app.notFound((c) => problemResponse(c, new Problem(404, "not_found", "There is nothing at this address.")));
  app.onError((error, c) => problemResponse(c, toProblem(error, options.log)));
  return app;
}

/** Answers HEAD: the length is that of GET's answer, and nobody reads the body. */
async function withoutBody(c: Context<AppEnv>): Promise<void> {
  const { headers, body } = c.res;
  // Events and logs are streams of unknown length, which GET does not tell either.
  const isStream = /^text\/(event-stream|plain)/.test(headers.get("Content-Type") ?? "");
  if (body && !headers.has("Content-Length") && !isStream) {
    headers.set("Content-Length", String((await c.res.arrayBuffer()).byteLength));
  } else await body?.cancel();
}

/** Reports something that clients can cause at will: at most once a second, with how often it happened. */
export function atMostOncePerSecond(clock: Clock, report: (count: number) => void): () => void {
  let count = 0;
  let last = -Infinity;
  return () => {
    count++;
    const now = clock.monotonic();
    if (now - last < 1_000) return;
    report(count);
    last = now;
    count = 0;
  };
}

/** The methods that a path supports. A literal path takes precedence over one with a parameter. */
function methodsOf(app: Hono<AppEnv>, path: string): string[] {
  const wanted = path.replace(/(.)\/$/, "$1");
  const matching = app.routes.filter((route) => {
    const pattern = route.path.replace(/(.)\/$/, "$1").replaceAll(/:[^/]+/g, "[^/]+");
    return route.method !== "ALL" && new RegExp(`^${pattern}$`).test(wanted);
  });
  const exact = matching.filter((route) => !route.path.includes(":"));
  const methods = new Set<string>();
  for (const { method } of exact.length > 0 ? exact : matching) {
    methods.add(method);
    if (method === "GET") methods.add("HEAD");
  }
  return [...methods];
}
