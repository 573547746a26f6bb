/**
 * Serves the application. `Deno.serve` has no time limits, no bound on connections or on the size of a fragmented
 * WebSocket message, and ends when the process runs out of files. So the service listens with `node:http`, which has
 * all but the last, and `ws`. On Deno Deploy, where a proxy does that in front, it is `Deno.serve`.
 *
 * @module
 */

import { createAdaptorServer } from "@hono/node-server";
import { type AddressInfo, connect } from "node:net";
import { type IncomingMessage, type Server, type ServerOptions, type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
// @ts-types="./ws.d.ts"
import { WebSocketServer } from "ws";
import { type Clock, delay, repeat, within } from "../../queue/task/clock.ts";
import type { Logger } from "../../queue/log.ts";
import type { Bindings, ServerSocket } from "../env.ts";

/** How the application is served. Times are milliseconds. */
export interface ServeOptions {
  fetch(request: Request, env: Bindings): Response | Promise<Response>;
  /** 0: any free port. */
  port: number;
  host: string;
  clock: Clock;
  log: Logger;
  /** Connections at once; more are closed at once. Default 2,000. */
  maxConnections?: number;
  /** Whether an address is a proxy's, for which many connections are no wonder. Default: none is. */
  isProxy?: (address: string) => boolean;
  /** A request's head must be there within this time. Default 10,000. */
  headMs?: number;
  /** A connection on which nothing moves for this long in the middle of a request is closed. Default 60,000. */
  stalledMs?: number;
  /** A connection without a request is kept for this long. Default 75,000. */
  idleMs?: number;
}

/** A service that listens. */
export interface Listening {
  port: number;
  /** Takes no more connections; resolves once all requests have been answered. */
  stop(): Promise<void>;
}

/** Bytes of a WebSocket message, in whatever fragments it comes. */
const MAX_MESSAGE_BYTES = 64 * 1024;
/** A WebSocket is pinged this often, and ended if the last ping was not answered. */
const PING_MS = 15_000;
/** A peer that does not answer a close is ended after this time; what it sends meanwhile is thrown away. */
const CLOSE_MS = 1_000;
/** Whether connections are still accepted is looked at this often. */
const PROBE_MS = 5_000;
/** How often, while it stops, connections without a request are closed. */
const SWEEP_MS = 20;
/** A request's body that comes more slowly than this is broken off. */
const LEAST_BYTES_PER_SECOND = 1_000;
/** Bytes of a request's head. */
const MAX_HEAD_BYTES = 32 * 1024;

const BAD_REQUEST = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/** Listens with `node:http`. */
export async function serve(options: ServeOptions): Promise<Listening> {
  const { host, clock, log, headMs = 10_000, stalledMs = 60_000, idleMs = 75_000 } = options;
  let answering = 0;
  const unanswered = new WeakMap<Duplex, ServerResponse>();
  const server = createAdaptorServer({
    fetch: (request, env) => {
      const { incoming, outgoing } = env as { incoming: IncomingMessage; outgoing: ServerResponse };
      answering++;
      unanswered.set(incoming.socket, outgoing);
      outgoing.once("close", () => {
        answering--;
        unanswered.delete(incoming.socket);
      });
      return options.fetch(request, {
        address: incoming.socket.remoteAddress ?? "",
        upgrade: null,
        isGone: () => incoming.destroyed && !incoming.complete,
      });
    },
    hostname: host,
    overrideGlobalObjects: false,
    serverOptions: {
      headersTimeout: headMs,
      // A large upload may take its time, as long as it moves.
      requestTimeout: 0,
      keepAliveTimeout: idleMs,
      connectionsCheckingInterval: Math.min(1_000, headMs / 2),
      maxHeaderSize: MAX_HEAD_BYTES,
      // Whoever asks for another protocol (curl for h2c), or for one elsewhere, is answered as always.
      shouldUpgradeCallback: ({ headers, url }: IncomingMessage) =>
        headers.upgrade?.toLowerCase() === "websocket" && /^\/ws\/?(\?|$)/.test(url ?? ""),
    } as ServerOptions,
  }) as Server;
  server.timeout = stalledMs;
  server.maxConnections = options.maxConnections ?? 2_000;
  server.on("timeout", (socket) => socket.destroy());
  server.on("clientError", (_error, socket) => {
    const outgoing = unanswered.get(socket);
    // What follows a whole request is no reason to leave that one without its answer.
    if (outgoing?.req.complete) outgoing.once("close", () => socket.end(BAD_REQUEST));
    else if (socket.writable) socket.end(BAD_REQUEST);
    else socket.destroy();
  });
  let accepted = 0;
  let open = 0;
  const byAddress = new Map<string, number>();
  const perAddress = Math.max(10, Math.ceil(server.maxConnections / 2));
  server.on("connection", (socket) => {
    accepted++;
    const address = socket.remoteAddress ?? "";
    const others = byAddress.get(address) ?? 0;
    // No single address takes all the room there is, unless it is a proxy's.
    if (others >= perAddress && !options.isProxy?.(address)) return void socket.destroy();
    byAddress.set(address, others + 1);
    open++;
    socket.once("close", () => {
      open--;
      const left = byAddress.get(address)! - 1;
      if (left > 0) byAddress.set(address, left);
      else byAddress.delete(address);
    });
    // When room becomes scarce, those who ask for nothing make some.
    if (open > 0.9 * server.maxConnections) server.closeIdleConnections();
  });
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    closeTimeout: CLOSE_MS,
  });
  server.on("upgrade", (incoming, socket, head) => {
    upgrade(options, sockets, incoming, socket, head).catch((error) => {
      log.error("A WebSocket handshake failed.", { error });
      socket.destroy();
    });
  });

  // A body may take its time, but not for ever: one byte a minute would hold a connection for good.
  const receiving = new Map<IncomingMessage, { at: number; bytes: number }>();
  server.on("request", (incoming: IncomingMessage) => {
    if (incoming.complete) return;
    receiving.set(incoming, { at: clock.monotonic(), bytes: incoming.socket.bytesRead });
    incoming.once("close", () => receiving.delete(incoming));
  });
  const watch = repeat(clock, stalledMs / 4, () => {
    const now = clock.monotonic();
    for (const [incoming, since] of receiving) {
      if (incoming.complete) receiving.delete(incoming);
      else if (now - since.at >= stalledMs) {
        const { bytesRead } = incoming.socket;
        if (bytesRead - since.bytes < LEAST_BYTES_PER_SECOND * (now - since.at) / 1000) incoming.socket.destroy();
        receiving.set(incoming, { at: now, bytes: bytesRead });
      }
    }
    return Promise.resolve();
  }, () => {});

  const listen = async (port: number) => {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, () => {
        server.off("error", reject);
        resolve();
      });
    });
    return (server.address() as AddressInfo).port;
  };
  const port = await listen(options.port);
  server.on("error", (error) => log.error("The server has a fault and goes on.", { error }));

  // Once accepting has failed because no file was left, node:http of Deno never accepts again, and tells nobody.
  let missed = 0;
  const probe = repeat(clock, PROBE_MS, async () => {
    const before = accepted;
    missed = server.listening && await isReached(clock, host, port, () => accepted > before) ? 0 : missed + 1;
    // One miss can be an event loop that was busy for a second.
    if (missed === 0 || server.listening && missed === 1) return;
    missed = 0;
    log.warn("The server had stopped accepting connections and listens anew.");
    if (server.listening) server.close();
    await listen(port);
  }, (error) => log.warn("The server could not reach itself; tried again.", { error }));

  return {
    port,
    async stop() {
      await Promise.all([probe.stop(), watch.stop()]);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // What is answered is closed at once, also a connection that has never asked for anything.
      const sweep = repeat(clock, SWEEP_MS, () => {
        if (answering === 0) server.closeAllConnections();
        else server.closeIdleConnections();
        return Promise.resolve();
      }, () => {});
      await closed;
      await sweep.stop();
    },
  };
}

/** Files that the process needs beside its connections: the store, workers, what it reads. */
const OTHER_FILES = 128;

/**
 * A bound on connections that leaves files for all else: each takes one, and without any left nothing works. Where the
 * limit of the process cannot be asked for, the bound is what was wanted.
 */
export async function boundedByFiles(wanted: number): Promise<number> {
  if (Deno.build.os === "windows") return wanted;
  if (Deno.permissions.querySync({ name: "run", command: "sh" }).state !== "granted") return wanted;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", "ulimit -n"], stderr: "null" }).output();
  const files = Number(new TextDecoder().decode(stdout).trim());
  return Number.isInteger(files) && files > 0 ? Math.max(10, Math.min(wanted, files - OTHER_FILES)) : wanted;
}

/** Listens with `Deno.serve`, as Deno Deploy wants it. */
export function serveOnDeploy({ fetch, port, host, log }: ServeOptions): Listening {
  const server = Deno.serve({ port, hostname: host, onListen: () => {} }, (request, { remoteAddr }) =>
    fetch(request, {
      address: "hostname" in remoteAddr ? remoteAddr.hostname : "",
      isGone: () => request.signal.aborted,
      upgrade(take, drop) {
        const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 2 * PING_MS / 1000 });
        socket.onclose = socket.onerror = drop;
        socket.onopen = () => take(socket);
        return response;
      },
    }));
  server.finished.catch((error) => log.error("The server has ended.", { error }));
  return { port: (server.addr as Deno.NetAddr).port, stop: () => server.shutdown() };
}

/** Connects to this server itself: whether it accepts, or refuses since it is full, within a second. */
async function isReached(clock: Clock, host: string, port: number, isAccepted: () => boolean): Promise<boolean> {
  const address = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  const socket = connect(port, address);
  let refused = false;
  socket.on("close", () => refused = true);
  try {
    // Where nobody accepts and the backlog is full, a connection is not even refused.
    const connected = new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    if (!await within(clock, 1_000, connected)) return false;
    socket.on("error", () => refused = true);
    for (let looks = 0; looks < 20 && !isAccepted() && !refused; looks++) await delay(clock, 50);
    return isAccepted() || refused;
  } catch (error) {
    if ((error as { code?: string }).code === "ECONNRESET") return true;
    throw error;
  } finally {
    socket.destroy();
  }
}

async function upgrade(
  { fetch, clock }: ServeOptions,
  sockets: WebSocketServer,
  incoming: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
): Promise<void> {
  socket.on("error", () => {});
  let take: ((socket: ServerSocket) => void) | null = null;
  let isOpen = false;
  const { method, headers } = incoming;
  const url = URL.parse(incoming.url ?? "/", `http://${headers.host ?? "localhost"}`);
  if (!url || method !== "GET") return void socket.end(BAD_REQUEST);
  const response = await fetch(
    new Request(url, {
      headers: Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]),
    }),
    {
      address: incoming.socket.remoteAddress ?? "",
      isGone: () => socket.destroyed,
      upgrade(taker, drop) {
        take = taker;
        // The handshake may be wrong after all, or its client gone.
        socket.once("close", () => isOpen || drop());
        if (socket.destroyed) drop();
        return new Response(null, { status: 204 });
      },
    },
  );
  if (!take) return await answer(socket, response);
  const taker: (socket: ServerSocket) => void = take;
  sockets.handleUpgrade(incoming, socket, head, (websocket) => {
    isOpen = true;
    let answered = true;
    const ping = repeat(clock, PING_MS, () => {
      if (!answered) websocket.terminate();
      answered = false;
      websocket.ping();
      return Promise.resolve();
    }, () => {});
    websocket.on("pong", () => answered = true);
    websocket.on("close", () => void ping.stop());
    taker(websocket as unknown as ServerSocket);
  });
}

/** Answers what has become no WebSocket. */
async function answer(socket: Duplex, response: Response): Promise<void> {
  const body = new Uint8Array(await response.arrayBuffer());
  const headers = [...response.headers, ["connection", "close"], ["content-length", String(body.length)]];
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const { status } = response;
  socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines}\r\n`);
  socket.end(body);
}
