/**
 * The module that the workers of the pool run.
 *
 * @module
 */

import { serveJobs } from "../pool_worker.ts";
import type { CsvAnswer, CsvJob } from "./csv/worker.ts";
import type { ImageJob, ImageOutput } from "./image/worker.ts";

/** What the pool of this installation does. */
export type HandlerJobs = {
  csv: { in: CsvJob; out: CsvAnswer };
  image: { in: ImageJob; out: ImageOutput };
};

serveJobs({
  csv: async () => (await import("./csv/worker.ts")).work,
  image: async () => (await import("./image/worker.ts")).work,
});
