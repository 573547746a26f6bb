/**
 * The page's WebSocket: it reconnects with increasing delays, a silent socket counts as broken, and if sockets are
 * blocked the page polls by HTTP.
 *
 * @module
 */

import type { Stats, TaskHistoryEvent } from "../../queue/task/api_types.ts";
import { alert } from "../shell/announce.ts";
import type { Store } from "./state.ts";
import type { Changed } from "./store.ts";

/** What the server sends. */
export type Frame =
  | { type: "hello" | "pong"; server_time: string }
  | { type: "heartbeat"; server_time: string; since: Record<string, string> }
  | { type: "snapshot" | "tasks"; sub: string; tasks: Changed[]; since: string }
  | {
    type: "events";
    sub: string;
    id: string;
    events: TaskHistoryEvent[];
    gap: { after: string | null; before: string } | null;
  }
  | { type: "stats"; stats: Stats }
  | { type: "resync"; sub: string }
  | { type: "error"; detail: string };

/** Without a frame for this long the connection counts as broken: the server sends a heartbeat every 10 s. */
const SILENCE_MS = 15_000;
/** A shorter interruption is not shown. */
const BLINK_MS = 1_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;
/** Failed upgrades in a row before the page polls by HTTP instead. */
const REFUSED = 3;
const POLL_MS = 5_000;
/** How many polls until a socket is tried again. */
const POLLS = 12;

/** Callbacks of the socket's user. */
export interface SocketUser {
  /** A socket is open. */
  onOpen(): void;
  onFrame(frame: Frame): void;
  /** Reads the whole view by HTTP. */
  reload(): Promise<void>;
  /** The server's time, in milliseconds since the epoch. */
  now(): number;
}

/** Keeps a socket open for as long as the page is. */
export class LiveSocket {
  readonly #store: Store;
  readonly #user: SocketUser;
  #socket: WebSocket | null = null;
  #tries = 0;
  #refused = 0;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #blink: ReturnType<typeof setTimeout> | undefined;

  constructor(store: Store, user: SocketUser) {
    this.#store = store;
    this.#user = user;
    addEventListener("online", () => this.retryNow());
    addEventListener("offline", () => {
      store.connection.value = "offline";
      this.#socket?.close();
    });
    // The user has the socket only after this.
    queueMicrotask(() => this.#connect());
  }

  /** Sends a frame, if a socket is open. */
  send(frame: unknown): void {
    if (this.isOpen) this.#socket!.send(JSON.stringify(frame));
  }

  /** Whether a socket is open. */
  get isOpen(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Retries now instead of later. */
  retryNow(): void {
    if (this.#socket || this.#store.connection.value === "signed_out") return;
    this.#tries = 0;
    this.#connect();
  }

  #connect(): void {
    clearTimeout(this.#retry);
    const socket = new WebSocket(new URL("ws", location.href.replace(/^http/, "ws")));
    this.#socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.#tries = 0;
      this.#refused = 0;
      this.#listen(socket);
      if (this.#store.outage.value) this.#store.connection.value = "catching_up";
      this.#user.onOpen();
    };
    socket.onmessage = ({ data }) => {
      this.#listen(socket);
      this.#user.onFrame(JSON.parse(data) as Frame);
    };
    socket.onclose = ({ code }) => this.#broken(socket, opened, code);
  }

  #listen(socket: WebSocket): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      socket.onclose = socket.onmessage = null;
      socket.close();
      this.#broken(socket, true, 1006);
    }, SILENCE_MS);
  }

  async #broken(socket: WebSocket, opened: boolean, code: number): Promise<void> {
    if (this.#socket !== socket) return;
    this.#socket = null;
    clearTimeout(this.#silence);
    const store = this.#store;
    if (code === 4401) return this.#signedOut();
    if (!opened && navigator.onLine) this.#refused++;
    const polling = store.connection.value === "polling";
    const wait = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#tries++) * (0.5 + Math.random() / 2);
    if (!polling) {
      const now = this.#user.now();
      const since = store.outage.value?.since ?? store.freshAt.value;
      store.outage.value = { since, tries: this.#tries, next: now + wait };
      this.#blink ??= setTimeout(() => {
        this.#blink = undefined;
        if (!store.outage.value || store.connection.value === "signed_out") return;
        store.connection.value = navigator.onLine ? "reconnecting" : "offline";
      }, BLINK_MS);
    }
    // A rejected upgrade does not say why; a normal request does.
    const answer = opened ? null : await fetch("api/me").catch(() => null);
    if (answer?.status === 401) return this.#signedOut();
    if (this.#socket) return;
    if (answer?.ok && this.#refused >= REFUSED) return void (polling || this.#poll());
    this.#retry = setTimeout(() => this.#connect(), wait);
  }

  #signedOut(): void {
    clearTimeout(this.#retry);
    this.#store.outage.value = null;
    this.#store.connection.value = "signed_out";
    alert(this.#store, "You were signed out.");
  }

  /** Polls by HTTP while sockets are blocked; each poll waits for the previous answer. */
  async #poll(): Promise<void> {
    const store = this.#store;
    store.connection.value = "polling";
    store.outage.value = null;
    for (let polls = 1; store.connection.value === "polling"; polls++) {
      if (store.paused.value === null && !document.hidden) {
        await this.#user.reload().then(() => store.freshAt.value = this.#user.now(), () => {});
      }
      if (polls % POLLS === 0 && !this.#socket) this.#connect();
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}
