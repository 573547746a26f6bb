/**
 * The options of every task besides its parameters, as a separate schema.
 *
 * @module
 */

import { ATTEMPTS, PRIORITY, TAGS, TIMEOUT_S } from "../../../queue/task/limits.ts";
import type { Schema } from "./schema.ts";

/** Fields of a submission, by their names in the API. */
export const SUBMIT_OPTIONS: Schema = {
  type: "object",
  properties: {
    priority: {
      type: "integer",
      minimum: PRIORITY.min,
      maximum: PRIORITY.max,
      title: "Priority",
      description: "Each level moves the task 1 minute ahead. Default: 0.",
    },
    run_at: { type: "string", format: "date-time", title: "Start at", description: "Empty: now." },
    max_attempts: {
      type: "integer",
      minimum: ATTEMPTS.min,
      maximum: ATTEMPTS.max,
      title: "Max attempts",
      description: "Default: that of the type.",
    },
    timeout: {
      type: "number",
      minimum: TIMEOUT_S.min,
      maximum: TIMEOUT_S.max,
      title: "Timeout per attempt",
      "x-unit": "s",
    },
    tags: {
      type: "array",
      items: { type: "string", minLength: 1, maxLength: TAGS.chars },
      maxItems: TAGS.max,
      title: "Tags",
      description: "One per line, up to 10.",
    },
  },
};
