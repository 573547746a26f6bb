/**
 * What a check of a store finds, and which changeset repairs each finding.
 *
 * @module
 */

import { type Changeset, emptyChangeset, transition } from "../store/changeset.ts";
import { encode } from "../store/codec.ts";
import { keys } from "../store/keys.ts";
import { readTask } from "../store/reads.ts";
import type { TaskState } from "../task/record.ts";

/** A violated invariant. */
export interface StoreProblem {
  /** The entry that is wrong, or the task that something is wrong with. */
  key: Deno.KvKey;
  detail: string;
  /** Creates the changeset that repairs it; null if only the counters are wrong, or nothing can be done. */
  fix: (() => Promise<Changeset | null>) | null;
}

/** Kinds of entries that are independent of others: they only need to be readable. */
export const READABLE = [
  "effect",
  "rate",
  "pause",
  "series",
  "annotation",
  "probe",
  "change",
  "change_floor",
  "wakeup",
  "role",
  "upload_fence",
  "ended_session",
  "token",
  "token_name",
  "audit",
  "alert_rule",
  "alert_state",
  "lost_instance",
  "suppressed",
  "mail_sent",
  "inbox",
  "undelivered",
  "meta",
];

/** The first parts of all keys that a check looks at. */
export const CHECKED_KINDS: ReadonlySet<string> = new Set([
  ...READABLE,
  "task",
  "result",
  "run",
  "ready",
  "scheduled",
  "blocked",
  "key_waiting",
  "index",
  "key_holders",
  "child",
  "expiry",
  "retention",
  "tombstone",
  "unique",
  "retried_as",
  "step",
  "log",
  "checkpoint",
  "artifact",
  "upload",
  "upload_ref",
  "blob",
  "blob_pending",
  "idempotency",
  "cancel_request",
  "instance",
  "lane",
  "schedule",
  "tick",
]);

/** Goes through entries and collects what is wrong with them. */
export class Findings {
  readonly problems: StoreProblem[] = [];
  /** How many entries have been checked. */
  entries = 0;

  constructor(private readonly kv: Deno.Kv) {}

  /** Looks at every entry of a prefix; one that cannot be read is a finding. */
  async each(prefix: Deno.KvKey, look: (entry: Deno.KvEntry<unknown>) => void): Promise<void> {
    for await (const entry of this.kv.list({ prefix }, { batchSize: 500 })) {
      this.entries++;
      try {
        look(entry);
      } catch (error) {
        if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
        this.report(entry.key, `cannot be read: ${error.message}`);
      }
      // Yields to other work.
      if (this.entries % 5_000 === 0) await this.kv.get(keys.wakeup());
    }
  }

  /** Reports a problem; without `fix` it cannot be repaired. */
  report(key: Deno.KvKey, detail: string, fix: StoreProblem["fix"] = null): void {
    this.problems.push({ key, detail, fix });
  }

  /** An entry that is to be deleted. */
  remove({ key }: Deno.KvEntry<unknown>, detail: string): void {
    this.report(key, detail, () => Promise.resolve({ ...emptyChangeset(JSON.stringify(key)), deletes: [key] }));
  }

  /** An entry that is missing or wrong. */
  put(key: Deno.KvKey, detail: string, value: unknown): void {
    const puts = [{ key, value: encode(value) }];
    this.report(key, detail, () => Promise.resolve({ ...emptyChangeset(JSON.stringify(key)), puts }));
  }

  /** A task that is to be moved to another state. */
  move(key: Deno.KvKey, detail: string, id: string, next: (state: TaskState) => TaskState): void {
    this.report(key, detail, async () => {
      const state = await readTask(this.kv, id);
      return state && transition(state, next(state));
    });
  }
}
