/**
 * What a person does to tasks: cancel, retry, delete, one or many; pause and resume types. Whatever cannot be
 * undone asks first; nothing is shown as done until the server confirms it.
 *
 * @module
 */

import { isTerminal } from "../../queue/task/record.ts";
import type { Task, TaskSummary } from "../../queue/task/summary.ts";
import type { TaskActionName } from "../../queue/task/actions.ts";
import { showNew } from "./arrivals.ts";
import { BulkActions, label, VERBS } from "./bulk_actions.ts";
import { Requests } from "./requests.ts";
import { alert, say } from "../shell/announce.ts";
import { count } from "./format.ts";
import type { Live } from "./live.ts";
import { type Navigation, reasonOf } from "./navigate.ts";
import type { Store } from "./state.ts";
import { clearRequested, markRequested, mergeOpen, mergeTasks, titleOf, toast } from "./store.ts";

/** If no answer comes within this time, the page checks for itself. */
const PATIENCE_MS = 10_000;

/** Carries out the user's actions. */
export class Actions {
  /** On many tasks. */
  readonly bulk: BulkActions;
  readonly requests: Requests;

  constructor(private readonly store: Store, private readonly navigation: Navigation, private readonly live: Live) {
    this.requests = new Requests(store);
    this.bulk = new BulkActions(store, navigation, live, this.requests);
  }

  /** Cancels a task. Asks first if it is running. */
  async cancel(task: TaskSummary): Promise<void> {
    if (
      task.status === "RUNNING" &&
      !await this.requests.confirm({
        title: `Cancel “${task.title}”?`,
        lines: ["It is running. Finished steps are kept; the current step is stopped."],
        yes: "Cancel task",
        danger: true,
      })
    ) return;
    await this.#one(task, "cancel", () => this.requests.call(`api/tasks/${task.id}`, "DELETE"));
  }

  /** Runs a task again. */
  async retry(task: TaskSummary): Promise<void> {
    const effects = this.store.types.find(({ type }) => type === task.task_type)?.side_effects;
    if (
      effects && !await this.requests.confirm({
        title: `Retry “${task.title}”?`,
        lines: [effects],
        yes: "Retry task",
        danger: false,
      })
    ) return;
    await this.#one(task, "retry", () => this.requests.call(`api/tasks/${task.id}/retry`, "POST"));
  }

  /** Deletes an ended task. */
  async delete(task: TaskSummary): Promise<void> {
    const sure = await this.requests.confirm({
      title: `Delete “${task.title}”?`,
      lines: ["With its result, log and files. This cannot be undone."],
      yes: "Delete task",
      danger: true,
    });
    if (sure) await this.bulk.act("delete", [task]);
  }

  async #one(task: TaskSummary, action: TaskActionName, call: () => Promise<Response>): Promise<void> {
    const { store } = this;
    markRequested(store, [task.id], VERBS[action]);
    const slow = setTimeout(() => {
      toast(store, { kind: "error", text: `${label(action)} is not confirmed yet.` });
      void this.navigation.readAll().catch(() => {});
    }, PATIENCE_MS);
    try {
      const answer = await call();
      if (answer.status === 409) {
        const now: Task = await (await fetch(`api/tasks/${task.id}`)).json();
        this.#durations(now);
        clearRequested(store, task.id);
        const past = action === "cancel" ? "Nothing was cancelled." : "Nothing was retried.";
        const state = isTerminal(now.status) ? `Already finished (${now.status})` : `It is ${now.status} already`;
        return this.requests.refuse(`${state}. ${past}`);
      }
      if (!answer.ok) {
        clearRequested(store, task.id);
        return await this.requests.refused(answer, `${action} this task`);
      }
      const now: Task = await answer.json();
      this.#durations(now);
      // Requested from another instance: its answer arrives over the stream.
      if (answer.status !== 202 || action === "retry") clearRequested(store, task.id);
    } catch (error) {
      clearRequested(store, task.id);
      this.requests.refuse(`${label(action)} failed: ${reasonOf(error)}`);
    } finally {
      clearTimeout(slow);
    }
  }

  #durations(task: Task): void {
    if (this.store.rows.has(task.id)) mergeTasks(this.store, [task]);
    mergeOpen(this.store, task);
  }

  /** Pauses or resumes a type. */
  async setPaused(type: string, paused: boolean): Promise<void> {
    const { store } = this;
    const title = titleOf(store, type);
    let reason: string | null = "";
    if (paused) {
      const { RUNNING = 0 } = store.stats.value.by_type[type] ?? {};
      reason = await this.requests.ask({
        title: `Pause “${title}”?`,
        lines: [
          "New tasks will wait until you resume.",
          ...RUNNING > 0 ? [`${count(RUNNING, "running task")} will continue.`] : [],
        ],
        yes: "Pause type",
        danger: false,
        field: "Reason (optional)",
      });
      if (reason === null) return;
    }
    try {
      const path = `api/task-types/${type}/${paused ? "pause" : "resume"}`;
      const answer = await this.requests.call(path, "POST", paused ? { reason } : undefined);
      if (!answer.ok) return await this.requests.refused(answer, `${paused ? "pause" : "resume"} task types`);
      const { paused: info } = await answer.json();
      const all = { ...store.stats.value.paused };
      if (info) all[type] = info;
      else delete all[type];
      store.stats.value = { ...store.stats.value, paused: all };
      say(store, `${title} is ${paused ? "paused" : "resumed"}.`);
    } catch (error) {
      this.requests.refuse(reasonOf(error));
    }
  }

  /** Submits a type's example and opens it. */
  async tryExample(type: string): Promise<void> {
    try {
      const example = this.store.types.find((one) => one.type === type)?.example;
      const answer = await this.requests.call("api/tasks/submit", "POST", { task_type: type, input_params: example });
      if (!answer.ok) return await this.requests.refused(answer, "submit tasks");
      const task: Task = await answer.json();
      this.submitted([task]);
      this.navigation.change({ task: task.id, tab: "overview" });
    } catch (error) {
      this.requests.refuse(reasonOf(error));
    }
  }

  /** Announces tasks submitted from this page, now and when they end. */
  submitted(tasks: TaskSummary[]): void {
    const { store, live } = this;
    for (const task of tasks) {
      live.follow(task.id, (now) => {
        if (now.status === "SUCCESS") say(store, `${now.title}: succeeded${now.message ? `, ${now.message}` : ""}.`);
        else if (now.status === "FAILED") {
          alert(store, `${now.title} failed: ${now.error?.message ?? "no reason given"}`);
        }
      });
    }
  }

  /** Opens a task, in the section that is open. */
  open(task: string): void {
    this.navigation.change({ task });
  }

  /** Shows the new tasks that wait. */
  showNew(): void {
    showNew(this.store, this.live);
  }

  /** Copies text. */
  async copy(text: string, what: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      toast(this.store, { kind: "done", text: `${what} copied.` });
      say(this.store, `${what} copied.`);
    } catch {
      this.requests.refuse(`${what} could not be copied; the browser does not allow it.`);
    }
  }
}

let current: Actions | null = null;

/** Sets the actions that components call: only in the browser. */
export function setActions(value: Actions): void {
  current = value;
}

/** The actions that components call. */
export function actions(): Actions {
  if (!current) throw new Error("Actions are not available before the page has started.");
  return current;
}
