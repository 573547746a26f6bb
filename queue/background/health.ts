/**
 * The health check of the queue.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { emptyChangeset } from "../store/changeset.ts";
import { decode, encode } from "../store/codec.ts";
import { keys } from "../store/keys.ts";
import { within } from "../task/clock.ts";
import { ClosedError, OutcomeUnknownError } from "../task/errors.ts";

/** How long a check waits for the store, in milliseconds. */
const STORE_WAIT_MS = 2_000;
/** The entry that a check writes is gone after this time, in milliseconds. */
const PROBE_KEPT_MS = 60_000;

/** What a check has found. */
export interface Health {
  /** Whether the store can be written and read. */
  kv: boolean;
  /** Whether tasks are claimed and the heartbeat is renewed. */
  runner: boolean;
  /** How long the oldest ready task has waited, in milliseconds. */
  backlog_age_ms: number;
}

/** Writes and reads the store, and looks for the oldest ready task. */
export async function checkHealth(
  { kv, committer, registry, clock, log }: Core,
  isRunning: boolean,
): Promise<Health> {
  const probe = keys.probe(committer.instance);
  let isStored = false;
  let backlog = 0;
  try {
    const at = encode(clock.now());
    const changeset = { ...emptyChangeset("probe"), puts: [{ key: probe, value: at, expireIn: PROBE_KEPT_MS }] };
    if (!await within(clock, STORE_WAIT_MS, committer.commit(changeset))) throw new OutcomeUnknownError();
    isStored = decode<number>((await kv.get(probe)).value) === decode<number>(at);
    for (const { type } of registry.all()) {
      for await (const entry of kv.list({ prefix: keys.readyOf(type) }, { limit: 1 })) {
        backlog = Math.max(backlog, clock.now() - decode<number>(entry.value));
      }
    }
  } catch (error) {
    if (!(error instanceof ClosedError)) log.error("The health check could not use the store.", { error });
  }
  return { kv: isStored, runner: isRunning, backlog_age_ms: Math.max(0, backlog) };
}
