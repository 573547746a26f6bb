/**
 * What is told of the work of a queue to whoever measures it.
 *
 * @module
 */

import { type Change, readySince } from "../store/changeset.ts";
import { startOf } from "../store/commit/lane_series.ts";
import { type Attempt, isTerminal, statusOf, type TerminalStatus } from "../task/record.ts";

/** Is told of what this instance does. Its functions are called between commits: they are fast and do not throw. */
export interface QueueObserver {
  /** Tasks were moved, and that is committed. */
  moved?(changes: readonly Change[]): void;
  /**
   * An atomic was committed.
   *
   * @param ms How long that took, in milliseconds.
   * @param changesets How many writes it held.
   */
  committed?(ms: number, changesets: number): void;
}

/** What a change meant for its task. */
export interface TaskMove {
  /** Whether the task is new. */
  submitted: boolean;
  /** How long it had been ready when it was started, in milliseconds; null: it was not started. */
  waited: number | null;
  /** The attempt that has ended; null: none. */
  attempt: Attempt | null;
  /** The status that it ended with; null: it has not just ended. */
  ended: TerminalStatus | null;
}

/** What a change meant for its task. */
export function moveOf({ before, after }: Change): TaskMove {
  const start = startOf(before, after);
  const waited = start === null ? null : before?.task.placement ? Math.max(0, start - readySince(before.task)) : 0;
  const last = before?.run && after && !after.run ? after.task.attempts.at(-1) : undefined;
  const attempt = last && last.attempt === before!.run!.attempt ? last : null;
  const status = after && statusOf(after);
  const ended = status && isTerminal(status) && !(before && statusOf(before) === status) ? status : null;
  return { submitted: before === null, waited, attempt, ended };
}
