/**
 * The operations on schedules.
 *
 * @module
 */

import * as z from "zod";
import { backfillSchema, changeSchema, scheduleSchema } from "../api/schedules.ts";
import { nextTimesQuery } from "../http/query.ts";
import * as answers from "./answers.ts";
import { batch, task } from "./task_answers.ts";
import { idempotencyKey, idPath, location, type Operation, type Operations } from "./operation.ts";

const oneSchedule: Pick<Operation, "tag" | "path" | "answers"> = {
  tag: "Schedules",
  path: idPath,
  answers: { 200: { description: "The schedule.", schema: answers.schedule } },
};

/** The operations. */
export const SCHEDULE_OPERATIONS: Operations = {
  "POST /api/schedules": {
    id: "createSchedule",
    tag: "Schedules",
    summary: "Submit a task at the times of a cron expression",
    role: "operator",
    headers: z.object(idempotencyKey),
    body: {
      schema: scheduleSchema,
      examples: {
        "every night": { name: "nightly", cron: "0 2 * * *", timezone: "Europe/Zurich", task_type: "csv_processing" },
      },
    },
    answers: {
      201: { description: "The schedule.", schema: answers.schedule, headers: location },
      200: { description: "The one that the Idempotency-Key has made before.", schema: answers.schedule },
    },
    problems: ["disk_full"],
  },
  "GET /api/schedules": {
    id: "listSchedules",
    tag: "Schedules",
    summary: "List schedules",
    answers: { 200: { description: "All of them.", schema: answers.schedules } },
  },
  "GET /api/schedules/next": {
    id: "previewSchedule",
    tag: "Schedules",
    summary: "Read the next times of a cron expression",
    query: nextTimesQuery,
    answers: { 200: { description: "The next five.", schema: answers.nextTimes } },
    problems: ["invalid_input"],
  },
  "GET /api/schedules/{id}": {
    id: "getSchedule",
    summary: "Read a schedule",
    ...oneSchedule,
    problems: ["not_found"],
  },
  "PATCH /api/schedules/{id}": {
    id: "changeSchedule",
    summary: "Change a schedule",
    description: "Takes the fields of a new schedule: those left out stay, null takes one away.",
    role: "operator",
    ...oneSchedule,
    body: { schema: changeSchema, examples: { "another time": { cron: "30 2 * * *" } } },
    problems: ["not_found"],
  },
  "DELETE /api/schedules/{id}": {
    id: "deleteSchedule",
    tag: "Schedules",
    summary: "Delete a schedule",
    role: "operator",
    path: idPath,
    answers: { 204: { description: "It is gone." } },
    problems: ["not_found"],
  },
  "POST /api/schedules/{id}/pause": {
    id: "pauseSchedule",
    summary: "Pause a schedule",
    role: "operator",
    ...oneSchedule,
    problems: ["not_found"],
  },
  "POST /api/schedules/{id}/resume": {
    id: "resumeSchedule",
    summary: "Resume a schedule",
    role: "operator",
    ...oneSchedule,
    problems: ["not_found", "invalid_input"],
  },
  "POST /api/schedules/{id}/backfill": {
    id: "backfillSchedule",
    tag: "Schedules",
    summary: "Submit the tasks of a schedule for a window of the past",
    description: "One for each time from `from` (included) to `to` (not included), at most 200: all of them or none. " +
      "`scheduled_for` of each says for which time it is.",
    role: "operator",
    path: idPath,
    headers: z.object(idempotencyKey),
    body: {
      schema: backfillSchema,
      examples: { "a week": { from: "2026-11-16T00:00:00Z", to: "2026-11-23T00:00:00Z" } },
    },
    answers: {
      201: { description: "Their summaries, oldest time first.", schema: batch },
      200: { description: "Those that the Idempotency-Key has made before.", schema: batch },
    },
    problems: ["not_found", "too_many_tasks", "too_many_of_type", "too_many_open_tasks", "disk_full"],
  },
  "POST /api/schedules/{id}/trigger": {
    id: "triggerSchedule",
    tag: "Schedules",
    summary: "Submit the task of a schedule now",
    role: "operator",
    path: idPath,
    headers: z.object(idempotencyKey),
    answers: {
      201: { description: "The task.", schema: task, headers: location },
      200: { description: "The one that the Idempotency-Key has made before.", schema: task },
    },
    problems: ["not_found", "invalid_input", "too_many_tasks", "too_many_of_type", "too_many_open_tasks", "disk_full"],
  },
};
