import { assertEquals } from "../../support/assert.ts";
import { noop, withFakeClock } from "../../support/queue.ts";
import { createLogger } from "../../../queue/log.ts";

Deno.test("health finds the oldest ready task of all shards, and writes only if no commit has just proved the store", async () => {
  const lines: string[] = [];
  const log = createLogger("warn", "json", () => 0, (line) => lines.push(line));
  await withFakeClock({ definitions: [noop], worker: false, shards: 16, log }, async (queue, clock) => {
    assertEquals(await queue.health(), { kv: true, runner: true, backlog_age_ms: 0 });
    for (let i = 0; i < 40; i++) {
      await queue.submit({ task_type: "noop" });
      clock.sleep(100);
    }
    const { atomics } = queue.commitStats;
    assertEquals((await queue.health()).backlog_age_ms, 4_000);
    assertEquals(queue.commitStats.atomics, atomics);
    clock.sleep(30_000);
    assertEquals((await queue.health()).kv, true);
    assertEquals(queue.commitStats.atomics, atomics + 1);
  });
  assertEquals(lines, []);
});
