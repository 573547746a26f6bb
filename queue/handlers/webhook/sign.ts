/**
 * Signs what is POSTed, by Standard Webhooks
 * (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
 *
 * @module
 */

import { Webhook } from "standardwebhooks";

/**
 * The headers of a delivery. Without secrets it is not signed.
 *
 * @param task The id of the task that delivers: the id of the message is the same at every attempt, so that the receiver
 * can detect a duplicate.
 */
export function webhookHeaders(secrets: string[], task: string, now: Date, body: string): Record<string, string> {
  const id = `msg_${task}`;
  const signatures = secrets.map((secret) => new Webhook(secret).sign(id, now, body));
  return {
    "Content-Type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
    ...signatures.length > 0 && { "webhook-signature": signatures.join(" ") },
  };
}
