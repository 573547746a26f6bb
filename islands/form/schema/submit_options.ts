/**
 * The options of every task besides its parameters, as a separate schema.
 *
 * @module
 */

import { ATTEMPTS, PRIORITY, SCHEDULE_CHARS, TAGS, TIMEOUT_S } from "../../../queue/task/limits.ts";
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
      description: "Each level moves it one minute ahead. Default: 0.",
    },
    run_at: { type: "string", format: "date-time", title: "Not before", description: "Starts at once if empty." },
    max_attempts: {
      type: "integer",
      minimum: ATTEMPTS.min,
      maximum: ATTEMPTS.max,
      title: "Attempts",
      description: "Default: set by the type.",
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
      description: "One per line.",
    },
  },
};

/** Fields of a schedule, by their names in the API. */
export const SCHEDULE_OPTIONS: Schema = {
  type: "object",
  properties: {
    cron: {
      type: "string",
      maxLength: SCHEDULE_CHARS.cron,
      title: "Repeat",
      description: "Cron; creates a schedule instead of a task. Daily at six: 0 6 * * *",
    },
    timezone: {
      type: "string",
      maxLength: SCHEDULE_CHARS.timezone,
      title: "Time zone",
      description: "E.g. Europe/Zurich. Default: UTC.",
    },
    name: { type: "string", maxLength: SCHEDULE_CHARS.name, title: "Schedule name" },
  },
};
