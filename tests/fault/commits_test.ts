import { Queue } from "../../queue/queue.ts";
import { CONNECT_LIMITS, FILE_LIMITS } from "../../queue/store/commit/atomic_size.ts";
import { assertEquals } from "../support/assert.ts";
import { faulty } from "../support/kv/faulty_kv.ts";
import { allReach, fullCount, nonZero, noop } from "../support/queue.ts";

for (const fault of ["applied, then error", "applied twice", "locked"] as const) {
  for (const [limits, shards] of [[FILE_LIMITS, 1], [CONNECT_LIMITS, 16]] as const) {
    Deno.test(`300 tasks end once each while commits are ${fault} (${limits.checks} checks, ${shards} shards)`, async () => {
      const kv = await Deno.openKv(":memory:");
      const rig = faulty(kv);
      const runs = new Map<string, number>();
      const counted = {
        ...noop,
        run: (ctx: { id: string }) => {
          runs.set(ctx.id, (runs.get(ctx.id) ?? 0) + 1);
          return Promise.resolve(null);
        },
      };
      const queue = new Queue({ kv: rig.kv, definitions: [counted], limits, shards });
      await queue.start();
      rig.fault = (commit) => commit % 3 === 0 ? fault : null;
      const cancelled = await queue.submit({ task_type: "noop", run_at: Date.now() + 3_600_000 });
      await Promise.all([
        queue.cancel(cancelled.task.task.id),
        ...Array.from({ length: 299 }, () => queue.submit({ task_type: "noop" })),
      ]);
      await allReach(queue, 300, "SUCCESS", "CANCELLED");
      rig.fault = () => null;
      assertEquals([runs.size, [...runs.values()].every((n) => n === 1)], [299, true]);
      assertEquals(nonZero(await queue.counts()), { noop: { SUCCESS: 299, CANCELLED: 1 } });
      assertEquals(await fullCount(kv), { noop: { SUCCESS: 299, CANCELLED: 1 } });
      await queue.stop();
      kv.close();
    });
  }
}
