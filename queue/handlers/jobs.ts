/**
 * What workers do, by kind.
 *
 * @module
 */

import type { Dialect } from "./csv/text/dialect.ts";
import type { ReadingState } from "./csv/state.ts";
import type { CsvAnswer, CsvJob, DetectJob, JsonLinesJob } from "./csv/worker.ts";
import type { ImageJob, ImageOutput } from "./image/worker.ts";

/** Reading CSV files: our own code, which terminates for any input. */
export type CsvJobs = {
  csv_dialect: { in: DetectJob; out: Dialect };
  csv: { in: CsvJob; out: CsvAnswer };
  csv_json_lines: { in: JsonLinesJob; out: { state: ReadingState; lines: Uint8Array<ArrayBuffer> } };
};

/** Reading images: third-party code on untrusted files. */
export type ImageJobs = { image: { in: ImageJob; out: ImageOutput } };

/** What loads the handler of each kind. */
export const JOBS = {
  csv_dialect: async () => (await import("./csv/worker.ts")).detect,
  csv: async () => (await import("./csv/worker.ts")).work,
  csv_json_lines: async () => (await import("./csv/worker.ts")).writeJsonLines,
  image: async () => (await import("./image/worker.ts")).work,
};
