/**
 * Whether anything is left to do now, for hosts that stop an instance which nothing keeps awake.
 *
 * @module
 */

import type { Core } from "../core.ts";
import type { Pauses } from "../run/pauses.ts";
import { decode } from "../store/codec.ts";
import { isFence, keys } from "../store/keys.ts";
import type { RunRecord } from "../task/record.ts";

/**
 * Whether a task is ready, due, or held here or by an instance that may be dead, or an effect is pending. Tasks of types
 * that are paused or unknown here do not count.
 *
 * @param isAlive Whether an instance is known to be alive.
 */
export async function hasUnfinished(
  { kv, clock, committer, registry }: Core,
  pauses: Pauses,
  isAlive: (instance: string) => boolean,
): Promise<boolean> {
  for await (const { value } of kv.list({ prefix: keys.runs() }, { batchSize: 500 })) {
    const { instance } = decode<RunRecord>(value);
    if (instance === committer.instance || !isAlive(instance)) return true;
  }
  const now = clock.now();
  for (const prefix of [keys.allScheduled(), keys.expiries(), keys.ticks()]) {
    for await (const { key } of kv.list({ prefix }, { limit: 1 })) if (key[1] as number <= now) return true;
  }
  for await (const _ of kv.list({ prefix: keys.effects() }, { limit: 1 })) return true;
  const paused = await pauses.read();
  for (const { type } of registry.all()) {
    if (paused.has(type)) continue;
    for await (const { key } of kv.list({ prefix: keys.readyOf(type) }, { batchSize: 100 })) {
      if (!isFence(key)) return true;
    }
  }
  return false;
}
