/**
 * The page's only socket: it keeps the store current and reconnects by itself. Messages are merged by task into a
 * buffer, which is drawn once per animation frame.
 *
 * @module
 */

import { Arrivals, showNew } from "./arrivals.ts";
import { type Frame, LiveSocket } from "./live_socket.ts";
import { batch } from "@preact/signals";
import type { Stats, TaskHistoryEvent } from "../../queue/task/api_types.ts";
import { isTerminal } from "../../queue/task/record.ts";
import type { TaskSummary } from "../../queue/task/summary.ts";
import { alert, say, sayProgress } from "../shell/announce.ts";
import type { LogGap, Store } from "./state.ts";
import { type Changed, hasRoomForMore, LOG_LINES, mergeLog, mergeOpen, mergeTasks } from "./store.ts";

/** An outage is announced after this time, in milliseconds. */
const BANNER_MS = 5_000;
/** If there are more changes than this, the list is reloaded instead. */
const MAX_BUFFER = 5_000;
/** A page that was hidden longer than this reloads its list. */
const HIDDEN_MS = 60_000;
/** How long after a deletion the page is refilled: a bulk action deletes many tasks in a row. */
const FILL_MS = 500;

/** Keeps a store current for as long as the page is open. */
export class Live {
  readonly #store: Store;
  /** Reads the whole view by HTTP. */
  readonly #reload: () => Promise<void>;
  /** Whether someone is using the list, so that nothing may move. */
  readonly #isBusy: () => boolean;
  readonly #socket: LiveSocket;
  #tokens = new Map<string, string | undefined>();
  /** The name of the list's subscription: each list has its own, so that frames of the previous one are recognized. */
  #listName = "list 0";
  #lists = 0;
  #followed = new Map<string, { id: string; take(task: TaskSummary): void }>();
  #buffer = new Map<string, Changed>();
  #events: TaskHistoryEvent[] = [];
  /** Lines that were skipped before the first of `#events`. */
  #gap: LogGap | null = null;
  /** Whether to reload the list, because deletions left room on its page. */
  #refill = false;
  #heldStats: Stats | null = null;
  #frame = 0;
  #stale = false;
  #offset: number;
  #filling: ReturnType<typeof setTimeout> | undefined;
  #hiddenAt: number | null = null;
  readonly #arrivals = new Arrivals();
  #bannerSaid = false;

  constructor(store: Store, reload: () => Promise<void>, isBusy: () => boolean) {
    this.#store = store;
    this.#reload = reload;
    this.#isBusy = isBusy;
    this.#offset = store.now.value - Date.now();
    setInterval(() => this.#tick(), 1_000);
    document.addEventListener("visibilitychange", () => this.#seen());
    this.#socket = new LiveSocket(store, {
      onOpen: () => this.#resubscribe(),
      onFrame: (frame) => this.#take(frame),
      reload,
      now: () => Date.now() + this.#offset,
    });
  }

  #tick(): void {
    const store = this.#store;
    const now = Date.now() + this.#offset;
    store.clock.value = now;
    const current = store.connection.value === "live" || store.connection.value === "polling";
    if (current && store.paused.value === null) store.now.value = now;
    if (store.paused.value !== null) store.held.value = this.#buffer.size + (this.#stale ? MAX_BUFFER : 0);
    const { value: outage } = store.outage;
    this.#fillUp();
    this.#letIn();
    if (outage && !this.#bannerSaid && now - outage.since > BANNER_MS && store.connection.value !== "signed_out") {
      this.#bannerSaid = true;
      alert(store, "Connection lost. What is shown may be out of date.");
    }
  }

  /** The list has changed or was reloaded: follows it from its commit on. */
  followList(): void {
    this.#send({ type: "unsubscribe", sub: this.#listName });
    this.#listName = `list ${++this.#lists}`;
    this.#tokens.set("list", this.#store.list.value.as_of);
    this.#subscribe("list");
  }

  /** Another task is open, or none. */
  followOpen(): void {
    this.#tokens.set("open", undefined);
    this.#events = [];
    this.#gap = null;
    if (this.#store.task.value) this.#subscribe("open");
    else this.#send({ type: "unsubscribe", sub: "open" });
  }

  /** Reports changes of one task until it has ended. */
  follow(id: string, take: (task: TaskSummary) => void): void {
    if (this.#followed.size >= 20) return;
    const sub = `one ${id}`;
    this.#followed.set(sub, { id, take });
    this.#subscribe(sub);
  }

  #send(frame: unknown): void {
    this.#socket.send(frame);
  }

  #subscribe(sub: string): void {
    const { view, task } = this.#store;
    const some = <T>(values: T[]) => values.length > 0 ? values : undefined;
    const last = sub === "open" ? this.#store.log.value.at(-1) : undefined;
    const what = sub === "list" ? { task_types: some(view.value.task_types), statuses: some(view.value.statuses) } : {
      id: sub === "open" ? task.value?.id : this.#followed.get(sub)?.id,
      after: last && `${last.attempt}:${last.line}`,
    };
    const name = sub === "list" ? this.#listName : sub;
    this.#send({ type: "subscribe", sub: name, since: this.#tokens.get(sub), ...what });
  }

  /** A socket is open: resumes each subscription from its last token. */
  #resubscribe(): void {
    // What was not drawn yet is sent again from the last line that was.
    this.#events = [];
    this.#gap = null;
    if (!this.#tokens.has("list")) this.#tokens.set("list", this.#store.list.value.as_of);
    this.#subscribe("list");
    if (this.#store.task.value) this.#subscribe("open");
    for (const sub of this.#followed.keys()) this.#subscribe(sub);
    this.#send({ type: "subscribe", sub: "stats", stats: true });
    // Its answer comes when all that was missed has been sent.
    this.#send({ type: "ping" });
  }

  /** Retries now instead of later. */
  retryNow(): void {
    this.#socket.retryNow();
  }

  #take(frame: Frame): void {
    const store = this.#store;
    if ("sub" in frame && frame.sub.startsWith("list ")) {
      if (frame.sub !== this.#listName) return;
      frame.sub = "list";
    }
    if ("server_time" in frame) this.#offset = Date.parse(frame.server_time) - Date.now();
    store.freshAt.value = Date.now() + this.#offset;
    switch (frame.type) {
      case "pong":
        return this.#restored();
      case "heartbeat":
        // An idle subscription's token advances too; otherwise it would become too old.
        for (const [name, since] of Object.entries(frame.since)) {
          const sub = name === this.#listName ? "list" : name;
          if (this.#tokens.has(sub)) this.#tokens.set(sub, since);
        }
        return;
      case "stats":
        if (store.paused.value === null) store.stats.value = frame.stats;
        else this.#heldStats = frame.stats;
        return;
      case "resync":
        // Too much was missed to catch up: the view is reloaded.
        if (frame.sub === "list" || frame.sub === "open") this.#stale = true;
        return this.#draw();
      case "events":
        // Frames still in transit may belong to the task that was open before.
        if (frame.sub !== "open" || frame.id !== this.#store.view.value.task) return;
        this.#events.push(...frame.events);
        if (frame.gap?.after) this.#gap ??= { ...frame.gap, after: frame.gap.after };
        this.#boundEvents();
        return this.#draw();
      case "snapshot":
      case "tasks": {
        this.#tokens.set(frame.sub, frame.since);
        const one = this.#followed.get(frame.sub);
        for (const task of frame.tasks) {
          if (one) this.#takeOne(frame.sub, one, task);
          else this.#keep(frame, task);
        }
        return this.#draw();
      }
    }
  }

  #takeOne(sub: string, one: { take(task: TaskSummary): void }, task: Changed): void {
    const over = task.deleted || isTerminal(task.status);
    if (!task.deleted) one.take(task);
    if (!over) return;
    this.#followed.delete(sub);
    this.#tokens.delete(sub);
    this.#send({ type: "unsubscribe", sub });
  }

  #keep({ type, sub }: { type: string; sub: string }, task: Changed): void {
    if (this.#stale) return;
    const known = this.#buffer.get(task.id);
    const newer = !known || known.deleted || task.deleted || task.version >= known.version;
    if (!newer) return;
    // A task that only the details follow does not affect the list.
    const listed = sub === "list" && type === "tasks" || this.#store.rows.has(task.id);
    if (!listed && sub !== "open") return;
    if (sub === "open" && !task.deleted) {
      // Only the list's own frames say whether it belongs to the list.
      const row = this.#store.rows.get(task.id);
      const matches = known && !known.deleted ? known.matches : row ? row.value.matches : false;
      this.#buffer.set(task.id, { ...task, matches });
    } else this.#buffer.set(task.id, task);
    if (!this.#store.rows.has(task.id) && sub === "list" && !known) this.#arrivals.add();
    if (this.#buffer.size > MAX_BUFFER) {
      this.#buffer.clear();
      this.#stale = true;
    }
  }

  #restored(): void {
    const store = this.#store;
    const was = store.outage.value;
    store.outage.value = null;
    if (this.#bannerSaid) say(store, "Live updates restored. Data is up to date.");
    this.#bannerSaid = false;
    if (!this.#stale) store.connection.value = "live";
    if (was) this.#draw();
    this.#tick();
  }

  #draw(): void {
    if (this.#frame || this.#store.paused.value !== null) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#flush();
    });
  }

  #flush(): void {
    const store = this.#store;
    if (store.paused.value !== null) return;
    if (this.#stale) return void this.#catchUp();
    const open = store.task.value;
    const changes = [...this.#buffer.values()];
    this.#buffer.clear();
    const events = this.#events;
    const gap = this.#gap;
    this.#events = [];
    this.#gap = null;
    // For a task on another page, only the server knows whether it was in the list.
    const isElsewhere = ({ id, deleted }: Changed) => deleted && !store.rows.has(id);
    if (changes.some(isElsewhere)) this.#refill = true;
    batch(() => {
      mergeTasks(store, changes);
      const own = open && changes.find(({ id }) => id === open.id);
      if (own && !own.deleted) {
        mergeOpen(store, own);
        sayProgress(store, open, own);
      }
      if (events.length > 0) mergeLog(store, events, gap);
      this.#letIn();
    });
    if (changes.some(({ deleted }) => deleted) && hasRoomForMore(store)) this.#refill = true;
    this.#fillUp();
    this.#arrivals.say(store);
  }

  #letIn(): void {
    if (this.#arrivals.mayJoin(this.#store, this.#followed, this.#isBusy)) showNew(this.#store, this);
  }

  /** The commit up to which the list has been told. */
  seen(): string {
    return this.#tokens.get("list")!;
  }

  /** Reads what is shown again. */
  reload(): void {
    this.#stale = true;
    this.#draw();
  }

  /** A page that is not drawn keeps no more lines than a visible one; dropped lines become a gap. */
  #boundEvents(): void {
    if (this.#events.length <= LOG_LINES) return;
    this.#events = this.#events.slice(-LOG_LINES);
    const first = this.#events.find((event) => event.kind === "log");
    const last = this.#store.log.value.at(-1);
    if (first && last) {
      this.#gap = { after: `${last.attempt}:${last.line}`, before: `${first.attempt}:${first.line}` };
    }
  }

  /** Reloads the list after deletions: its page has room again, and the total is updated. */
  #fillUp(): void {
    const { paused } = this.#store;
    if (!this.#refill || paused.value !== null || this.#isBusy() || this.#filling) return;
    this.#filling = setTimeout(() => {
      this.#filling = undefined;
      if (paused.value !== null) return;
      this.#refill = false;
      // The list says why it could not be read; then it is read once more.
      this.#reload().catch(() => this.#refill = true);
    }, FILL_MS);
  }

  /** Reloads the whole view. */
  async #catchUp(): Promise<void> {
    const store = this.#store;
    this.#stale = false;
    this.#buffer.clear();
    const live = store.connection.value;
    if (live === "live") store.connection.value = "catching_up";
    try {
      await this.#reload();
    } catch {
      // The list says why it could not be read.
    }
    if (store.connection.value === "catching_up" && this.#socket.isOpen) {
      store.connection.value = "live";
    }
  }

  #seen(): void {
    if (document.hidden) return void (this.#hiddenAt = Date.now());
    const away = this.#hiddenAt === null ? 0 : Date.now() - this.#hiddenAt;
    this.#hiddenAt = null;
    if (this.#store.paused.value !== null) return;
    if (away > HIDDEN_MS) this.#stale = true;
    this.#draw();
  }

  /** Pauses all live updates until {@linkcode resume}. */
  pause(): void {
    this.#store.paused.value = this.#store.freshAt.value;
    this.#store.held.value = 0;
  }

  /** Resumes, and applies everything that has happened in the meantime. */
  resume(): void {
    this.#store.paused.value = null;
    if (this.#heldStats) this.#store.stats.value = this.#heldStats;
    this.#heldStats = null;
    this.#tick();
    this.#draw();
  }
}
