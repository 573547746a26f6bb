/**
 * The health check of the queue.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { emptyChangeset, readySince } from "../store/changeset.ts";
import { decode, encode } from "../store/codec.ts";
import { isFence, keys } from "../store/keys.ts";
import { recordIn } from "../store/task_codec.ts";
import { within } from "../task/clock.ts";
import { ClosedError, OutcomeUnknownError } from "../task/errors.ts";

/** How long a check waits for the store, in milliseconds. */
const STORE_WAIT_MS = 2_000;
/** A commit of so long ago proves that the store can be written. Milliseconds. */
const PROVEN_MS = 30_000;
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

/** Writes the store, unless a commit has just proved that it can be written, reads it, and looks for the oldest ready task. */
export async function checkHealth(core: Core, isRunning: boolean): Promise<Health> {
  const { committer, clock, log } = core;
  const probe = keys.probe(committer.instance);
  let isStored = false;
  let backlog = 0;
  try {
    if (clock.monotonic() - committer.lastCommitAt >= PROVEN_MS) {
      const puts = [{ key: probe, value: encode(clock.now()), expireIn: PROBE_KEPT_MS }];
      const written = committer.commit({ ...emptyChangeset("probe"), puts });
      if (!await within(clock, STORE_WAIT_MS, written)) throw new OutcomeUnknownError();
    }
    backlog = Math.max(0, ...Object.values(await oldestReady(core)));
    isStored = true;
  } catch (error) {
    if (!(error instanceof ClosedError)) log.error("The health check could not use the store.", { error });
  }
  return { kv: isStored, runner: isRunning, backlog_age_ms: backlog };
}

/** How long the oldest ready task of each type has waited, in milliseconds; types without one are left out. */
export async function oldestReady({ kv, registry, clock }: Core): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  const now = clock.now();
  await Promise.all(
    registry.all().map(async ({ type }) => {
      const since = await heads(kv, type);
      if (since.length > 0) found[type] = Math.max(0, now - Math.min(...since));
    }),
  );
  return found;
}

/** Since when the first task of each shard of a type has been ready. */
async function heads(kv: Deno.Kv, type: string): Promise<number[]> {
  const found: number[] = [];
  const prefix = keys.readyOf(type);
  let selector: Deno.KvListSelector = { prefix };
  while (true) {
    let shard: number | null = null;
    // The fence of a shard, and the first of its tasks.
    for await (const { key, value } of kv.list(selector, { limit: 2 })) {
      shard ??= key[2] as number;
      if (key[2] !== shard || isFence(key)) continue;
      const record = recordIn(value);
      found.push(record ? readySince(record) : decode<number>(value));
    }
    if (shard === null) return found;
    selector = { prefix, start: keys.fence(type, shard + 1) };
  }
}
