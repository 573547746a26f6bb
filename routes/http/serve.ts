/**
 * Serves the application. `Deno.serve` has no timeouts, no limit on connections or on the size of a fragmented
 * WebSocket message, and ends when the process runs out of file descriptors. So the service uses
 * `node:http`, which solves all but the last, and `ws`. On Deno Deploy, where a proxy does this, it uses `Deno.serve`.
 *
 * @module
 */

import { createAdaptorServer } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { Buffer } from "node:buffer";
import { type AddressInfo, connect } from "node:net";
import { type IncomingMessage, type Server, type ServerOptions, type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
// @ts-types="./ws.d.ts"
import { WebSocketServer } from "ws";
import { type Clock, delay, repeat, within } from "../../queue/task/clock.ts";
import type { Logger } from "../../queue/log.ts";
import { MAX_CONNECTIONS } from "../limits/defaults.ts";
import { COMMON_HEADERS } from "./json.ts";
import { answerOf, Problem } from "./problem.ts";
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
  /** Whether an address belongs to a proxy, which may have many connections. Default: none does. */
  isProxy?: (address: string) => boolean;
  /** The headers of a request must arrive within this time. Default 10,000. */
  headMs?: number;
  /** A connection that stalls for this long in the middle of a request is closed. Default 60,000. */
  stalledMs?: number;
  /** A connection without a request is kept for this long. Default 75,000. */
  idleMs?: number;
}

/** A service that listens. */
export interface Listening {
  port: number;
  /** Stops accepting connections; resolves once all requests have been answered. */
  stop(): Promise<void>;
}

/** Maximum bytes of a WebSocket message, over all its fragments. */
const MAX_MESSAGE_BYTES = 64 * 1024;
/** A WebSocket is pinged this often, and ended if the last ping was not answered. */
const PING_MS = 15_000;
/** A peer that does not answer a close is disconnected after this time; what it sends until then is discarded. */
const CLOSE_MS = 1_000;
/** How often to check that connections are still accepted. */
const PROBE_MS = 5_000;
/** How often idle connections are closed while the server stops. */
const SWEEP_MS = 20;
/** A request whose body arrives more slowly than this is aborted. */
const LEAST_BYTES_PER_SECOND = 1_000;
/** Bytes of a request's head. */
const MAX_HEAD_BYTES = 32 * 1024;

const BAD_REQUEST = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/** Listens with `node:http`. */
export async function serve(options: ServeOptions): Promise<Listening> {
  const { host, clock, log, headMs = 10_000, stalledMs = 60_000, idleMs = 75_000 } = options;
  const unanswered = new Set<ServerResponse>();
  const server = createAdaptorServer({
    fetch: (request, env) => {
      const { incoming, outgoing } = env as { incoming: IncomingMessage; outgoing: ServerResponse };
      if (hostsOf(incoming) > 1) {
        const problem = new Problem(400, "bad_host", "A request has one Host header.", [], { Connection: "close" });
        const { body, headers } = answerOf(problem, new URL(request.url).pathname);
        return new Response(body, { status: 400, headers: { ...COMMON_HEADERS, ...headers } });
      }
      unanswered.add(outgoing);
      outgoing.once("close", () => unanswered.delete(outgoing));
      return options.fetch(request, {
        address: incoming.socket.remoteAddress ?? "",
        upgrade: null,
        isGone: () => incoming.destroyed && !incoming.complete,
        answer(status, headers, body) {
          outgoing.writeHead(status, { ...headers, "Content-Length": Buffer.byteLength(body) });
          outgoing.end(body);
          return RESPONSE_ALREADY_SENT;
        },
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
      // A request to upgrade to another protocol (curl: h2c), or at another path, is answered normally.
      shouldUpgradeCallback: ({ headers, url }: IncomingMessage) =>
        headers.upgrade?.toLowerCase() === "websocket" && /^[^?]*\/ws\/?(\?|$)/.test(url ?? ""),
    } as ServerOptions,
  }) as Server;
  // A timer for every request would cost a sixth of a small one; what stalls is found below.
  server.timeout = 0;
  server.maxConnections = options.maxConnections ?? MAX_CONNECTIONS;
  server.on("clientError", (_error, socket) => {
    const outgoing = [...unanswered].findLast(({ req }) => req.socket === socket);
    // Invalid data after a complete request must not prevent its response.
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
    // No single address may take all connections, unless it is a proxy.
    if (others >= perAddress && !options.isProxy?.(address)) return void socket.destroy();
    byAddress.set(address, others + 1);
    open++;
    socket.once("close", () => {
      open--;
      const left = byAddress.get(address)! - 1;
      if (left > 0) byAddress.set(address, left);
      else byAddress.delete(address);
    });
    // When connections run short, idle ones are closed.
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

  // A body may be slow, but not endlessly: one byte a minute would hold a connection forever.
  const receiving = new Map<IncomingMessage, { at: number; bytes: number }>();
  server.on("request", (incoming: IncomingMessage) => {
    if (incoming.complete) return;
    receiving.set(incoming, { at: clock.monotonic(), bytes: incoming.socket.bytesRead });
    incoming.once("close", () => receiving.delete(incoming));
  });
  const sending = new Map<ServerResponse, { at: number; bytes: number }>();
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
    for (const outgoing of sending.keys()) if (!unanswered.has(outgoing)) sending.delete(outgoing);
    for (const outgoing of unanswered) {
      // What the client has not taken from the socket yet; a handler may be as slow as it likes.
      const { socket } = outgoing.req;
      const bytes = socket.bytesWritten - socket.writableLength;
      const since = sending.get(outgoing);
      if (socket.writableLength === 0) sending.delete(outgoing);
      else if (since?.bytes !== bytes) sending.set(outgoing, { at: now, bytes });
      else if (now - since.at >= stalledMs) socket.destroy();
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
  server.on("error", (error) => log.error("Server error; the server keeps running.", { error }));

  // Once accepting has failed for lack of file descriptors, Deno's node:http silently never accepts again.
  let missed = 0;
  const probe = repeat(clock, PROBE_MS, async () => {
    const before = accepted;
    missed = server.listening && await isReached(clock, host, port, () => accepted > before) ? 0 : missed + 1;
    // A single miss can mean that the event loop was busy for a second.
    if (missed === 0 || server.listening && missed === 1) return;
    missed = 0;
    log.warn("The server had stopped accepting connections and is listening again.");
    if (server.listening) server.close();
    await listen(port);
  }, (error) => log.warn("The server could not reach itself; will retry.", { error }));

  return {
    port,
    async stop() {
      await Promise.all([probe.stop(), watch.stop()]);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // Close connections as soon as they are idle, including those that never sent a request.
      const sweep = repeat(clock, SWEEP_MS, () => {
        if (unanswered.size === 0) server.closeAllConnections();
        else server.closeIdleConnections();
        return Promise.resolve();
      }, () => {});
      await closed;
      await sweep.stop();
    },
  };
}

/** How many Host headers a request has: exactly one (RFC 9112, 3.2); `node:http` refuses requests without one. */
function hostsOf({ rawHeaders }: IncomingMessage): number {
  return rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === "host").length;
}

/** File descriptors needed besides connections: for the store, workers and files it reads. */
const OTHER_FILES = 128;

/**
 * Limits connections so that file descriptors remain for everything else: each connection takes one, and nothing works
 * without any. If the limit of the process cannot be read, returns the wanted number.
 */
export async function boundedByFiles(wanted: number): Promise<number> {
  if (Deno.build.os === "windows") return wanted;
  if (Deno.permissions.querySync({ name: "run", command: "sh" }).state !== "granted") return wanted;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", "ulimit -n"], stderr: "null" }).output();
  const files = Number(new TextDecoder().decode(stdout).trim());
  return Number.isInteger(files) && files > 0 ? Math.max(10, Math.min(wanted, files - OTHER_FILES)) : wanted;
}

/** Listens with `Deno.serve`, as Deno Deploy requires. */
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

/** Connects to this server: whether it accepts, or refuses because it is full, within a second. */
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
  const url = URL.parse(incoming.url ?? "/", `http://${headers.host}`);
  if (!url || method !== "GET" || hostsOf(incoming) !== 1) return void socket.end(BAD_REQUEST);
  const response = await fetch(
    new Request(url, {
      headers: Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]),
    }),
    {
      address: incoming.socket.remoteAddress ?? "",
      isGone: () => socket.destroyed,
      upgrade(onOpen, drop) {
        take = onOpen;
        // The handshake may still be invalid, or the client gone.
        socket.once("close", () => isOpen || drop());
        if (socket.destroyed) drop();
        return new Response(null, { status: 204 });
      },
    },
  );
  if (!take) return await answer(socket, response);
  const onOpen: (socket: ServerSocket) => void = take;
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
    onOpen(websocket as unknown as ServerSocket);
  });
}

/** Sends the response if the upgrade did not lead to a WebSocket. */
async function answer(socket: Duplex, response: Response): Promise<void> {
  const body = new Uint8Array(await response.arrayBuffer());
  const headers = [...response.headers, ["connection", "close"], ["content-length", String(body.length)]];
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const { status } = response;
  socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines}\r\n`);
  socket.end(body);
}
