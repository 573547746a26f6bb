/**
 * What a person does to tasks: cancel, retry, delete, one or many; pause and resume types. Whatever cannot be taken
 * back asks first; nothing is shown as done before the server says so.
 *
 * @module
 */

import { isTerminal, type Status } from "../../queue/task/record.ts";
import type { Task, TaskSummary } from "../../queue/task/summary.ts";
import { alert, say } from "./announce.ts";
import { count, number } from "./format.ts";
import type { Live } from "./live.ts";
import { type Navigation, problemOf } from "./navigate.ts";
import { ask, forget, mergeOpen, mergeTasks, type Question, type Store, titleOf, toast } from "./store.ts";
import { filterOf, filterWords, hrefOf } from "./url.ts";

/** What can be done to tasks. */
export type Action = "cancel" | "retry" | "delete";

/** For each action, in which statuses it is possible. */
const POSSIBLE: Record<Action, readonly Status[]> = {
  cancel: ["PENDING", "RUNNING"],
  retry: ["FAILED", "CANCELLED"],
  delete: ["SUCCESS", "FAILED", "CANCELLED"],
};

const VERBS = { cancel: "Cancelling", retry: "Retrying", delete: "Deleting" } as const;
const DONE = { cancel: "Cancelled", retry: "Retried", delete: "Deleted" } as const;
const CAN = { cancel: "can be cancelled", retry: "can be retried", delete: "can be deleted" } as const;

/** Without an answer for this long the page looks for itself. */
const PATIENCE_MS = 10_000;
/** More tasks than this are asked about. */
const MANY = 20;
/** Ids of one call. */
const MAX_IDS = 200;

interface Outcome {
  id: string;
  outcome: string;
  detail?: string;
}

/** Whether something can be done to a task. */
export function canBe(action: Action, { status }: { status: Status }): boolean {
  return POSSIBLE[action].includes(status);
}

/** Makes a verb of an action: "Cancel". */
export function label(action: Action): string {
  return action[0].toUpperCase() + action.slice(1);
}

/** Does what the reader asks for. */
export class Actions {
  constructor(
    private readonly store: Store,
    private readonly navigation: Navigation,
    private readonly live: Live,
  ) {}

  /** Asks a question and gives the answer. */
  confirm(question: Omit<Question, "answer">): Promise<boolean> {
    return new Promise((resolve) => {
      this.store.question.value = {
        ...question,
        answer: (yes) => {
          this.store.question.value = null;
          resolve(yes);
        },
      };
    });
  }

  /** Why nothing can be done now; null if it can. */
  get hindrance(): string | null {
    const { value } = this.store.connection;
    return value === "offline" ? "You are offline." : value === "signed_out" ? "You were signed out." : null;
  }

  #call(path: string, method: string, body?: unknown): Promise<Response> {
    if (this.hindrance) return Promise.reject(new Error(this.hindrance));
    return fetch(path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  }

  #refuse(text: string, details?: string[]): void {
    toast(this.store, { kind: "error", text, details });
    alert(this.store, text);
  }

  async #refused(answer: Response, what: string): Promise<void> {
    const detail = await problemOf(answer);
    if (answer.status === 401) this.store.connection.value = "signed_out";
    this.#refuse(answer.status === 403 ? `You may not ${what}. ${detail}` : detail);
  }

  /** Cancels a task. One that runs is asked about. */
  async cancel(task: TaskSummary): Promise<void> {
    if (
      task.status === "RUNNING" &&
      !await this.confirm({
        title: `Cancel “${task.title}”?`,
        lines: ["It is running. What it has done stays done; what it is doing is given up."],
        yes: "Cancel task",
        danger: true,
      })
    ) return;
    await this.#one(task, "cancel", () => this.#call(`/api/tasks/${task.id}`, "DELETE"));
  }

  /** Runs a task again. */
  async retry(task: TaskSummary): Promise<void> {
    const effects = this.store.types.find(({ type }) => type === task.task_type)?.side_effects;
    if (
      effects && !await this.confirm({
        title: `Retry “${task.title}”?`,
        lines: [effects],
        yes: "Retry task",
        danger: false,
      })
    ) return;
    await this.#one(task, "retry", () => this.#call(`/api/tasks/${task.id}/retry`, "POST"));
  }

  async #one(task: TaskSummary, action: Action, call: () => Promise<Response>): Promise<void> {
    const { store } = this;
    ask(store, [task.id], VERBS[action]);
    const slow = setTimeout(() => {
      toast(store, { kind: "error", text: `${label(action)} is not confirmed yet — checking.` });
      void this.navigation.readAll().catch(() => {});
    }, PATIENCE_MS);
    try {
      const answer = await call();
      if (answer.status === 409) {
        const now: Task = await (await fetch(`/api/tasks/${task.id}`)).json();
        this.#took(now);
        forget(store, task.id);
        const past = action === "cancel" ? "Nothing was cancelled." : "Nothing was retried.";
        const state = isTerminal(now.status) ? `Already finished (${now.status})` : `It is ${now.status} already`;
        return this.#refuse(`${state}. ${past}`);
      }
      if (!answer.ok) {
        forget(store, task.id);
        return await this.#refused(answer, `${action} this task`);
      }
      const now: Task = await answer.json();
      this.#took(now);
      // Asked of another instance: its answer comes with the stream.
      if (answer.status !== 202 || action === "retry") forget(store, task.id);
    } catch (error) {
      forget(store, task.id);
      this.#refuse(`${label(action)} failed: ${(error as Error).message}`);
    } finally {
      clearTimeout(slow);
    }
  }

  #took(task: Task): void {
    if (this.store.rows.has(task.id)) mergeTasks(this.store, [task]);
    mergeOpen(this.store, task);
  }

  /** Acts on what is selected. */
  async onSelected(action: Action): Promise<void> {
    const { store } = this;
    // What is known of them now: rows are newer than what was selected.
    const tasks = [...store.selected.value].map(([id, task]) => store.rows.get(id)?.value.task ?? task);
    const possible = tasks.filter((task) => canBe(action, task));
    if (possible.length === 0) return this.#refuse(`None of these ${CAN[action]}.`);
    const skipped = tasks.length - possible.length;
    const running = possible.filter(({ status }) => status === "RUNNING").length;
    const effects = action === "retry" ? this.#effectsOf(possible.map(({ task_type }) => task_type)) : [];
    if (possible.length > MANY || running > 0 || action === "delete" || effects.length > 0) {
      const lines = [
        `${count(possible.length, "task")} ${CAN[action]}${
          skipped > 0 ? `, ${number(skipped)} cannot and will be skipped` : ""
        }.`,
        ...running > 0 && action === "cancel"
          ? [`${number(running)} of them ${running === 1 ? "is" : "are"} running.`]
          : [],
        ...effects,
        ...action === "delete" ? ["Their results, logs and files are deleted too. This cannot be undone."] : [],
      ];
      const what = count(possible.length, "task");
      const sure = await this.confirm({
        title: `${label(action)} ${what}?`,
        lines,
        yes: `${label(action)} ${what}`,
        danger: action !== "retry",
      });
      if (!sure) return;
    }
    const ids = tasks.map(({ id }) => id);
    ask(store, possible.map(({ id }) => id), VERBS[action]);
    say(store, `${VERBS[action]} ${count(possible.length, "task")}.`);
    const outcomes: Outcome[] = [];
    try {
      for (let i = 0; i < ids.length; i += MAX_IDS) {
        const answer = await this.#call("/api/tasks/bulk", "POST", { action, ids: ids.slice(i, i + MAX_IDS) });
        if (!answer.ok) return await this.#refused(answer, `${action} these tasks`);
        outcomes.push(...(await answer.json()).outcomes);
      }
      this.#tell(action, outcomes);
      store.selected.value = new Map();
    } catch (error) {
      this.#refuse(`${label(action)} failed: ${(error as Error).message}`);
    } finally {
      const left = outcomes.filter(({ outcome }) => outcome === "cancel_requested").map(({ id }) => id);
      forget(store, ...ids.filter((id) => !left.includes(id)));
    }
  }

  #effectsOf(types: Iterable<string>): string[] {
    return [...new Set(types)].flatMap((type) => {
      const effects = this.store.types.find((one) => one.type === type)?.side_effects;
      return effects ? [`${titleOf(this.store, type)}: ${effects}`] : [];
    });
  }

  /** Acts on everything that matches the filter, as it stood when the list was read. */
  async onMatching(action: Action): Promise<void> {
    const { store } = this;
    const view = store.view.value;
    const { as_of, at, total, total_capped } = store.list.value;
    const filter = filterOf(view, at);
    const statuses = POSSIBLE[action].filter((status) => view.statuses.length === 0 || view.statuses.includes(status));
    try {
      const can = statuses.length === 0
        ? { total: 0, total_capped: false }
        : await this.#count({ ...filter, status: statuses.join(",") });
      const cannot = Math.max(0, total - can.total);
      if (can.total === 0) return this.#refuse(`None of these ${CAN[action]}.`);
      const what = `${number(can.total)}${can.total_capped ? "+" : ""} ${can.total === 1 ? "task" : "tasks"}`;
      const words = filterWords(view, (type) => titleOf(store, type));
      const sure = await this.confirm({
        title: `${label(action)} all that match?`,
        lines: [
          words ? `Filter: ${words}.` : "No filter: this means every task.",
          `${what} ${CAN[action]}${
            cannot > 0 ? `, ${number(cannot)}${total_capped ? "+" : ""} cannot and will be skipped` : ""
          }.`,
          ...action === "retry"
            ? this.#effectsOf(view.task_types.length > 0 ? view.task_types : store.types.map(({ type }) => type))
            : [],
          "Tasks that came after this list was read are not touched.",
        ],
        yes: `${label(action)} ${what}`,
        danger: action !== "retry",
      });
      if (!sure) return;
      const answer = await this.#call("/api/tasks/bulk", "POST", { action, filter, as_of });
      if (!answer.ok) return await this.#refused(answer, `${action} these tasks`);
      store.selected.value = new Map();
      const done = await answer.json();
      if (done.outcomes) return this.#tell(action, done.outcomes);
      this.#followBulk(action, done.task);
    } catch (error) {
      this.#refuse(`${label(action)} failed: ${(error as Error).message}`);
    }
  }

  async #count(filter: Record<string, string>): Promise<{ total: number; total_capped: boolean }> {
    const answer = await fetch(`/api/tasks/?${new URLSearchParams({ ...filter, limit: "1" })}`);
    if (!answer.ok) throw new Error(await problemOf(answer));
    return await answer.json();
  }

  #tell(action: Action, outcomes: Outcome[]): void {
    const done = outcomes.filter(({ outcome }) => outcome === "done" || outcome === "cancel_requested").length;
    const skipped = outcomes.filter(({ outcome }) => outcome === "illegal_transition");
    const failed = outcomes.filter(({ outcome }) =>
      !["done", "cancel_requested", "illegal_transition"].includes(outcome)
    );
    const parts = [`${DONE[action]} ${number(done)}`];
    if (skipped.length > 0) parts.push(`skipped ${number(skipped.length)}`);
    if (failed.length > 0) parts.push(`failed ${number(failed.length)}`);
    const text = `${parts.join(" · ")}.`;
    const details = [...skipped, ...failed].slice(0, 50).map(({ id, outcome, detail }) =>
      `${id}: ${detail ?? outcome}`
    );
    toast(this.store, { kind: failed.length > 0 ? "error" : "done", text, details });
    say(this.store, text);
  }

  #followBulk(action: Action, task: TaskSummary): void {
    const { store, live } = this;
    const link = { href: hrefOf(store.view.value, { task: task.id, tab: "overview" }), text: "Watch" };
    const text = `${VERBS[action]} a large number of tasks: this is a task of its own.`;
    toast(store, { kind: "done", text, link });
    say(store, text);
    live.follow(task.id, ({ status, message }) => {
      if (!isTerminal(status)) return;
      const told = `${DONE[action]}: ${message || status}.`;
      toast(store, { kind: status === "SUCCESS" ? "done" : "error", text: told, link });
      say(store, told);
      void this.navigation.readAll().catch(() => {});
    });
  }

  /** Stops a type from being started, or lets it go on. */
  async setPaused(type: string, paused: boolean): Promise<void> {
    const { store } = this;
    const title = titleOf(store, type);
    if (paused) {
      const { RUNNING = 0 } = store.stats.value.by_type[type] ?? {};
      const sure = await this.confirm({
        title: `Pause “${title}”?`,
        lines: [
          "New tasks of this type wait until it is resumed.",
          ...RUNNING > 0 ? [`${count(RUNNING, "task")} that ${RUNNING === 1 ? "runs goes" : "run go"} on.`] : [],
        ],
        yes: "Pause type",
        danger: false,
      });
      if (!sure) return;
    }
    try {
      const answer = await this.#call(`/api/task-types/${type}/${paused ? "pause" : "resume"}`, "POST");
      if (!answer.ok) return await this.#refused(answer, `${paused ? "pause" : "resume"} task types`);
      const { paused: info } = await answer.json();
      const all = { ...store.stats.value.paused };
      if (info) all[type] = info;
      else delete all[type];
      store.stats.value = { ...store.stats.value, paused: all };
      say(store, `${title} is ${paused ? "paused" : "resumed"}.`);
    } catch (error) {
      this.#refuse((error as Error).message);
    }
  }

  /** Submits a type's example and opens it. */
  async tryExample(type: string): Promise<void> {
    try {
      const example = this.store.types.find((one) => one.type === type)?.example;
      const answer = await this.#call("/api/tasks/submit", "POST", { task_type: type, input_params: example });
      if (!answer.ok) return await this.#refused(answer, "submit tasks");
      const task: Task = await answer.json();
      this.submitted([task]);
      this.navigation.change({ task: task.id, tab: "overview" });
    } catch (error) {
      this.#refuse((error as Error).message);
    }
  }

  /** Tells of tasks that this page has submitted, now and when they end. */
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

  /** Copies text. */
  async copy(text: string, what: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      toast(this.store, { kind: "done", text: `${what} copied.` });
      say(this.store, `${what} copied.`);
    } catch {
      this.#refuse(`${what} could not be copied; the browser does not allow it.`);
    }
  }
}

let actions: Actions | null = null;

/** Sets who does what the components ask for: only the browser has one. */
export function setActions(value: Actions): void {
  actions = value;
}

/** Who does what the components ask for. */
export function act(): Actions {
  if (!actions) throw new Error("There are no actions before the page is alive.");
  return actions;
}
