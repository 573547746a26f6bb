/**
 * The task types of this installation. A new type is one file beside this one and one line here.
 *
 * @module
 */

import type * as z from "zod";
import type { Clock } from "../task/clock.ts";
import type { AnyTaskDefinition } from "../define.ts";
import { Pool } from "../workers/pool.ts";
import { mayStartProcesses, ProcessWorker } from "../workers/process_worker.ts";
import { csvProcessing } from "./csv_processing.ts";
import { type MailOptions, MailTransport } from "./email/transport.ts";
import { emailSending } from "./email_sending.ts";
import { imageProcessing, MAX_IMAGE_PIXELS } from "./image_processing.ts";
import { alertDelivery } from "./alert_delivery.ts";
import type { CsvJobs, ImageJobs } from "./jobs.ts";
import { webhookDelivery, type WebhookOptions } from "./webhook_delivery.ts";

/** What a client sends as `input_params` of each task type. */
export interface TaskParams {
  csv_processing: ParamsOf<typeof csvProcessing>;
  email_sending: ParamsOf<typeof emailSending>;
  image_processing: ParamsOf<typeof imageProcessing>;
  webhook_delivery: ParamsOf<typeof webhookDelivery>;
}

// deno-lint-ignore no-explicit-any
type ParamsOf<Define extends (...args: any[]) => AnyTaskDefinition> = z.input<ReturnType<Define>["params"]>;

/** Settings of the task types. */
export interface HandlerOptions {
  /** The most pixels of an image that is read. Default {@linkcode MAX_IMAGE_PIXELS}. */
  maxImagePixels?: number;
  webhook?: WebhookOptions;
  mail?: MailOptions;
}

/** The definitions, and a function that ends their workers. */
export function createHandlers(
  clock: Clock,
  { maxImagePixels = MAX_IMAGE_PIXELS, webhook, mail }: HandlerOptions = {},
): { definitions: AnyTaskDefinition[]; close(): Promise<void> } {
  // One core is left for the API, but there are at least two workers, so that a long job does not block all others.
  const size = Math.max(2, navigator.hardwareConcurrency - 1);
  const webWorker = () => new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  // A picture takes four bytes per pixel, several times over, plus floating-point data while it is resized.
  const memory = 512 * 1024 ** 2 + 40 * maxImagePixels;
  const processWorker = () => new ProcessWorker(new URL("./process.ts", import.meta.url), memory);
  const csvPool = new Pool<CsvJobs>(webWorker, size, clock);
  // If no process can be started, the limits on the input must suffice.
  const imagePool = new Pool<ImageJobs>(mayStartProcesses() ? processWorker : webWorker, size, clock);
  const transport = new MailTransport(clock, mail);
  return {
    definitions: [
      csvProcessing(csvPool, clock),
      emailSending(transport, clock),
      imageProcessing(imagePool, clock, maxImagePixels),
      webhookDelivery(clock, webhook),
      alertDelivery(clock, transport, webhook),
    ],
    close: async () => {
      transport.close();
      await Promise.all([csvPool.close(), imagePool.close()]);
    },
  };
}
