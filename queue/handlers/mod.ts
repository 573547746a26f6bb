/**
 * The task types of this installation. A new type is one file beside this one and one line here.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { AnyTaskDefinition } from "../define.ts";
import { Pool } from "../pool.ts";
import { csvProcessing } from "./csv_processing.ts";
import { emailSending } from "./email_sending.ts";
import { imageProcessing } from "./image_processing.ts";
import type { ImageJob, ImageOutput } from "./image/worker.ts";

/** The definitions, and what ends the workers behind them. */
export function createHandlers(clock: Clock): { definitions: AnyTaskDefinition[]; close(): void } {
  const size = Math.max(1, Math.min(4, navigator.hardwareConcurrency - 1));
  const pool = new Pool<ImageJob, ImageOutput>(new URL("./image/worker.ts", import.meta.url), size, clock);
  return {
    definitions: [csvProcessing, emailSending, imageProcessing(pool, () => clock.monotonic())],
    close: () => pool.close(),
  };
}
