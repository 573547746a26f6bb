/** Two instances that serve and two that work, on one KV Connect: what holds for one holds over all. */

import { assertEquals, ok } from "../support/assert.ts";
import { type Server, startServer } from "../support/http/server.ts";
import { DENOKV, STORES } from "../support/kv/stores.ts";
import type { Task } from "../../queue/task/summary.ts";

const JSON_HEADERS = { "Content-Type": "application/json" };

/** Passes connections on to servers that live, in turn. */
class Balancer {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.TcpConn>();
  #turn = 0;

  constructor(public servers: Server[]) {
    void this.#accept();
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#listener.addr as Deno.NetAddr).port}`;
  }

  close(): void {
    this.#listener.close();
    for (const connection of this.#open) connection.close();
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) {
      const { port } = new URL(this.servers[this.#turn++ % this.servers.length].origin);
      const connecting = Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
      connecting.catch(() => client.close());
      void connecting.then((server) => {
        for (const [from, to] of [[client, server], [server, client]]) {
          this.#open.add(from);
          from.readable.pipeTo(to.writable).catch(() => {}).finally(() => this.#open.delete(from));
        }
      }, () => {});
    }
  }
}

Deno.test({
  name:
    "pages, streams, cancels, pauses, unique keys and rolling restarts hold over instances that serve and that work",
  ignore: !DENOKV,
  async fn() {
    const store = await STORES["over KV Connect"]!();
    const env = { KV_PATH: store.path, DENO_KV_ACCESS_TOKEN: Deno.env.get("DENO_KV_ACCESS_TOKEN")! };
    const start = (ROLES: string) => startServer({ ...env, ROLES });
    let servers = await Promise.all(["api", "api", "worker", "worker"].map(start));
    const call = async (server: Server, method: string, path: string, body?: unknown) => {
      const sent = body === undefined ? undefined : JSON.stringify(body);
      const answer = await fetch(server.origin + path, { method, body: sent, headers: sent ? JSON_HEADERS : {} });
      return { status: answer.status, body: await answer.json() };
    };
    const submit = async (server: Server, more: Record<string, unknown> = {}) => {
      const input_params = { num_rows: 100, processing_time: 5 };
      const { body } = await call(server, "POST", "/api/tasks/submit", {
        task_type: "csv_processing",
        input_params,
        ...more,
      });
      return body as Task;
    };
    try {
      const [a, b] = servers;
      // What is submitted to one is seen by the stream of the other, from its start to its end.
      const socket = new WebSocket(`${b.origin.replace("http", "ws")}/ws`);
      const seen: string[] = [];
      const ended = Promise.withResolvers<void>();
      let watched = "";
      await new Promise((resolve) => socket.onopen = resolve);
      socket.send(JSON.stringify({ type: "subscribe", sub: "all" }));
      socket.onmessage = ({ data }) => {
        for (const task of JSON.parse(data).tasks ?? []) {
          if (task.id === watched) seen.push(task.status);
          if (seen.at(-1) === "SUCCESS") ended.resolve();
        }
      };
      watched = (await submit(a)).id;

      // A running task is cancelled by whichever is asked, before it answers.
      const long = await submit(a, { input_params: { num_rows: 100, processing_time: 60 } });
      while ((await call(b, "GET", `/api/tasks/${long.id}`)).body.status !== "RUNNING");
      const cancelled = await call(b, "DELETE", `/api/tasks/${long.id}`);
      assertEquals([cancelled.status, cancelled.body.status], [200, "CANCELLED"]);

      // One unique key makes one task, wherever it is submitted.
      const unique = { key: "only", states: ["PENDING", "RUNNING", "SUCCESS"] };
      const both = await Promise.all([a, b, a, b].map((server) => submit(server, { unique })));
      assertEquals(new Set(both.map(({ id }) => id)).size, 1);

      // A pause by one holds for what the other is given.
      await call(a, "POST", "/api/task-types/webhook_delivery/pause", {});
      const paused = await call(b, "POST", "/api/tasks/submit", {
        task_type: "webhook_delivery",
        input_params: { url: "http://127.0.0.1:1/" },
      });
      await ended.promise;
      ok(seen.includes("RUNNING"), seen.join());
      socket.close();
      assertEquals((await call(b, "GET", `/api/tasks/${paused.body.id}`)).body.status, "PENDING");
      await call(b, "POST", "/api/task-types/webhook_delivery/resume", {});
      while ((await call(a, "GET", `/api/tasks/${paused.body.id}`)).body.status === "PENDING");

      // A restart of each in turn: a client that repeats a call after a 503 or a broken connection meets no error, and loses nothing.
      const balancer = new Balancer([a, b]);
      let restarting = true;
      const ids = new Set<string>();
      const patient = async (path: string, init?: RequestInit): Promise<Task> => {
        while (true) {
          const answer = await fetch(balancer.origin + path, init).catch((error) => {
            // The server closed the connection while the request was on its way.
            if (error instanceof TypeError) return null;
            throw error;
          });
          if (!answer) continue;
          const body = await answer.json();
          if (answer.ok) return body;
          if (answer.status !== 503) throw new Error(`${answer.status}: ${JSON.stringify(body)}`);
        }
      };
      const client = async (name: number) => {
        for (let i = 0; restarting; i++) {
          const { id } = await patient("/api/tasks/submit", {
            method: "POST",
            headers: { ...JSON_HEADERS, "Idempotency-Key": `${name}-${i}` },
            body: JSON.stringify({ task_type: "image_processing", input_params: { num_images: 1 } }),
          });
          ids.add(id);
          while (restarting && (await patient(`/api/tasks/${id}`)).status !== "SUCCESS");
        }
      };
      const clients = Promise.all([0, 1, 2, 3].map(client));
      for (let i = 0; i < servers.length; i++) {
        const next = await start(i < 2 ? "api" : "worker");
        const old = servers[i];
        servers = servers.with(i, next);
        balancer.servers = servers.slice(0, 2);
        assertEquals((await old.end("SIGTERM")).code, 0, old.output());
      }
      restarting = false;
      await clients;
      balancer.close();
      while (true) {
        const { by_status, by_type } = (await call(servers[0], "GET", "/api/stats")).body;
        if (by_status.PENDING + by_status.RUNNING > 0) continue;
        assertEquals(by_type.image_processing.SUCCESS, ids.size);
        break;
      }
      ok(ids.size > 0);
    } finally {
      for (const server of servers) await server.end("SIGTERM").catch(() => {});
      await store.close();
    }
  },
});
