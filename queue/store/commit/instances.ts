/**
 * Retiring instances, and the counters that their lanes leave.
 *
 * @module
 */

import { type Clock, delay } from "../../task/clock.ts";
import { decode, encode } from "../codec.ts";
import { type LaneRecord, sumTallies, type Tally } from "../counts.ts";
import { keys } from "../keys.ts";
import { backoff, listKeys, persist } from "../kv.ts";

/**
 * Ends an instance: deletes its lanes, which fences it, and adds their counters to the base; then deletes its
 * heartbeat. Any instance may repeat this after a crash midway: folded lanes are gone.
 *
 * @param beat The versionstamp of the stale heartbeat. If it has changed, nothing is done.
 * @returns Whether the instance is ended.
 */
export async function retire(kv: Deno.Kv, clock: Clock, instance: string, beat?: string): Promise<boolean> {
  const heartbeat = keys.instance(instance);
  const lanes = await persist(clock, () => listKeys(kv, keys.lanesOf(instance)));
  let alive = beat !== undefined;
  for (const key of lanes) {
    for (let tries = 1;; tries++) {
      const [lane, base] = await persist(clock, () => kv.getMany<[unknown, unknown]>([key, keys.retiredCounts()]));
      if (lane.versionstamp === null) break;
      const tally = sumTallies([
        base.value ? decode<LaneRecord>(base.value) : { counts: {} },
        decode<LaneRecord>(lane.value),
      ]);
      const atomic = kv.atomic().check(lane, base).delete(key)
        .set(keys.retiredCounts(), encode({ op: `fold:${instance}`, ...tally } satisfies LaneRecord));
      // The first fold decides: an instance whose heartbeat continues is not touched.
      if (alive) atomic.check({ key: heartbeat, versionstamp: beat! });
      const ok = await atomic.commit().then((result) => result.ok, () => false);
      if (ok) {
        alive = false;
        break;
      }
      if (alive && (await persist(clock, () => kv.get(heartbeat))).versionstamp !== beat) return false;
      await delay(clock, backoff(tries));
    }
  }
  await persist(clock, () => kv.delete(heartbeat));
  return true;
}

/** Replaces all counters by a full count. Only while no instance is open. */
export async function resetCounts(kv: Deno.Kv, tally: Tally): Promise<void> {
  const atomic = kv.atomic();
  for (const key of await listKeys(kv, keys.lanes())) atomic.delete(key);
  await atomic.commit();
  await kv.set(keys.retiredCounts(), encode({ op: "count", ...tally } satisfies LaneRecord));
}
