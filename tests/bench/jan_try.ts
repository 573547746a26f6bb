import { Queue } from "../../queue/queue.ts";
import { noop } from "../support/queue.ts";
import { systemClock } from "../../queue/clock.ts";
const dir = await Deno.makeTempDir();
const kv = await Deno.openKv(dir + "/a.db");
let off = 0;
const clock = { ...systemClock, now: () => Date.now() + off };
const q = new Queue({ kv, definitions: [noop], clock });
await q.start();
const N = 40000;
const b = Array.from({ length: 200 }, () => ({ task_type: "noop" }));
for (let i = 0; i < N / 200; i += 4) await Promise.all([0, 1, 2, 3].map(() => q.submitBatch(b)));
while (((await q.counts()).noop?.SUCCESS ?? 0) < N) await new Promise((r) => setTimeout(r, 100));
off = 8 * 86400_000;
const t = performance.now();
await q.clean();
console.log(
  "removed",
  N,
  "in",
  Math.round(performance.now() - t),
  "ms",
  Math.round(N / ((performance.now() - t) / 1000)),
  "/s",
  await q.counts(),
);
await q.stop();
Deno.exit(0);
