/**
 * The page's one socket: it keeps the store current and comes back by itself after a break.
 *
 * @module
 */

import type { Task, TaskHistoryEvent, TaskSummary } from "../queue/task.ts";
import { mergeLog, mergeTask, removeTask, showWaiting, type Store } from "./store.ts";

type Changed = (TaskSummary & { matches: boolean; deleted?: undefined }) | { id: string; deleted: true };

type Frame =
  | { type: "hello"; server_time: string }
  | { type: "heartbeat"; server_time: string }
  | { type: "snapshot"; sub: string; tasks: TaskSummary[]; since: string }
  | { type: "tasks"; sub: string; tasks: Changed[]; since: string }
  | { type: "events"; sub: string; events: TaskHistoryEvent[]; since: string }
  | { type: "resync"; sub: string };

/** Without a frame for this long the connection counts as broken: the server beats every 10 s. */
const SILENCE_MS = 15_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;
/** Totals are read at most this often. */
const TOTALS_MS = 500;

/** Connects the store to the server for as long as the page is open. */
export function goLive(store: Store, isBusy: () => boolean): void {
  const { view } = store.data;
  const tokens: Record<string, string | undefined> = { list: store.data.since, open: store.data.since };
  let offset = Date.parse(store.data.server_time) - Date.now();
  let retries = 0;
  let totalsTimer: ReturnType<typeof setTimeout> | undefined;
  let openTimer: ReturnType<typeof setTimeout> | undefined;

  setInterval(() => {
    if (store.connection.value === "live") store.now.value = Date.now() + offset;
  }, 1_000);

  const readTotals = () => {
    totalsTimer ??= setTimeout(async () => {
      const answer = await fetch("/api/stats").catch(() => null);
      totalsTimer = undefined;
      if (answer?.ok) store.stats.value = await answer.json();
    }, TOTALS_MS);
  };

  const readOpen = () => {
    openTimer ??= setTimeout(async () => {
      const answer = await fetch(`/api/tasks/${view.task}`).catch(() => null);
      openTimer = undefined;
      if (!answer?.ok) return;
      const task: Task = await answer.json();
      if (task.version >= (store.open.value?.version ?? 0)) store.open.value = task;
    }, 100);
  };

  const takeOpen = (task: TaskSummary) => {
    const known = store.open.value;
    if (!known || task.version <= known.version) return;
    // What a summary lacks is read when the task enters another state.
    if (task.status !== known.status) readOpen();
    store.open.value = { ...known, ...task, error: task.error && { ...task.error } };
  };

  const take = (frame: Frame) => {
    if (frame.type === "hello" || frame.type === "heartbeat") {
      offset = Date.parse(frame.server_time) - Date.now();
    } else if (frame.type === "resync") {
      // Too much was missed to catch up: the server renders the view anew.
      if (frame.sub === "list") location.reload();
      else readOpen();
    } else if (frame.type === "events") {
      mergeLog(store, frame.events);
    } else {
      tokens[frame.sub] = frame.since;
      for (const task of frame.tasks) {
        if ("deleted" in task && task.deleted) removeTask(store, task.id);
        else if (frame.sub === "open") takeOpen(task as TaskSummary);
        else mergeTask(store, task as TaskSummary);
      }
      if (frame.sub === "list") readTotals();
      // New rows move nothing away from under a pointer or the focus.
      if (frame.sub === "list" && !isBusy()) showWaiting(store);
    }
  };

  const connect = () => {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    let silence: ReturnType<typeof setTimeout> | undefined;
    const watch = () => {
      clearTimeout(silence);
      silence = setTimeout(() => socket.close(), SILENCE_MS);
    };
    socket.onopen = () => {
      retries = 0;
      watch();
      const filter = {
        task_types: view.task_types.length > 0 ? view.task_types : undefined,
        statuses: view.statuses.length > 0 ? view.statuses : undefined,
      };
      socket.send(JSON.stringify({ type: "subscribe", sub: "list", since: tokens.list, ...filter }));
      if (store.open.value) {
        socket.send(JSON.stringify({ type: "subscribe", sub: "open", since: tokens.open, id: view.task }));
      }
      store.connection.value = "live";
    };
    socket.onmessage = ({ data }) => {
      watch();
      take(JSON.parse(data));
    };
    socket.onclose = async () => {
      clearTimeout(silence);
      store.connection.value = "reconnecting";
      const wait = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** retries++) * (0.5 + Math.random() / 2);
      // A refused upgrade does not say why; an ordinary call does.
      const answer = await fetch("/api/stats").catch(() => null);
      if (answer?.status === 401) store.connection.value = "signed_out";
      else setTimeout(connect, wait);
    };
  };
  connect();
}
