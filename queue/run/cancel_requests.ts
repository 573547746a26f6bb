/**
 * Requests to the instance that runs a task to cancel it, written by another instance.
 *
 * @module
 */

import { decode } from "../store/codec.ts";

/** What stands under `command, instance, id`: who asked the holder to cancel, and when. */
export interface CancelRequest {
  at: number;
  by: string | null;
}

/** Who has asked for a cancel; null: it is not known. */
export function askedBy(stored: unknown): string | null {
  const request = decode<CancelRequest | number>(stored);
  return typeof request === "number" ? null : request.by;
}
