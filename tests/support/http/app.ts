/** The whole application on a store in memory and a port of its own. */

import { type Clock, systemClock } from "../../../queue/task/clock.ts";
import type { AnyTaskDefinition } from "../../../queue/define.ts";
import { createHandlers } from "../../../queue/handlers/mod.ts";
import { silent } from "../../../queue/log.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";
import { Queue } from "../../../queue/queue.ts";
import type { Task } from "../../../queue/task/summary.ts";
import { createApp } from "../../../routes/app.ts";
import type { AppOptions } from "../../../routes/env.ts";
import { serve, type ServeOptions } from "../../../routes/http/serve.ts";
import { turn } from "../fake_clock.ts";
import { heldType, noop } from "../queue.ts";
import { assertDescribed } from "./described.ts";

/** A served application. */
export interface Served {
  queue: Queue;
  kv: Deno.Kv;
  held: ReturnType<typeof heldType>;
  /** `http://127.0.0.1:<port>`. */
  origin: string;
  /** Calls the application over HTTP; the answer must be one that `/openapi.json` describes. */
  call(path: string, init?: RequestInit): Promise<Response>;
  /** Sends JSON. */
  send(method: string, path: string, body: unknown, headers?: HeadersInit): Promise<Response>;
  /** Submits a task and returns it. */
  submit(task_type: string, input_params?: unknown, more?: Record<string, unknown>): Promise<Task>;
}

/** What an application needs at least: nobody has a token. */
export function appOptions(queue: Queue, clock: Clock = systemClock): AppOptions {
  return {
    queue,
    clock,
    log: silent,
    tokens: [],
    maxUploadBytes: 10_000_000,
    maxUploadTotalBytes: 20_000_000,
    host: "127.0.0.1",
  };
}

/** Serves the application for one test. */
export async function withApp(
  options: Partial<AppOptions> & {
    definitions?: AnyTaskDefinition[];
    worker?: boolean;
    /** Of the server: times and connections. */
    limits?: Partial<ServeOptions>;
  },
  test: (served: Served) => Promise<void>,
): Promise<void> {
  const { limits } = options;
  const kv = await Deno.openKv(":memory:");
  const handlers = createHandlers(systemClock);
  const held = heldType();
  const definitions = options.definitions ?? [...handlers.definitions, held.definition, noop];
  const queue = new Queue({ kv, definitions, worker: options.worker });
  await queue.start();
  const { app, close } = createApp({ ...appOptions(queue), ...options });
  const server = await serve({
    fetch: (request, env) => app.fetch(request, env),
    port: 0,
    host: "127.0.0.1",
    clock: systemClock,
    log: silent,
    ...limits,
  });
  const origin = `http://127.0.0.1:${server.port}`;
  const call = async (path: string, init?: RequestInit) => {
    const answer = await fetch(origin + path, init);
    await assertDescribed(init?.method ?? "GET", path, answer);
    return answer;
  };
  const send = (method: string, path: string, body: unknown, headers: HeadersInit = {}) =>
    call(path, {
      method,
      body: JSON.stringify(body),
      headers: { "Content-Type": "application/json", ...Object.fromEntries(new Headers(headers)) },
    });
  const submit = async (task_type: string, input_params: unknown = {}, more: Record<string, unknown> = {}) => {
    const answer = await send("POST", "/api/tasks/submit", { task_type, input_params, ...more });
    if (answer.status !== 201) throw new Error(`${answer.status}: ${await answer.text()}`);
    return await answer.json() as Task;
  };
  try {
    await test({ queue, kv, held, origin, call, send, submit });
  } finally {
    await close();
    await queue.stop(2_000);
    await server.stop();
    await handlers.close();
    kv.close();
    await listeningEnds(kv);
    // The server's library looks twice, each time in a turn of its own, whether a body was left unread.
    for (let i = 0; i < 3; i++) await turn();
  }
}
