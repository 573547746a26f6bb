/**
 * Actions on many tasks: on those that are selected, and on all that match the filter.
 *
 * @module
 */

import { ACTION_STATUSES, canBe, MAX_BULK_IDS, PAST, type TaskActionName } from "../../queue/task/actions.ts";
import { isTerminal } from "../../queue/task/record.ts";
import type { TaskSummary } from "../../queue/task/summary.ts";
import { say } from "../shell/announce.ts";
import { clockTime, count, number } from "./format.ts";
import type { Live } from "./live.ts";
import { type Navigation, problemOf, reasonOf } from "./navigate.ts";
import type { Requests } from "./requests.ts";
import type { Store } from "./state.ts";
import { clearRequested, clearSelection, markRequested, timeWords, titleOf, toast } from "./store.ts";
import { filterOf, hrefOf } from "./url.ts";
import { filterWords } from "../list/filter_words.ts";

/** What is being done, by action. */
export const VERBS = { cancel: "Cancelling", retry: "Retrying", delete: "Deleting" } as const;
const DONE = { cancel: "Cancelled", retry: "Retried", delete: "Deleted" } as const;

/** Why an action is possible on none of some tasks. */
export const WHY_NOT = {
  cancel: "All of these have already finished.",
  retry: "None of these has failed or was cancelled.",
  delete: "None of these has finished.",
} as const;

/** Ask before acting on more tasks than this. */
const MANY = 20;

interface Outcome {
  id: string;
  outcome: string;
  detail?: string;
}

/** An action as a label: "Cancel". */
export function label(action: TaskActionName): string {
  return action[0].toUpperCase() + action.slice(1);
}

/** Acts on many tasks. */
export class BulkActions {
  constructor(
    private readonly store: Store,
    private readonly navigation: Navigation,
    private readonly live: Live,
    private readonly requests: Requests,
  ) {}

  /** Acts on what is selected. */
  async onSelected(action: TaskActionName): Promise<void> {
    const { store } = this;
    // Use their current state: rows are newer than the selection.
    const tasks = [...store.selected.value].map(([id, task]) => store.rows.get(id)?.value.task ?? task);
    const possible = tasks.filter((task) => canBe(action, task));
    if (possible.length === 0) return this.requests.refuse(WHY_NOT[action]);
    const skipped = tasks.length - possible.length;
    const running = possible.filter(({ status }) => status === "RUNNING").length;
    const effects = action === "retry" ? this.#effectsOf(possible.map(({ task_type }) => task_type)) : [];
    const elsewhere = possible.filter(({ id }) => !store.rows.has(id)).length;
    if (possible.length > MANY || running > 0 || elsewhere > 0 || action === "delete" || effects.length > 0) {
      const lines = [
        ...elsewhere > 0
          ? [`${count(elsewhere, "task")} of them ${elsewhere === 1 ? "is" : "are"} not on this page.`]
          : [],
        `${count(possible.length, "task")} can be ${PAST[action]}${
          skipped > 0 ? `, ${number(skipped)} will be skipped` : ""
        }.`,
        ...running > 0 && action === "cancel"
          ? [`${number(running)} of them ${running === 1 ? "is" : "are"} running.`]
          : [],
        ...effects,
        ...action === "delete" ? ["With results, logs and files. This cannot be undone."] : [],
      ];
      const what = count(possible.length, "task");
      const sure = await this.requests.confirm({
        title: `${label(action)} ${what}?`,
        lines,
        yes: `${label(action)} ${what}`,
        danger: action !== "retry",
      });
      if (!sure) return;
    }
    if (await this.act(action, tasks)) clearSelection(store);
  }

  /** Acts on tasks without asking; true if the server has answered. */
  async act(action: TaskActionName, tasks: TaskSummary[]): Promise<boolean> {
    const { store } = this;
    const possible = tasks.filter((task) => canBe(action, task));
    const ids = tasks.map(({ id }) => id);
    markRequested(store, possible.map(({ id }) => id), VERBS[action]);
    say(store, `${VERBS[action]} ${count(possible.length, "task")}.`);
    const outcomes: Outcome[] = [];
    try {
      for (let i = 0; i < ids.length; i += MAX_BULK_IDS) {
        const answer = await this.requests.call("api/tasks/bulk", "POST", {
          action,
          ids: ids.slice(i, i + MAX_BULK_IDS),
        });
        if (!answer.ok) {
          await this.requests.refused(answer, `${action} these tasks`);
          return false;
        }
        outcomes.push(...(await answer.json()).outcomes);
      }
      this.#tell(action, outcomes);
      return true;
    } catch (error) {
      this.requests.refuse(reasonOf(error));
      return false;
    } finally {
      const left = outcomes.filter(({ outcome }) => outcome === "cancel_requested").map(({ id }) => id);
      clearRequested(store, ...ids.filter((id) => !left.includes(id)));
    }
  }

  #effectsOf(types: Iterable<string>): string[] {
    return [...new Set(types)].flatMap((type) => {
      const effects = this.store.types.find((one) => one.type === type)?.side_effects;
      return effects ? [`${titleOf(this.store, type)}: ${effects}`] : [];
    });
  }

  /** Acts on everything that matches the filter, as far as it is shown. */
  async onMatching(action: TaskActionName): Promise<void> {
    const { store } = this;
    const view = store.view.value;
    const { as_of, at, total, total_capped } = store.list.value;
    const filter = filterOf(view, at);
    // What is counted is what is touched: nothing that came after the rows that are shown.
    const newest = store.rows.get(store.order.value[0])?.value.task.created_at ?? 0;
    const created_to = new Date(Math.max(at, +new Date(newest)) + 1).toISOString();
    const statuses = ACTION_STATUSES[action].filter((status) =>
      view.statuses.length === 0 || view.statuses.includes(status)
    );
    try {
      const can = statuses.length === 0
        ? { total: 0, total_capped: false }
        : await this.#count({ created_to, ...filter, status: statuses.join(",") });
      const cannot = Math.max(0, total - can.total);
      if (can.total === 0) return this.requests.refuse(WHY_NOT[action]);
      const what = `${number(can.total)}${can.total_capped ? "+" : ""} ${can.total === 1 ? "task" : "tasks"}`;
      const words = filterWords(view, (type) => titleOf(store, type), timeWords(store));
      const sure = await this.requests.confirm({
        title: `${label(action)} all ${words ? "matching tasks" : "tasks"}?`,
        lines: [
          words ? `Filter: ${words}.` : "No filter: every task.",
          `${what} can be ${PAST[action]}${
            cannot > 0 ? `, ${number(cannot)}${total_capped ? "+" : ""} will be skipped` : ""
          }.`,
          ...action === "retry"
            ? this.#effectsOf(view.task_types.length > 0 ? view.task_types : store.types.map(({ type }) => type))
            : [],
          `Tasks created after ${clockTime(Date.parse(created_to), store.preferences.value.time)} are not affected.`,
        ],
        yes: `${label(action)} ${what}`,
        danger: action !== "retry",
      });
      if (!sure) return;
      const answer = await this.requests.call("api/tasks/bulk", "POST", { action, filter, as_of });
      if (!answer.ok) return await this.requests.refused(answer, `${action} these tasks`);
      clearSelection(store);
      const done = await answer.json();
      if (done.outcomes) return this.#tell(action, done.outcomes);
      this.#followBulk(action, done.task, what);
    } catch (error) {
      this.requests.refuse(reasonOf(error));
    }
  }

  async #count(filter: Record<string, string>): Promise<{ total: number; total_capped: boolean }> {
    const answer = await fetch(`api/tasks/?${new URLSearchParams({ ...filter, limit: "1" })}`);
    if (!answer.ok) throw new Error(await problemOf(answer));
    return await answer.json();
  }

  #tell(action: TaskActionName, outcomes: Outcome[]): void {
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
    // What has left the filter, or come back into it, is counted anew.
    void this.navigation.readAll().catch(() => {});
  }

  #followBulk(action: TaskActionName, task: TaskSummary, what: string): void {
    const { store, live } = this;
    const link = { href: hrefOf(store.view.value, { task: task.id, tab: "overview" }), text: "View progress" };
    const text = `${VERBS[action]} ${what} in the background.`;
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
}
