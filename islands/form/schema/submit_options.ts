/**
 * What every task can be given beside its parameters, as a schema of its own.
 *
 * @module
 */

import type { Schema } from "./schema.ts";

/** Fields of a submit, by their names in the API. */
export const SUBMIT_OPTIONS: Schema = {
  type: "object",
  properties: {
    priority: {
      type: "integer",
      minimum: 0,
      maximum: 9,
      title: "Priority",
      description: "Each step goes a minute ahead; 0 if empty.",
    },
    run_at: { type: "string", format: "date-time", title: "Not before", description: "Starts at once if empty." },
    max_attempts: {
      type: "integer",
      minimum: 1,
      maximum: 25,
      title: "Attempts",
      description: "As the type says if empty.",
    },
    timeout: { type: "number", minimum: 1, maximum: 86_400, title: "Timeout of an attempt", "x-unit": "s" },
    tags: {
      type: "array",
      items: { type: "string", minLength: 1, maxLength: 64 },
      maxItems: 10,
      title: "Tags",
      description: "One a line.",
    },
  },
};

/** Fields of a schedule, by their names in the API. */
export const SCHEDULE_OPTIONS: Schema = {
  type: "object",
  properties: {
    cron: {
      type: "string",
      maxLength: 200,
      title: "Repeat",
      description: "A cron expression; then a schedule is made instead of a task. Every day at six: 0 6 * * *",
    },
    timezone: { type: "string", maxLength: 64, title: "Time zone", description: "UTC if empty; or Europe/Zurich." },
    name: { type: "string", maxLength: 100, title: "Name of the schedule" },
  },
};
