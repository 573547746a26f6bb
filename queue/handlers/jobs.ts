/**
 * What workers do, by kind.
 *
 * @module
 */

import type { CsvAnswer, CsvJob } from "./csv/worker.ts";
import type { ImageJob, ImageOutput } from "./image/worker.ts";

/** Reading CSV files: our own code, which terminates for any input. */
export type CsvJobs = { csv: { in: CsvJob; out: CsvAnswer } };

/** Reading images: third-party code on untrusted files. */
export type ImageJobs = { image: { in: ImageJob; out: ImageOutput } };

/** What loads the handler of each kind. */
export const JOBS = {
  csv: async () => (await import("./csv/worker.ts")).work,
  image: async () => (await import("./image/worker.ts")).work,
};
