/**
 * Repairs what a check has found. Only while no server uses the store.
 *
 * @module
 */

import { systemClock } from "../task/clock.ts";
import { Committer } from "../store/commit/committer.ts";
import { resetCounts } from "../store/commit/instances.ts";
import { FILE_LIMITS } from "../store/commit/atomic_size.ts";
import { newId } from "../task/ids.ts";
import { silent } from "../log.ts";
import { checkStore, type StoreReport } from "./check.ts";

/** Rounds of repair: fixing one problem can uncover another. */
const ROUNDS = 5;

/** Repairs a store as far as possible. Returns what is still wrong after that. */
export async function repairStore(kv: Deno.Kv): Promise<StoreReport> {
  const clock = systemClock;
  let report = await checkStore(kv, clock.now());
  for (let round = 0; round < ROUNDS && report.problems.length > 0; round++) {
    const committer = new Committer({
      kv,
      clock,
      log: silent,
      limits: FILE_LIMITS,
      lanes: 1,
      distributed: false,
      deadlineMs: 60_000,
      onCommitted: () => {},
      onFenced: () => {},
    });
    await committer.open(newId(clock.now()));
    for (const { fix } of report.problems) {
      const changeset = await fix?.();
      if (changeset) await committer.commit(changeset);
    }
    await committer.close(10_000);
    await resetCounts(kv, (await checkStore(kv, clock.now())).tally);
    report = await checkStore(kv, clock.now());
  }
  return report;
}
