/**
 * The composition root: reads the settings, opens the store, builds the queue and the application, serves, stops.
 *
 * @module
 */

import { systemClock, within } from "./queue/clock.ts";
import { createHandlers } from "./queue/handlers/mod.ts";
import { createLogger } from "./queue/log.ts";
import { lockStore, OwnedError } from "./queue/store/owner_lock.ts";
import { Queue } from "./queue/queue.ts";
import { createApp } from "./routes/app.ts";
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

const distributed = kvPath === undefined || /^https?:/.test(kvPath);
let lock: { release(): void } | undefined;
if (kvPath !== undefined && !distributed && kvPath !== ":memory:") {
  await Deno.mkdir(kvPath.replace(/[^/\\]+$/, "") || ".", { recursive: true });
  try {
    lock = await lockStore(kvPath);
  } catch (error) {
    if (!(error instanceof OwnedError)) throw error;
    console.error(`Millrace did not start. ${error.message}`);
    Deno.exit(3);
  }
}

const kv = await Deno.openKv(kvPath);
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

const { app, close } = createApp({ ...settings, queue, clock, log });
const server = settings.roles.api
  ? Deno.serve({
    port: settings.port,
    hostname: settings.host,
    onListen: ({ hostname, port }) => {
      const host = hostname.includes(":") ? `[${hostname}]` : hostname;
      log.info(`Millrace is ready at http://${host}:${port}/`, { instance: queue.instance });
    },
  }, app.fetch)
  : null;

let stopping = false;
async function stop(signal: string): Promise<void> {
  if (stopping) return;
  stopping = true;
  log.info("Stopping: unfinished tasks go back to the queue.", { signal });
  // Whatever happens, the process is gone when its grace is over; recovery does the rest.
  clock.after(settings.shutdownGraceMs, () => Deno.exit(1));
  close();
  const served = server?.shutdown();
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
