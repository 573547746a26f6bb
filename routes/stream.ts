/**
 * `GET /ws`: the stream of changes over a WebSocket. One socket carries many subscriptions, each with a name and a
 * filter; a client that was away comes back with `since`.
 *
 * A client that reads slowly is never buffered for: its changes are kept by task, newest state only, until the socket
 * has room again; past a bound it is told to start over, and in the end it is closed.
 *
 * @module
 */

import { Hono } from "hono";
import * as z from "zod";
import type { Clock } from "../queue/clock.ts";
import type { Logger } from "../queue/log.ts";
import type { Queue } from "../queue/queue.ts";
import type { Batch, TaskChange } from "../queue/stream.ts";
import { type Retention, STATUSES, statusOf, summaryOf, type TaskState, versionOf } from "../queue/task.ts";
import type { AppEnv, AppOptions } from "./env.ts";
import { TaskFollower } from "./follow.ts";
import { Problem } from "./problem.ts";
import type { StatsFeed } from "./stats.ts";

/** What a client may send. */
const frameSchema = z.union([
  z.strictObject({
    type: z.literal("subscribe"),
    sub: z.string().min(1).max(64),
    id: z.string().max(26).optional(),
    task_types: z.array(z.string().max(64)).max(50).optional(),
    statuses: z.array(z.enum(STATUSES)).max(5).optional(),
    since: z.string().max(64).optional(),
  }),
  z.strictObject({ type: z.literal("subscribe"), sub: z.string().min(1).max(64), stats: z.literal(true) }),
  z.strictObject({ type: z.literal("unsubscribe"), sub: z.string().min(1).max(64) }),
  z.strictObject({ type: z.literal("ping") }),
]);

type Subscribe = Exclude<Extract<z.output<typeof frameSchema>, { type: "subscribe" }>, { stats: true }>;

const HEARTBEAT_MS = 10_000;
/** Characters of a frame that a client may send. */
const MAX_FRAME = 16 * 1024;
/** Subscriptions of one socket. */
const MAX_SUBSCRIPTIONS = 32;
/** Bytes that may wait in a socket's own buffer; above that nothing is added. */
const MAX_BUFFERED = 256 * 1024;
/** Tasks in a frame. */
const FRAME_TASKS = 200;
/** Tasks that may wait for a slow client; above that it starts over. */
const MAX_PENDING = 2_000;
/** A client that had no room for this long is closed. */
const MAX_SLOW_MS = 30_000;
/** How soon a full socket is tried again. */
const RETRY_MS = 250;
/** Tasks of a snapshot. */
const SNAPSHOT = 100;
/** Sockets at once. */
const MAX_SOCKETS = 1_000;

interface Subscription {
  frame: Subscribe;
  follower: TaskFollower | null;
  /** Up to here the client knows everything. */
  since: string;
  /** Up to here `pending` holds everything. */
  heard: string;
  pending: Map<string, TaskChange>;
  /** More has happened than is kept: the client starts over. */
  stale: boolean;
  /** Whether the client has its beginning, so that changes may follow. */
  ready: boolean;
  /** Whether events wait to be told. */
  eventful: boolean;
}

/** Serialized summaries, shared by all who are sent the same state. */
const serialized = new WeakMap<TaskState, string>();

function taskJson(change: TaskChange, matches: boolean, retention: Retention): string {
  if (!change.state) {
    return JSON.stringify({ id: change.id, version: change.version, deleted: true, matches: false });
  }
  let json = serialized.get(change.state);
  if (json === undefined) {
    json = JSON.stringify(summaryOf(change.state, retention)).slice(0, -1);
    serialized.set(change.state, json);
  }
  return `${json},"matches":${matches}}`;
}

function fits(frame: Subscribe, state: TaskState): boolean {
  if (frame.id !== undefined && frame.id !== state.task.id) return false;
  if (frame.task_types && !frame.task_types.includes(state.task.task_type)) return false;
  return !frame.statuses || frame.statuses.includes(statusOf(state));
}

/** Whether the change can have been seen under this filter before it happened. */
function concerned(frame: Subscribe, change: TaskChange): boolean {
  if (frame.id !== undefined && frame.id !== change.id) return false;
  if (frame.task_types && !frame.task_types.includes(change.task_type)) return false;
  return !frame.statuses || !change.state || change.left.some((status) => frame.statuses!.includes(status));
}

/** One socket. */
class Connection {
  readonly #subscriptions = new Map<string, Subscription>();
  /** What ends each subscription of the numbers. */
  readonly #stats = new Map<string, () => void>();
  #work: Promise<void> = Promise.resolve();
  #unsubscribe: (() => void) | null = null;
  #cancelBeat: () => void = () => {};
  #cancelRetry: (() => void) | null = null;
  #cancelSession: () => void = () => {};
  #slowSince: number | null = null;
  #closed = false;

  constructor(
    private readonly socket: WebSocket,
    private readonly queue: Queue,
    private readonly stats: StatsFeed,
    private readonly clock: Clock,
    private readonly log: Logger,
    /** When the caller's sign-in ends; undefined: never. */
    private readonly expiresAt: number | undefined,
    private readonly onClosed: () => void,
  ) {
    socket.onopen = () => this.#then(() => this.#open());
    socket.onmessage = ({ data }) => this.#then(() => this.#receive(data));
    socket.onclose = () => this.close();
    socket.onerror = () => this.close();
  }

  /** Ends it; may be called any number of times. The peer need not answer. */
  close(code?: number, reason?: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unsubscribe?.();
    this.#cancelBeat();
    this.#cancelSession();
    this.#cancelRetry?.();
    this.#subscriptions.clear();
    for (const unfollow of this.#stats.values()) unfollow();
    if (this.socket.readyState <= WebSocket.OPEN) this.socket.close(code ?? 1000, reason);
    this.onClosed();
  }

  /** Does one thing after the other. */
  #then(step: () => Promise<void>): void {
    this.#work = this.#work.then(async () => {
      if (!this.#closed) await step();
    }).catch((error) => {
      this.log.warn("A socket failed.", { error });
      this.close(1011, "internal error");
    });
  }

  #send(json: string): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(json);
  }

  async #open(): Promise<void> {
    this.#send(JSON.stringify({ type: "hello", instance: this.queue.instance, server_time: this.#time() }));
    this.#beat();
    if (this.expiresAt !== undefined) {
      const left = this.expiresAt - this.clock.now();
      this.#cancelSession = this.clock.after(left, () => this.close(4401, "signed out"));
    }
    this.#unsubscribe = await this.queue.stream.subscribe((batch) => this.#hear(batch));
    if (this.#closed) this.#unsubscribe();
  }

  #time(): string {
    return new Date(this.clock.now()).toISOString();
  }

  #beat(): void {
    this.#cancelBeat = this.clock.after(HEARTBEAT_MS, () => {
      if (this.socket.bufferedAmount < MAX_BUFFERED) {
        this.#send(JSON.stringify({ type: "heartbeat", server_time: this.#time() }));
      }
      this.#beat();
    });
  }

  #refuse(detail: string): void {
    this.#send(JSON.stringify({ type: "error", detail }));
    this.close(1008, "bad frame");
  }

  async #receive(data: unknown): Promise<void> {
    // A client that asks and asks and never reads.
    if (this.socket.bufferedAmount > MAX_BUFFERED) return this.close(1013, "too slow");
    if (typeof data !== "string") return this.#refuse("Frames are JSON text.");
    if (data.length > MAX_FRAME) return this.close(1009, `a frame has at most ${MAX_FRAME} characters`);
    let value: unknown;
    try {
      value = JSON.parse(data);
    } catch {
      return this.#refuse("The frame is not JSON.");
    }
    const parsed = frameSchema.safeParse(value);
    if (!parsed.success) return this.#refuse(z.prettifyError(parsed.error));
    const frame = parsed.data;
    if (frame.type === "ping") return this.#send(JSON.stringify({ type: "pong", server_time: this.#time() }));
    // The same name again replaces what it stood for.
    this.#stats.get(frame.sub)?.();
    this.#stats.delete(frame.sub);
    if (frame.type === "unsubscribe") return void this.#subscriptions.delete(frame.sub);
    if (!this.#subscriptions.has(frame.sub) && this.#subscriptions.size + this.#stats.size >= MAX_SUBSCRIPTIONS) {
      return this.#refuse(`A socket has at most ${MAX_SUBSCRIPTIONS} subscriptions.`);
    }
    if ("stats" in frame) return this.#followStats(frame.sub);
    await this.#subscribe(frame);
  }

  async #subscribe(frame: Subscribe): Promise<void> {
    const head = await this.queue.stream.head();
    const subscription: Subscription = {
      frame,
      follower: frame.id === undefined ? null : new TaskFollower(this.queue, frame.id),
      since: head,
      heard: head,
      pending: new Map(),
      stale: false,
      ready: false,
      eventful: frame.id !== undefined,
    };
    this.#subscriptions.set(frame.sub, subscription);
    const replay = frame.since === undefined ? null : await this.queue.stream.replay(frame.since);
    if (replay) {
      subscription.since = frame.since!;
      this.#take(subscription, replay);
      subscription.ready = true;
      return this.#flush();
    }
    if (frame.since !== undefined) this.#send(JSON.stringify({ type: "resync", sub: frame.sub }));
    await this.#snapshot(subscription);
  }

  #followStats(sub: string): void {
    this.#subscriptions.delete(sub);
    let told = "";
    const name = JSON.stringify(sub);
    const unfollow = this.stats.follow((json) => {
      // A socket without room is told the newest numbers once it has some.
      if (json === told || this.socket.bufferedAmount > MAX_BUFFERED) return;
      told = json;
      this.#send(`{"type":"stats","sub":${name},"stats":${json}}`);
    });
    this.#stats.set(sub, unfollow);
  }

  async #snapshot(subscription: Subscription): Promise<void> {
    const { frame } = subscription;
    const since = await this.queue.stream.head();
    const filter = { task_types: frame.task_types, statuses: frame.statuses };
    const states = frame.id === undefined
      ? (await this.queue.list(filter, SNAPSHOT)).states
      : await this.queue.get(frame.id).then((state) => [state], () => []);
    if (this.#subscriptions.get(frame.sub) !== subscription) return;
    const tasks = states.map((state) => summaryOf(state, this.queue.retention));
    subscription.since = since;
    if (since > subscription.heard) subscription.heard = since;
    this.#send(JSON.stringify({ type: "snapshot", sub: frame.sub, tasks, since }));
    // What came in meanwhile and is in the snapshot already is not told again.
    for (const state of states) {
      const pending = subscription.pending.get(state.task.id);
      if (pending && pending.version <= versionOf(state)) subscription.pending.delete(state.task.id);
    }
    subscription.ready = true;
    this.#flush();
  }

  async #tellEvents(subscription: Subscription): Promise<void> {
    const { frame, follower, since } = subscription;
    if (!follower || this.#subscriptions.get(frame.sub) !== subscription || !this.#hasRoom()) return;
    subscription.eventful = false;
    const state = await this.queue.get(frame.id!).catch(() => null);
    const { events, more } = state ? await follower.next(state) : { events: [], more: false };
    if (events.length > 0) this.#send(JSON.stringify({ type: "events", sub: frame.sub, id: frame.id, events, since }));
    if (!more) return;
    subscription.eventful = true;
    this.#flush();
  }

  #take(subscription: Subscription, { since, changes }: Batch): boolean {
    if (since > subscription.heard) subscription.heard = since;
    let own = false;
    for (const change of changes) {
      const matches = change.state !== null && fits(subscription.frame, change.state);
      const known = subscription.pending.get(change.id);
      if (known && known.version > change.version) continue;
      if (!matches && !known && !concerned(subscription.frame, change)) continue;
      own = true;
      const left = known ? [...known.left, ...change.left] : change.left;
      subscription.pending.set(change.id, { ...change, left });
    }
    return own;
  }

  #hear(batch: Batch): void {
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.stale) continue;
      const own = this.#take(subscription, batch);
      if (subscription.pending.size > MAX_PENDING) {
        subscription.pending.clear();
        subscription.stale = true;
      }
      if (own && subscription.follower) subscription.eventful = true;
    }
    this.#flush();
  }

  #flush(): void {
    for (const subscription of this.#subscriptions.values()) {
      if (!subscription.ready) continue;
      if (subscription.eventful) this.#then(() => this.#tellEvents(subscription));
      while (subscription.pending.size > 0 || subscription.stale) {
        if (this.#closed || !this.#hasRoom()) return;
        if (subscription.stale) {
          subscription.stale = false;
          subscription.ready = false;
          this.#send(JSON.stringify({ type: "resync", sub: subscription.frame.sub }));
          this.#then(() => this.#snapshot(subscription));
          break;
        } else this.#sendTasks(subscription);
      }
      if (subscription.ready) subscription.since = subscription.heard;
    }
  }

  #sendTasks(subscription: Subscription): void {
    const { frame, pending } = subscription;
    const tasks: string[] = [];
    for (const [id, change] of pending) {
      if (tasks.length === FRAME_TASKS) break;
      pending.delete(id);
      const matches = change.state !== null && fits(frame, change.state);
      tasks.push(taskJson(change, matches, this.queue.retention));
    }
    // The token moves on only once everything up to it was sent.
    if (pending.size === 0) subscription.since = subscription.heard;
    const sub = JSON.stringify(frame.sub);
    this.#send(`{"type":"tasks","sub":${sub},"tasks":[${tasks.join(",")}],"since":"${subscription.since}"}`);
  }

  #hasRoom(): boolean {
    if (this.socket.bufferedAmount < MAX_BUFFERED) {
      this.#slowSince = null;
      return true;
    }
    const now = this.clock.monotonic();
    this.#slowSince ??= now;
    if (now - this.#slowSince > MAX_SLOW_MS) {
      this.close(1013, "too slow");
      return false;
    }
    this.#cancelRetry ??= this.clock.after(RETRY_MS, () => {
      this.#cancelRetry = null;
      this.#flush();
    });
    return false;
  }
}

function upgrade(request: Request): Deno.WebSocketUpgrade {
  try {
    return Deno.upgradeWebSocket(request, { idleTimeout: 30 });
  } catch (error) {
    throw new Problem(400, "not_a_websocket", `This is not a WebSocket handshake: ${(error as Error).message}`);
  }
}

/** The route of the stream, and what closes every socket. */
export function streamRoutes(options: AppOptions, stats: StatsFeed): { app: Hono<AppEnv>; close(): void } {
  const app = new Hono<AppEnv>({ strict: false });
  const connections = new Set<Connection>();

  app.get("/ws", (c) => {
    if (c.req.header("Upgrade")?.toLowerCase() !== "websocket") {
      throw new Problem(400, "not_a_websocket", "This address speaks WebSocket only.", [], { Upgrade: "websocket" });
    }
    if (connections.size >= MAX_SOCKETS) throw new Problem(503, "too_many_sockets", "Too many sockets are open.");
    const { socket, response } = upgrade(c.req.raw);
    const connection: Connection = new Connection(
      socket,
      options.queue,
      stats,
      options.clock,
      options.log,
      c.get("principal").expires_at,
      () => connections.delete(connection),
    );
    connections.add(connection);
    return response;
  });

  return {
    app,
    close() {
      for (const connection of [...connections]) connection.close(1001, "the service stops");
    },
  };
}
