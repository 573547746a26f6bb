/**
 * The composition root: reads the settings, opens the store, builds the queue and the application, serves, stops.
 *
 * @module
 */

import { Registry } from "./queue/define.ts";
import { systemClock, within } from "./queue/task/clock.ts";
import { createHandlers } from "./queue/handlers/mod.ts";
import { createLogger, logOf } from "./queue/log.ts";
import { Backups } from "./queue/tools/backups.ts";
import { diskOf, prepareStore, StoreFileError } from "./queue/tools/store_file.ts";
import { lockStore, OwnedError } from "./queue/tools/owner_lock.ts";
import { Queue } from "./queue/queue.ts";
import { activeIds, commitSpans } from "./queue/tracing.ts";
import { Oidc } from "./routes/access/oidc.ts";
import { isTrusted } from "./routes/network.ts";
import type { Hono } from "hono";
import { createApp, createMonitoringApp } from "./routes/app.ts";
import type { AppEnv, AppOptions } from "./routes/env.ts";
import { Metrics } from "./routes/monitoring/metrics.ts";
import { openSentry } from "./routes/monitoring/sentry.ts";
import { Faults } from "./routes/http/faults.ts";
import { boundedByFiles, serve, serveOnDeploy } from "./routes/http/serve.ts";
import { isStoreFile, readSettings, SettingError, type Settings } from "./routes/settings.ts";

/** How long an instance that was woken by the cron works at most: it is woken each minute. Milliseconds. */
const WORK_MS = 50_000;

// Deno Deploy starts an instance for it. It finds only what is registered before anything is awaited.
const started = Promise.withResolvers<Queue>();
Deno.cron("work", "* * * * *", async () => {
  const queue = await started.promise;
  // Elsewhere nothing stops an instance.
  if (settings.onDeploy) await queue.work(WORK_MS);
});

/** Ends the process with one line that explains why. */
function refuseToStart(code: number, reason: string): never {
  console.error(`Millrace did not start. ${reason}`);
  Deno.exit(code);
}

let settings: Settings;
try {
  settings = readSettings((name) => Deno.env.get(name));
} catch (error) {
  if (!(error instanceof SettingError)) throw error;
  refuseToStart(2, error.message);
}
const { kvPath } = settings;
const clock = systemClock;
const write = (line: string) => console.log(line);
const more = settings.tracing ? activeIds : undefined;
const log = createLogger(settings.logLevels, settings.logFormat, () => clock.now(), write, more);

const distributed = !isStoreFile(kvPath) && kvPath !== ":memory:";
let lock: { release(): void } | undefined;
if (isStoreFile(kvPath)) {
  try {
    await prepareStore(kvPath);
    lock = await lockStore(kvPath);
  } catch (error) {
    if (!(error instanceof OwnedError || error instanceof StoreFileError)) throw error;
    refuseToStart(error instanceof OwnedError ? 3 : 4, error.message);
  }
}

const kv = await Deno.openKv(kvPath).catch((error: Error) =>
  refuseToStart(4, `The store could not be opened: ${error.message}`)
);
const handlers = createHandlers(clock, { ...settings, mail: { ...settings.mail, ledger: () => queue.mail } });
const registry = new Registry(handlers.definitions);
const byType = {
  CONCURRENCY: settings.concurrency,
  RATE_LIMIT: settings.rates,
  MAX_TASKS_PER_MINUTE: settings.quotas.tasksPerMinute,
};
const named = Object.entries(byType).map(([name, types]) => [name, Object.keys(types)] as const);
const watched = settings.alertRules.flatMap(({ when }) =>
  "task_type" in when && when.task_type ? [when.task_type] : []
);
for (const [name, types] of [...named, ["ALERT_RULES", watched] as const]) {
  try {
    registry.assertAll(types);
  } catch (error) {
    refuseToStart(2, `${name}: ${(error as Error).message}`);
  }
}
const metrics = new Metrics();
const reports = settings.sentryDsn === undefined ? null : await openSentry(settings.sentryDsn);
const queue = new Queue({
  kv,
  clock,
  log,
  distributed,
  definitions: handlers.definitions,
  worker: settings.roles.worker,
  // An instance that lives for seconds registers few lanes: each is written at its start and at its end.
  lanes: settings.onDeploy ? 4 : undefined,
  concurrency: settings.concurrency,
  leaseMs: settings.leaseMs,
  retention: settings.retention,
  rates: settings.rates,
  observers: [metrics, ...settings.tracing ? [commitSpans(clock)] : [], ...reports ? [reports] : []],
  tracing: settings.tracing,
  alerts: { rules: settings.alertRules, disk: lock && (() => diskOf(kvPath!)) },
});
const backups = settings.backups && new Backups({ path: kvPath!, ...settings.backups }, clock, log);
await backups?.start().catch((error: Error) => refuseToStart(4, `BACKUP_DIR cannot be used: ${error.message}`));
await queue.start().catch((error: Error) => refuseToStart(4, `The store could not be read: ${error.message}`));
started.resolve(queue);

const storePath = lock ? kvPath : undefined;
let faults: Faults | null = null;
const oidc = settings.oidcSettings && new Oidc(settings.oidcSettings, await queue.sessions.key(), settings.publicUrl!);
const options: AppOptions = {
  ...settings,
  oidc,
  queue,
  clock,
  log: logOf(log, "http"),
  storePath,
  metrics,
  faults: () => faults?.count ?? 0,
};
const { app, close } = createApp(options);
async function listen(port: number, { fetch }: Pick<Hono<AppEnv>, "fetch">) {
  try {
    return await (settings.onDeploy ? serveOnDeploy : serve)({
      fetch,
      port,
      host: settings.host,
      maxConnections: await boundedByFiles(settings.maxConnections),
      isProxy: (address) => isTrusted(address, settings.trustedProxies),
      clock,
      log,
    });
  } catch (error) {
    return refuseToStart(5, `It cannot listen on ${settings.host}:${port}: ${(error as Error).message}`);
  }
}
const listening = settings.roles.api
  ? await listen(settings.port, app)
  : settings.metricsPort === null
  ? null
  : await listen(settings.metricsPort, createMonitoringApp(options));

let stopping = false;
async function stop(signal: string): Promise<void> {
  if (stopping) return;
  stopping = true;
  log.info("Stopping: unfinished tasks go back to the queue.", { signal });
  // The process always exits when the grace period is over. Recovery does the rest.
  clock.after(settings.shutdownGraceMs, () => Deno.exit(1));
  await within(clock, 200, close());
  const served = listening?.stop();
  await queue.stop(settings.shutdownGraceMs);
  await handlers.close();
  await Promise.all([within(clock, 200, Promise.resolve(backups?.stop())), reports?.close(200)]);
  await within(clock, 200, Promise.resolve(served));
  kv.close();
  lock?.release();
  log.info("Stopped.");
  Deno.exit(0);
}
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  if (Deno.build.os === "windows" && signal === "SIGTERM") continue;
  Deno.addSignalListener(signal, () => void stop(signal));
}

// From here on, unhandled errors no longer end the process. Errors during the start do.
faults = new Faults(log, (error) => reports?.fault(error));
const host = settings.host.includes(":") ? `[${settings.host}]` : settings.host;
const address = listening && `http://${host}:${listening.port}`;
log.info(
  settings.roles.api
    ? `Millrace is ready at ${address}/`
    : address
    ? `Millrace is ready; it only works (ROLES=worker), and tells metrics at ${address}/metrics`
    : "Millrace is ready; it serves no address (ROLES=worker).",
  { instance: queue.instance },
);
