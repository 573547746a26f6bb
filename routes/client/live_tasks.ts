/**
 * Tells of tasks by the service's WebSocket; after a break it goes on where it was.
 *
 * @module
 */

import { delay, systemClock } from "../../queue/task/clock.ts";
import type { TaskSummary } from "../../queue/task/summary.ts";
import { backoff, type Transport } from "./transport.ts";
import type { ClientOptions } from "./types.ts";

/** Subscriptions of a socket: the service allows 32. */
const MAX_SUBSCRIPTIONS = 30;

/** What is told of a task: its new state; null: look for yourself. */
export type Tell = (task: TaskSummary | null) => void;

interface Follower {
  id: string;
  tell: Tell;
  /** Where the stream goes on after a break. */
  since?: string;
}

function openBySystem(url: string, headers: Record<string, string>): WebSocket {
  if (Object.keys(headers).length === 0) return new WebSocket(url);
  try {
    return new (WebSocket as unknown as new (url: string, options: unknown) => WebSocket)(url, { headers });
  } catch {
    // Browsers take no headers; they send the cookie.
    return new WebSocket(url);
  }
}

/** Follows tasks over one socket, which is open while there is someone to tell. */
export class LiveTasks {
  readonly #followers = new Map<string, Follower>();
  #socket: WebSocket | null = null;
  #failures = 0;
  #names = 0;
  #closed = false;

  constructor(private readonly transport: Transport, private readonly options: ClientOptions) {}

  /** Whether a socket is open. */
  get isOpen(): boolean {
    return this.#socket?.readyState === 1;
  }

  /** Tells of a task from now on, if there is a socket with room for it. Returns how to stop that; null: there is none. */
  follow(id: string, tell: Tell): (() => void) | null {
    if (this.#closed || this.#followers.size >= MAX_SUBSCRIPTIONS) return null;
    const sub = `task ${++this.#names}`;
    const follower = { id, tell };
    this.#followers.set(sub, follower);
    if (!this.#socket) this.#connect();
    else this.#subscribe(sub, follower);
    return () => {
      this.#followers.delete(sub);
      this.#say({ type: "unsubscribe", sub });
      if (this.#followers.size === 0) this.#socket?.close();
    };
  }

  /** Closes the socket. */
  close(): void {
    this.#closed = true;
    this.#socket?.close();
  }

  #say(frame: Record<string, unknown>): void {
    if (this.isOpen) this.#socket!.send(JSON.stringify(frame));
  }

  #subscribe(sub: string, { id, since }: Follower): void {
    this.#say({ type: "subscribe", sub, id, since });
  }

  #connect(): void {
    const { openSocket = typeof WebSocket === "undefined" ? null : openBySystem, clock = systemClock } = this.options;
    if (openSocket === null || this.#closed) return;
    const { base, credentials } = this.transport;
    let socket: WebSocket;
    try {
      socket = openSocket(new URL("ws", base).href.replace(/^http/, "ws"), credentials);
    } catch {
      // Whoever waits asks again instead.
      return;
    }
    this.#socket = socket;
    socket.onopen = () => {
      this.#failures = 0;
      if (this.#followers.size === 0) return socket.close();
      for (const [sub, follower] of this.#followers) this.#subscribe(sub, follower);
    };
    socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    socket.onclose = async () => {
      if (this.#socket === socket) this.#socket = null;
      if (this.#closed || this.#followers.size === 0) return;
      for (const { tell } of this.#followers.values()) tell(null);
      await delay(clock, backoff(this.#failures++));
      if (!this.#socket && this.#followers.size > 0) this.#connect();
    };
  }

  #hear(frame: Record<string, unknown>): void {
    if (frame.type === "heartbeat") {
      for (const [sub, since] of Object.entries(frame.since as Record<string, string>)) {
        const follower = this.#followers.get(sub);
        if (follower) follower.since = since;
      }
    }
    const follower = this.#followers.get(frame.sub as string);
    if (!follower) return;
    if (typeof frame.since === "string") follower.since = frame.since;
    for (const task of frame.tasks as (TaskSummary & { deleted?: true })[] ?? []) {
      follower.tell(task.deleted ? null : task);
    }
  }
}
