/** Reads of the store that fail at random, under load; and workers that are killed from outside. */

import { systemClock } from "../../queue/task/clock.ts";
import { Random } from "../../queue/handlers/random.ts";
import { Queue } from "../../queue/queue.ts";
import { checkStore } from "../../queue/tools/check.ts";
import { isTerminal, statusOf, versionOf } from "../../queue/task/record.ts";
import { createApp } from "../../routes/app.ts";
import { serve } from "../../routes/http/serve.ts";
import { appOptions } from "../support/http/app.ts";
import { assertEquals, assertMatch, ok } from "../support/assert.ts";
import { withDirectory } from "../support/directory.ts";
import { failingReads } from "../support/kv/reads_kv.ts";
import { noop } from "../support/queue.ts";
import { startServer } from "../support/http/server.ts";
import { LONG, pause, SEED } from "./harness.ts";

/** Requests of the short form; the long one goes on for ten minutes. */
const REQUESTS = 1_500;
const LONG_MS = 600_000;

/** Follows all tasks, and comes back with the last token when its socket is closed, as the page does. */
class Watcher {
  /** What it was told last of each task. */
  readonly told = new Map<string, { version: number; status: string }>();
  readonly #origin: string;
  #socket!: WebSocket;
  #since: string | undefined;
  #current: (() => void) | null = null;
  #ended = false;

  constructor(origin: string) {
    this.#origin = origin.replace("http", "ws");
    this.#connect();
  }

  #connect(): void {
    const socket = this.#socket = new WebSocket(`${this.#origin}/ws`);
    const send = (frame: unknown) => socket.send(JSON.stringify(frame));
    socket.onopen = () => {
      send({ type: "subscribe", sub: "a", since: this.#since });
      send({ type: "subscribe", sub: "n", stats: true });
      if (this.#current) send({ type: "ping" });
    };
    socket.onmessage = ({ data }) => {
      const { type, sub, since, tasks = [] } = JSON.parse(data);
      if (type === "resync") this.told.clear();
      for (const task of tasks) this.told.set(task.id, task);
      if (sub === "a" && since) this.#since = since;
      if (type === "pong") this.#current?.();
    };
    socket.onclose = () => this.#ended || this.#connect();
  }

  /** Waits for all that there is to tell, and closes. */
  async end(): Promise<void> {
    // A pong comes after all of it.
    await new Promise<void>((resolve) => {
      this.#current = resolve;
      if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type: "ping" }));
    });
    this.#ended = true;
    const closed = new Promise((resolve) => this.#socket.onclose = resolve);
    this.#socket.close();
    await closed;
  }
}

Deno.test(`reads that fail at random end nothing, and no client is told a lie (seed ${SEED})`, async () => {
  const random = new Random(SEED);
  let share = 0;
  const real = await Deno.openKv(":memory:");
  const kv = failingReads(real, () => random.next() < share);
  const queue = new Queue({ kv, definitions: [noop] });
  await queue.start();
  const options = appOptions(queue);
  const { app, close } = createApp(options);
  const server = await serve({ ...options, fetch: (request, env) => app.fetch(request, env), port: 0 });
  const origin = `http://127.0.0.1:${server.port}`;
  const watchers = Array.from({ length: 3 }, () => new Watcher(origin));
  const accepted = new Map<string, Record<string, unknown>>();
  const cancelled = new Set<string>();
  const call = async (method: string, path: string, body?: unknown) => {
    const answer = await fetch(origin + path, {
      method,
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body ? JSON.stringify(body) : undefined,
    });
    return { status: answer.status, body: await answer.json() };
  };
  share = 0.03;
  let sent = 0;
  let refused = 0;
  const started = systemClock.monotonic();
  const goesOn = () => LONG ? systemClock.monotonic() - started < LONG_MS : sent < REQUESTS;
  const client = async () => {
    while (goesOn()) {
      sent++;
      const dice = random.next();
      const ids = [...accepted.keys()];
      const id = ids[Math.floor(random.next() * ids.length)];
      if (dice < 0.5 || !id) {
        const delay = random.next() < 0.3 ? 0.05 : undefined;
        const { status, body } = await call("POST", "/api/tasks/submit", {
          task_type: "noop",
          delay,
          tags: [`t${sent}`],
        });
        if (status === 201) accepted.set(body.id, body);
        else refused++;
        ok(status === 201 || status >= 500, `${status} ${JSON.stringify(body)}`);
      } else if (dice < 0.7) {
        const { status, body } = await call("GET", `/api/tasks/${id}`);
        // A task that was accepted is never said not to be there.
        ok(status === 200 || status >= 500, `${status} ${JSON.stringify(body)}`);
        if (status === 200) assertEquals([body.id, body.tags], [id, accepted.get(id)!.tags]);
      } else if (dice < 0.8) {
        const { status } = await call("DELETE", `/api/tasks/${id}`);
        if (status === 200) cancelled.add(id);
        ok([200, 202, 409].includes(status) || status >= 500, String(status));
      } else if (dice < 0.9) {
        const { status, body } = await call("GET", "/api/tasks/?limit=20");
        ok(status === 200 || status >= 500);
        if (status === 200) ok(body.tasks.length === Math.min(20, body.total), `${body.tasks.length} of ${body.total}`);
      } else {
        const { status } = await call("GET", dice < 0.95 ? "/api/stats" : "/");
        ok(status === 200 || status >= 500);
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, async () => {
    // The page is no JSON; whoever asks for it goes on all the same.
    while (goesOn()) await client().catch((error) => ok(error instanceof SyntaxError, String(error)));
  }));
  share = 0;
  while ((await queue.counts()).noop?.PENDING || (await queue.counts()).noop?.RUNNING) await pause(20);
  for (const id of accepted.keys()) {
    const state = await queue.get(id);
    ok(isTerminal(statusOf(state)), `${id} has not ended`);
    if (cancelled.has(id)) assertEquals(state.task.status, "CANCELLED");
  }
  for (const watcher of watchers) {
    await watcher.end();
    ok(watcher.told.size >= 100, `${watcher.told.size} tasks were told`);
    for (const [id, { version, status }] of watcher.told) {
      const state = await queue.get(id);
      assertEquals([id, version, status], [id, versionOf(state), statusOf(state)]);
    }
  }
  await close();
  await queue.stop();
  await server.stop();
  const { problems } = await checkStore(real, Date.now());
  assertEquals(problems.map(({ key, detail }) => `${JSON.stringify(key)} ${detail}`), []);
  console.log(`seed ${SEED}: ${sent} requests, ${refused} submits refused, ${accepted.size} tasks`);
  real.close();
});

Deno.test({
  name: "worker processes that are killed from outside cost their images and nothing else",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await withDirectory(async (directory) => {
      const server = await startServer({ KV_PATH: `${directory}/store.db` });
      const submit = async () => {
        const answer = await fetch(`${server.origin}/api/tasks/submit`, {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ task_type: "image_processing", input_params: { num_images: 6 } }),
        });
        return (await answer.json()).id as string;
      };
      const ids = await Promise.all([submit(), submit(), submit()]);
      const children = async () => {
        const { stdout } = await new Deno.Command("pgrep", { args: ["-P", String(server.process.pid)] }).output();
        return new TextDecoder().decode(stdout).trim().split("\n").filter(Boolean).map(Number);
      };
      for (let blows = 0; blows < 6; blows++) {
        let pids = await children();
        for (let tries = 0; pids.length === 0 && tries < 100; tries++) {
          await pause(10);
          pids = await children();
        }
        for (const pid of pids) {
          try {
            Deno.kill(pid, "SIGKILL");
          } catch (error) {
            // It has ended in the meantime.
            if (!(error instanceof Deno.errors.NotFound)) throw error;
          }
        }
        await pause(30);
      }
      for (const id of ids) {
        const events = await fetch(`${server.origin}/api/tasks/${id}/events`, {
          headers: { Accept: "text/event-stream" },
        });
        await events.text();
        const { status, result, error } = await (await fetch(`${server.origin}/api/tasks/${id}`)).json();
        if (status === "FAILED") {
          assertMatch(error.message, /^None of the 6 images could be processed\. drawn-01\.png: The worker ended/);
          continue;
        }
        assertEquals([status, result.images.length], ["SUCCESS", 6]);
        for (const image of result.images) ok(image.ok || /worker ended/i.test(image.error), JSON.stringify(image));
      }
      const health = await (await fetch(`${server.origin}/api/health`)).json();
      assertEquals([health.status, health.faults], ["healthy", 0]);
      assertEquals((await server.end("SIGTERM")).code, 0);
    });
  },
});
