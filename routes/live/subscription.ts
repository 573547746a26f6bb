/**
 * One subscription of a socket: which changes the client has been sent, and which are pending.
 *
 * @module
 */

import type { LogPosition } from "../../queue/run/task_log.ts";
import type { Retention } from "../../queue/task/summary.ts";
import type { Batch, TaskChange } from "../../queue/watch/change_stream.ts";
import { matchesFilter, mayHaveMatched, type Subscribe, taskJson } from "./frames.ts";
import type { TaskFollower } from "./task_events.ts";

/** Tasks in a frame. */
const FRAME_TASKS = 200;
/** A frame of so many characters is full. */
const FRAME_CHARS = 64 * 1024;
/** Maximum pending tasks for a slow client; beyond that it starts over. */
const MAX_PENDING = 2_000;
/** What a client subscribes to under one name. */
export class Subscription {
  /** The client has been sent everything up to here. */
  since: string;
  /** `pending` contains everything up to here. */
  heard: string;
  /** By id, the newest change of each task that the client has not been sent. */
  readonly pending = new Map<string, TaskChange>();
  /** More has happened than is kept: the client starts over. */
  isStale = false;
  /** Whether the client has its first state, so that changes may follow. */
  isReady = false;
  /** Whether events of the task are to be sent. */
  hasEvents: boolean;
  /** Whether events are being sent. */
  isSendingEvents = false;
  /** The newest commit of a task in `pending`. */
  #newest = "";

  /** @param head The newest commit, when the client asked. */
  constructor(readonly frame: Subscribe, readonly follower: TaskFollower | null, head: string) {
    this.since = head;
    this.heard = head;
    this.hasEvents = follower !== null;
  }

  /** Whether the client has been sent every change received so far. */
  get isCurrent(): boolean {
    return this.isReady && !this.isStale && !this.hasEvents && !this.isSendingEvents && this.pending.size === 0;
  }

  /** Resumes from the client's token: what it missed goes before what has arrived since. */
  replay(since: string, missed: Batch): void {
    this.since = since;
    const meanwhile = [...this.pending.values()];
    this.pending.clear();
    this.#newest = "";
    this.#take(missed);
    this.#take({ since: missed.since, changes: meanwhile });
    this.isReady = true;
  }

  /** Takes changes as they happen. If a slow client has too many, they are dropped and it starts over. */
  hear(batch: Batch): void {
    if (this.isStale) return;
    const matters = this.#take(batch);
    if (this.pending.size > MAX_PENDING) {
      this.pending.clear();
      this.isStale = true;
    }
    if (matters && this.follower) this.hasEvents = true;
  }

  /** Takes changes; true if one of them matters to the filter. */
  #take({ since, changes }: Batch): boolean {
    if (since > this.heard) this.heard = since;
    let own = false;
    for (const change of changes) {
      const matches = change.state !== null && matchesFilter(this.frame, change.state);
      const known = this.pending.get(change.id);
      if (known && known.version >= change.version) continue;
      if (!matches && !known && !mayHaveMatched(this.frame, change)) continue;
      own = true;
      const left = known ? [...known.left, ...change.left] : change.left;
      // In the order of their newest changes, so that the token can move with each frame.
      if (change.at > this.#newest) this.#newest = change.at;
      this.pending.delete(change.id);
      this.pending.set(change.id, { ...change, left, at: this.#newest });
    }
    return own;
  }

  /** The next `tasks` frame as JSON: what is pending, up to a bound. */
  nextFrame(retention: Retention): string {
    const { frame, pending } = this;
    const tasks: string[] = [];
    let chars = 0;
    for (const [id, change] of pending) {
      // The token may reach a commit only once everything in that commit has been sent.
      const isFull = tasks.length >= FRAME_TASKS || chars >= FRAME_CHARS;
      if (isFull && change.at > this.since) break;
      pending.delete(id);
      const matches = change.state !== null && matchesFilter(frame, change.state);
      const json = taskJson(change, matches, retention);
      tasks.push(json);
      chars += json.length;
      this.since = change.at > this.since ? change.at : this.since;
    }
    if (pending.size === 0) this.since = this.heard;
    const sub = JSON.stringify(frame.sub);
    return `{"type":"tasks","sub":${sub},"tasks":[${tasks.join(",")}],"since":"${this.since}"}`;
  }
}

/** The log position of a client that has the log up to the line `after` (attempt:line). */
export function positionOf(after: string | undefined): LogPosition | null {
  if (after === undefined) return null;
  const [attempt, line] = after.split(":").map(Number);
  return { attempt, line: line + 1 };
}
