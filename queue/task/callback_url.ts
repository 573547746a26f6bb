/**
 * What a task's `callback_url` may be, and which task type calls it.
 *
 * @module
 */

import * as z from "zod";

/** The task type that delivers callbacks. */
export const DELIVERY_TYPE = "webhook_delivery";

/** A URL that may be notified: http or https, at most 2,000 characters, without a password in it. */
export const callbackUrl = z.url({ protocol: /^https?$/ }).max(2_000).refine((text) => {
  const url = URL.parse(text);
  return url === null || url.username === "" && url.password === "";
}, "A URL without user name and password.");
