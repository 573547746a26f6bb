/**
 * Requests to the instance that runs a task to cancel it, written by another instance.
 *
 * @module
 */

import { decode } from "../store/codec.ts";

/** The value of `cancel_request, instance, id`: who requested the cancel, and when. */
export interface CancelRequest {
  at: number;
  by: string | null;
}

/** Who requested a cancel; null: unknown. */
export function requestedBy(stored: unknown): string | null {
  const request = decode<CancelRequest | number>(stored);
  return typeof request === "number" ? null : request.by;
}
