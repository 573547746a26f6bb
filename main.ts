/**
 * The composition root: reads the settings, opens the store, builds the queue and the application, serves, stops.
 *
 * @module
 */

import { systemClock, within } from "./queue/clock.ts";
import { createHandlers } from "./queue/handlers/mod.ts";
import { createLogger } from "./queue/log.ts";
import { prepareStore, StoreFileError } from "./queue/store/file.ts";
import { lockStore, OwnedError } from "./queue/store/owner_lock.ts";
import { Queue } from "./queue/queue.ts";
import { isTrusted } from "./routes/address.ts";
import { createApp } from "./routes/app.ts";
import { Faults } from "./routes/faults.ts";
import { boundedByFiles, serve, serveOnDeploy } from "./routes/serve.ts";
import { readSettings, SettingError, type Settings } from "./routes/settings.ts";

let settings: Settings;
try {
  settings = readSettings((name) => Deno.env.get(name));
} catch (error) {
  if (!(error instanceof SettingError)) throw error;
  console.error(`Millrace did not start. ${error.message}`);
  Deno.exit(2);
}
const { kvPath } = settings;
const clock = systemClock;
const log = createLogger(settings.logLevel, settings.logFormat, () => clock.now(), (line) => console.log(line));

const faults = new Faults(log);

const distributed = kvPath === undefined || /^https?:/.test(kvPath);
let lock: { release(): void } | undefined;
if (kvPath !== undefined && !distributed && kvPath !== ":memory:") {
  try {
    await prepareStore(kvPath);
    lock = await lockStore(kvPath);
  } catch (error) {
    if (!(error instanceof OwnedError || error instanceof StoreFileError)) throw error;
    console.error(`Millrace did not start. ${error.message}`);
    Deno.exit(error instanceof OwnedError ? 3 : 4);
  }
}

const kv = await Deno.openKv(kvPath).catch((error: Error) => {
  console.error(`Millrace did not start. The store could not be opened: ${error.message}`);
  Deno.exit(4);
});
const handlers = createHandlers(clock, settings);
for (const [name, types] of [["CONCURRENCY", settings.concurrency], ["RATE_LIMIT", settings.rates]] as const) {
  const known: string[] = handlers.definitions.map(({ type }) => type);
  const unknown = Object.keys(types).find((type) => !known.includes(type));
  if (unknown === undefined) continue;
  console.error(`Millrace did not start. ${name}: "${unknown}" is none of the task types ${known.join(", ")}.`);
  Deno.exit(2);
}
const queue = new Queue({
  kv,
  clock,
  log,
  distributed,
  definitions: handlers.definitions,
  worker: settings.roles.worker,
  concurrency: settings.concurrency,
  leaseMs: settings.leaseMs,
  retention: settings.retention,
  rates: settings.rates,
});
await queue.start();

const storePath = lock ? kvPath : undefined;
const { app, close } = createApp({ ...settings, queue, clock, log, storePath, faults: () => faults.count });
const listening = settings.roles.api
  ? await (settings.onDeploy ? serveOnDeploy : serve)({
    fetch: (request, env) => app.fetch(request, env),
    port: settings.port,
    host: settings.host,
    maxConnections: await boundedByFiles(settings.maxConnections),
    isProxy: (address) => isTrusted(address, settings.trustedProxies),
    clock,
    log,
  })
  : null;
if (listening) {
  const host = settings.host.includes(":") ? `[${settings.host}]` : settings.host;
  log.info(`Millrace is ready at http://${host}:${listening.port}/`, { instance: queue.instance });
}

let stopping = false;
async function stop(signal: string): Promise<void> {
  if (stopping) return;
  stopping = true;
  log.info("Stopping: unfinished tasks go back to the queue.", { signal });
  // Whatever happens, the process is gone when its grace is over; recovery does the rest.
  clock.after(settings.shutdownGraceMs, () => Deno.exit(1));
  await within(clock, 200, close());
  const served = listening?.stop();
  await queue.stop(settings.shutdownGraceMs);
  await handlers.close();
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
