/**
 * `GET /ws`: the stream of changes over a WebSocket. One socket carries many subscriptions, each with a name and a
 * filter; a client that was disconnected resumes with `since`.
 *
 * Nothing is buffered for a slow client: only the newest state of each changed task is kept until the socket has room
 * again. Beyond a limit the client is told to start over, and finally it is disconnected.
 *
 * @module
 */

import { Hono } from "hono";
import { issuesOf } from "../../queue/params.ts";
import { depthIssue } from "../../queue/task/json/depth.ts";
import type { Clock } from "../../queue/task/clock.ts";
import type { Logger } from "../../queue/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Batch } from "../../queue/watch/change_stream.ts";
import { versionOf } from "../../queue/task/record.ts";
import { summaryOf } from "../../queue/task/summary.ts";
import { type InputIssue, NotFoundError } from "../../queue/task/errors.ts";
import type { AppEnv, AppOptions, ServerSocket } from "../env.ts";
import { frameSchema, mayMatter, type Subscribe } from "./frames.ts";
import { positionOf, Subscription } from "./subscription.ts";
import { TaskFollower } from "./task_events.ts";
import type { StreamLimits } from "./stream_limits.ts";
import { Problem } from "../http/problem.ts";
import type { StatsFeed } from "./stats_feed.ts";

const HEARTBEAT_MS = 10_000;
/** Characters of a frame that a client may send. */
const MAX_FRAME = 16 * 1024;
/** Frames, and characters of frames, that may wait to be processed; a client that sends more is disconnected. */
const [MAX_WAITING, MAX_WAITING_CHARS] = [200, 128 * 1024];
/** Subscriptions of one socket. */
const MAX_SUBSCRIPTIONS = 32;
/** Maximum bytes in a socket's own buffer; above that nothing is added. */
const MAX_BUFFERED = 256 * 1024;
/** A client whose socket was full for this long is disconnected. */
const MAX_SLOW_MS = 30_000;
/** How soon a full socket is tried again. */
const RETRY_MS = 250;
/** Tasks of a snapshot. */
const SNAPSHOT = 100;

/** One socket. */
class Connection {
  readonly #subscriptions = new Map<string, Subscription>();
  /** Functions that end each subscription to the statistics. */
  readonly #stats = new Map<string, () => void>();
  #work: Promise<void> = Promise.resolve();
  #waiting = { frames: 0, characters: 0 };
  /** Pings to answer once all missed changes have been sent. */
  #pings = 0;
  #unsubscribe: (() => void) | null = null;
  #cancelBeat: () => void = () => {};
  #cancelRetry: (() => void) | null = null;
  #slowSince: number | null = null;
  /** Called as soon as there is room again, or the socket is closed. */
  #onRoom: (() => void)[] = [];
  #closed = false;

  constructor(
    private readonly socket: ServerSocket,
    private readonly queue: Queue,
    private readonly stats: StatsFeed,
    private readonly clock: Clock,
    private readonly log: Logger,
    private readonly onClosed: () => void,
  ) {
    socket.onmessage = ({ data }) => this.#accept(data);
    socket.onclose = () => this.close();
    socket.onerror = () => this.close();
    this.#then(() => this.#open());
  }

  /** Ends it; may be called any number of times. The peer need not answer. */
  close(code?: number, reason?: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unsubscribe?.();
    this.#cancelBeat();
    this.#cancelRetry?.();
    this.#subscriptions.clear();
    for (const unfollow of this.#stats.values()) unfollow();
    for (const go of this.#onRoom.splice(0)) go();
    if (this.socket.readyState <= WebSocket.OPEN) this.socket.close(code ?? 1000, reason);
    this.onClosed();
  }

  /** Runs one operation after another. */
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
    this.#unsubscribe = await this.queue.stream.subscribe((batch) => this.#hear(batch));
    if (this.#closed) this.#unsubscribe();
  }

  #time(): string {
    return new Date(this.clock.now()).toISOString();
  }

  #beat(): void {
    this.#cancelBeat = this.clock.after(HEARTBEAT_MS, () => {
      if (this.socket.bufferedAmount < MAX_BUFFERED) {
        // An idle subscription's token advances too; otherwise it would become too old to resume from.
        const since = Object.fromEntries(
          [...this.#subscriptions].filter(([, subscription]) => subscription.isReady)
            .map(([sub, { since }]) => [sub, since]),
        );
        this.#send(JSON.stringify({ type: "heartbeat", server_time: this.#time(), since }));
      } else this.#hasRoom();
      this.#beat();
    });
  }

  #refuse(code: string, detail: string, errors?: InputIssue[]): void {
    this.#send(JSON.stringify({ type: "error", code, detail, errors }));
    this.close(1008, "bad frame");
  }

  /** Queues a frame for processing. The queue is limited, because frames arrive whether they are read or not. */
  #accept(data: unknown): void {
    if (this.#closed) return;
    if (typeof data !== "string") return this.#refuse("broken_json", "Frames must be JSON text.");
    if (data.length > MAX_FRAME) return this.close(1009, `a frame has at most ${MAX_FRAME} characters`);
    this.#waiting.frames++;
    this.#waiting.characters += data.length;
    if (this.#waiting.frames > MAX_WAITING || this.#waiting.characters > MAX_WAITING_CHARS) {
      return this.close(1008, "too many frames at once");
    }
    this.#then(async () => {
      this.#waiting.frames--;
      this.#waiting.characters -= data.length;
      // A client that keeps asking without reading gets no answer until it reads.
      await this.#untilRoom();
      if (!this.#closed) await this.#receive(data);
    });
  }

  async #receive(data: string): Promise<void> {
    let value: unknown;
    try {
      value = JSON.parse(data);
    } catch (error) {
      return this.#refuse("broken_json", `The frame is not JSON: ${(error as Error).message}`);
    }
    const refuse = (issues: InputIssue[]) =>
      this.#refuse("invalid_input", "The frame is well-formed but invalid; see errors.", issues);
    const tooDeep = depthIssue(value);
    if (tooDeep) return refuse([tooDeep]);
    const parsed = frameSchema.safeParse(value);
    if (!parsed.success) return refuse(issuesOf(parsed.error, ""));
    const frame = parsed.data;
    if (frame.type === "ping") {
      this.#pings++;
      return this.#flush();
    }
    // Reusing a name replaces its subscription.
    this.#stats.get(frame.sub)?.();
    this.#stats.delete(frame.sub);
    if (frame.type === "unsubscribe") return void this.#subscriptions.delete(frame.sub);
    if (!this.#subscriptions.has(frame.sub) && this.#subscriptions.size + this.#stats.size >= MAX_SUBSCRIPTIONS) {
      return this.#refuse("too_many_subscriptions", `A socket may have at most ${MAX_SUBSCRIPTIONS} subscriptions.`);
    }
    if (frame.stats) return this.#followStats(frame.sub);
    await this.#subscribe(frame);
  }

  async #subscribe(frame: Subscribe): Promise<void> {
    const head = await this.queue.stream.head();
    const follower = frame.id === undefined ? null : new TaskFollower(this.queue, frame.id, positionOf(frame.after));
    const subscription = new Subscription(frame, follower, head);
    this.#subscriptions.set(frame.sub, subscription);
    const { since } = frame;
    const replay = since === undefined
      ? null
      : await this.queue.stream.replay(since, (change) => mayMatter(frame, change));
    if (replay) {
      subscription.replay(since!, replay);
      return this.#flush();
    }
    if (since !== undefined) this.#send(JSON.stringify({ type: "resync", sub: frame.sub }));
    await this.#snapshot(subscription);
  }

  #followStats(sub: string): void {
    this.#subscriptions.delete(sub);
    let told = "";
    const name = JSON.stringify(sub);
    const unfollow = this.stats.follow((json) => {
      // A full socket gets the newest statistics once it has room.
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
      : await this.queue.get(frame.id).then((state) => [state], (error) => {
        if (error instanceof NotFoundError) return [];
        throw error;
      });
    if (this.#subscriptions.get(frame.sub) !== subscription) return;
    const tasks = states.map((state) => summaryOf(state, this.queue.retention));
    subscription.since = since;
    if (since > subscription.heard) subscription.heard = since;
    this.#send(JSON.stringify({ type: "snapshot", sub: frame.sub, tasks, since }));
    // Changes that are already in the snapshot are not sent again.
    for (const state of states) {
      const pending = subscription.pending.get(state.task.id);
      if (pending && pending.version <= versionOf(state)) subscription.pending.delete(state.task.id);
    }
    subscription.isReady = true;
    this.#flush();
  }

  async #sendEvents(subscription: Subscription): Promise<void> {
    const { frame, follower, since } = subscription;
    subscription.isSendingEvents = false;
    if (!follower || this.#subscriptions.get(frame.sub) !== subscription || !this.#hasRoom()) return;
    subscription.isSendingEvents = true;
    subscription.hasEvents = false;
    const state = await this.queue.get(frame.id!).catch((error) => {
      if (error instanceof NotFoundError) return null;
      throw error;
    });
    const { events, more, gap } = state ? await follower.next(state) : { events: [], more: false, gap: null };
    subscription.isSendingEvents = false;
    subscription.hasEvents ||= more;
    if (events.length > 0) {
      this.#send(JSON.stringify({ type: "events", sub: frame.sub, id: frame.id, events, gap, since }));
    }
    this.#flush();
  }

  #hear(batch: Batch): void {
    for (const subscription of this.#subscriptions.values()) {
      subscription.hear(batch);
    }
    this.#flush();
  }

  #flush(): void {
    for (const subscription of this.#subscriptions.values()) {
      if (!subscription.isReady) continue;
      if (subscription.hasEvents && !subscription.isSendingEvents) {
        subscription.isSendingEvents = true;
        this.#then(() => this.#sendEvents(subscription));
      }
      while (subscription.pending.size > 0 || subscription.isStale) {
        if (this.#closed || !this.#hasRoom()) return;
        if (subscription.isStale) {
          subscription.isStale = false;
          subscription.isReady = false;
          this.#send(JSON.stringify({ type: "resync", sub: subscription.frame.sub }));
          this.#then(() => this.#snapshot(subscription));
          break;
        } else this.#send(subscription.nextFrame(this.queue.retention));
      }
      if (subscription.isReady) subscription.since = subscription.heard;
    }
    if (this.#pings > 0 && [...this.#subscriptions.values()].every(({ isCurrent }) => isCurrent)) {
      for (; this.#pings > 0; this.#pings--) this.#send(JSON.stringify({ type: "pong", server_time: this.#time() }));
    }
  }

  #hasRoom(): boolean {
    if (this.socket.bufferedAmount < MAX_BUFFERED) {
      this.#slowSince = null;
      for (const go of this.#onRoom.splice(0)) go();
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
      if (this.#hasRoom()) this.#flush();
    });
    return false;
  }

  async #untilRoom(): Promise<void> {
    if (!this.#hasRoom() && !this.#closed) await new Promise<void>((resolve) => this.#onRoom.push(resolve));
  }
}

/** The route of the stream, and a function that closes every socket. */
export function streamRoutes(options: AppOptions, stats: StatsFeed, streams: StreamLimits): Hono<AppEnv> {
  const { queue, clock, log } = options;
  const app = new Hono<AppEnv>({ strict: false });

  app.get("/ws", (c) => {
    if (c.env.upgrade === null) {
      throw new Problem(400, "not_a_websocket", "This address supports WebSocket only.", [], { Upgrade: "websocket" });
    }
    const place = streams.enter(c);
    try {
      return c.env.upgrade((socket) => {
        const connection = new Connection(socket, queue, stats, clock, log, () => place.leave());
        place.onEnd((code, reason) => connection.close(code, reason));
      }, () => place.leave());
    } catch (error) {
      place.leave();
      throw new Problem(400, "not_a_websocket", `This is not a WebSocket handshake: ${(error as Error).message}`);
    }
  });

  return app;
}
