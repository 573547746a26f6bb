/**
 * The actions that users can take on tasks, and in which status.
 *
 * @module
 */

import type { Status } from "./record.ts";

/** The actions that users can take on tasks. */
export const TASK_ACTIONS = ["cancel", "retry", "delete"] as const;

/** One of {@linkcode TASK_ACTIONS}. */
export type TaskActionName = (typeof TASK_ACTIONS)[number];

/** What has been done, by action. */
export const PAST = { cancel: "cancelled", retry: "retried", delete: "deleted" } as const;

/** In which statuses each action is possible. */
export const ACTION_STATUSES: Readonly<Record<TaskActionName, readonly Status[]>> = {
  cancel: ["PENDING", "RUNNING"],
  retry: ["FAILED", "CANCELLED"],
  delete: ["SUCCESS", "FAILED", "CANCELLED"],
};

/**
 * Whether an action is possible in the status of a task.
 *
 * @example
 * ```ts
 * import { canBe } from "../mod.ts";
 *
 * if (canBe("retry", { status: "SUCCESS" })) throw new Error("what succeeded is not retried");
 * ```
 */
export function canBe(action: TaskActionName, { status }: { status: Status }): boolean {
  return ACTION_STATUSES[action].includes(status);
}

/** Tasks that one bulk action by ids may name; one by filter that matches more becomes a task. */
export const MAX_BULK_IDS = 200;
