/**
 * The frames of the WebSocket, and which changes a subscription's filter lets through.
 *
 * @module
 */

import { FILTER_TYPES, TYPE_CHARS } from "../../queue/task/limits.ts";
import * as z from "zod";
import { STATUSES, statusOf, type TaskState } from "../../queue/task/record.ts";
import { type Retention, summaryOf } from "../../queue/task/summary.ts";
import type { TaskChange } from "../../queue/watch/change_stream.ts";

/** The name of a subscription. */
const sub = z.string().min(1).max(64).default("default");

const subscribeSchema = z.strictObject({
  type: z.literal("subscribe"),
  sub,
  id: z.string().max(26).optional(),
  task_types: z.array(z.string().max(TYPE_CHARS)).max(FILTER_TYPES).optional(),
  statuses: z.array(z.enum(STATUSES)).max(5).optional(),
  since: z.string().max(64).optional(),
  /** The last line of the log that the client has, as attempt:line. */
  after: z.string().regex(/^\d{1,9}:\d{1,9}$/, "Must be attempt:line.").optional(),
  /** The statistics instead of tasks. */
  stats: z.literal(true).optional(),
}).refine(({ stats, type: _, sub: __, ...filter }) => !stats || Object.keys(filter).length === 0, {
  path: ["stats"],
  message: "The statistics have no filter.",
});

/** What a client may send. */
export const frameSchema = z.discriminatedUnion("type", [
  subscribeSchema,
  z.strictObject({ type: z.literal("unsubscribe"), sub }),
  z.strictObject({ type: z.literal("ping") }),
], {
  error: ({ input }) =>
    typeof input === "object" && input !== null && !Array.isArray(input)
      ? "Must be subscribe, unsubscribe or ping."
      : "A frame is an object.",
});

/** A request to subscribe. */
export type Subscribe = z.output<typeof subscribeSchema>;

/** Whether a task is in the subscription's filter now. */
export function matchesFilter(frame: Subscribe, state: TaskState): boolean {
  if (frame.id !== undefined && frame.id !== state.task.id) return false;
  if (frame.task_types && !frame.task_types.includes(state.task.task_type)) return false;
  return !frame.statuses || frame.statuses.includes(statusOf(state));
}

/** Whether a task can have been in the filter before a change. */
export function mayHaveMatched(frame: Subscribe, change: TaskChange): boolean {
  if (frame.id !== undefined && frame.id !== change.id) return false;
  if (frame.task_types && !frame.task_types.includes(change.task_type)) return false;
  return !frame.statuses || change.to === null || change.left.some((status) => frame.statuses!.includes(status));
}

/** Whether a change may matter to a filter, as far as can be determined without reading the task. */
export function mayMatter(frame: Subscribe, change: TaskChange): boolean {
  if (mayHaveMatched(frame, change)) return true;
  return mayHaveMatched({ ...frame, statuses: undefined }, change) && frame.statuses!.includes(change.to!);
}

/** Serialized summaries, shared by all who are sent the same state. */
const serialized = new WeakMap<TaskState, string>();

/** A task in a `tasks` frame: its summary, and whether it is in the filter now. */
export function taskJson(change: TaskChange, matches: boolean, retention: Retention): string {
  if (!change.state) {
    return JSON.stringify({ id: change.id, version: change.version, deleted: true, matches: false });
  }
  let json = serialized.get(change.state);
  if (json === undefined) {
    json = JSON.stringify(summaryOf(change.state, retention)).slice(0, -1);
    serialized.set(change.state, json);
  }
  return `${json},"matches":${matches}}`;
}
