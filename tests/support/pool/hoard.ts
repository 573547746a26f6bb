/** A program that lets a worker process take memory without end, and says how that ended. */

import { systemClock } from "../../../queue/task/clock.ts";
import { Pool } from "../../../queue/workers/pool.ts";
import { mayStartProcesses, ProcessWorker } from "../../../queue/workers/process_worker.ts";

if (!mayStartProcesses()) throw new Error("Processes may not be started.");
const pool = new Pool<{ hoard: { in: null; out: null } }>(
  () => new ProcessWorker(new URL("./pool_process.ts", import.meta.url), 400_000_000),
  1,
  systemClock,
);
await pool.run("hoard", null, { timeoutMs: 60_000 }).then(
  () => console.log("it got all that it wanted"),
  (error) => console.log(`refused: ${error.message}`),
);
await pool.close();
