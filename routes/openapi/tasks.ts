/**
 * The operations on tasks.
 *
 * @module
 */

import * as z from "zod";
import { bulkSchema } from "../api/bulk.ts";
import { batchSchema, retrySchema } from "../api/tasks.ts";
import { listQuery, logQuery } from "../http/query.ts";
import * as answers from "./task_answers.ts";
import { idempotencyKey, idPath, location, type Operations } from "./operation.ts";

const tag = "Tasks";
const SEVERAL = "Parameters of several values take them with commas.";

/** The operations. `submission` is the schema of a submission with the parameters of each type. */
export function taskOperations(submission: z.ZodType): Operations {
  const example = { task_type: "image_processing", tags: ["gallery"] };
  return {
    "POST /api/tasks/submit": {
      id: "submitTask",
      tag,
      summary: "Submit a task",
      role: "operator",
      headers: z.object({
        ...idempotencyKey,
        Prefer: z.string().optional().meta({
          description: "`wait=10` answers when the task has ended, or after so many seconds (at most 60); " +
            "`return=minimal` answers without a body.",
        }),
      }),
      body: {
        schema: submission,
        examples: {
          "a CSV": { task_type: "csv_processing", input_params: { num_rows: 500 }, priority: 5 },
          "tomorrow, at most once": { ...example, delay: 86_400, unique: { key: "gallery", period: 86_400 } },
        },
      },
      answers: {
        201: {
          description: "The task.",
          schema: answers.task,
          headers: location.extend({
            "Preference-Applied": z.string().optional().meta({ description: "What of `Prefer` was heeded." }),
          }),
        },
        200: {
          description: "The task that the Idempotency-Key or the `unique` key has made before.",
          schema: answers.task,
          headers: location,
        },
      },
      problems: ["too_many_tasks", "too_many_of_type", "too_many_open_tasks", "disk_full"],
    },
    "POST /api/tasks/batch": {
      id: "submitBatch",
      tag,
      summary: "Submit up to 200 tasks: all of them or none",
      role: "operator",
      headers: z.object(idempotencyKey),
      body: {
        schema: batchSchema,
        examples: {
          "one after another": {
            tasks: [
              { task_type: "image_processing", ref: "images" },
              { task_type: "email_sending", depends_on: ["images"] },
            ],
          },
        },
      },
      answers: {
        201: { description: "Their summaries, in the order of the request.", schema: answers.batch },
        200: { description: "Those that the Idempotency-Key has made before.", schema: answers.batch },
      },
      problems: ["too_many_tasks", "too_many_of_type", "too_many_open_tasks", "disk_full"],
    },
    "GET /api/tasks": {
      id: "listTasks",
      tag,
      summary: "List tasks",
      description: SEVERAL,
      query: listQuery,
      answers: { 200: { description: "A page of tasks.", schema: answers.taskList } },
    },
    "POST /api/tasks/bulk": {
      id: "actOnTasks",
      tag,
      summary: "Cancel, retry or delete many tasks",
      description: "Select them by `ids`, or by a `filter` with the `as_of` of the list that you saw. " +
        "To delete needs the role admin.",
      role: "operator",
      headers: z.object(idempotencyKey),
      body: {
        schema: bulkSchema,
        examples: { "by ids": { action: "cancel", ids: ["01KB5T6Q3V8YJ4N0Z2M7R9XWCE"] } },
      },
      answers: {
        200: { description: "What became of each.", schema: answers.bulkOutcomes },
        202: { description: "The task that does it for more than 200.", schema: answers.bulkTask, headers: location },
      },
    },
    "GET /api/tasks/{id}": {
      id: "getTask",
      tag,
      summary: "Read a task",
      path: idPath,
      answers: { 200: { description: "The task.", schema: answers.task } },
      problems: ["not_found"],
    },
    "DELETE /api/tasks/{id}": {
      id: "cancelTask",
      tag,
      summary: "Cancel a task",
      role: "operator",
      path: idPath,
      answers: {
        200: { description: "The task, CANCELLED.", schema: answers.task },
        202: { description: "Its instance has been told and did not answer yet.", schema: answers.cancelledTask },
      },
      problems: ["not_found", "illegal_transition"],
    },
    "POST /api/tasks/{id}/retry": {
      id: "retryTask",
      tag,
      summary: "Retry a task that is FAILED or CANCELLED, or the part of it that failed",
      role: "operator",
      path: idPath,
      body: {
        schema: retrySchema,
        optional: true,
        examples: {
          "from its checkpoint": {},
          "from the start": { from: "start" },
          "only what failed": { only: "failed" },
        },
      },
      answers: {
        202: { description: "The task, PENDING again.", schema: answers.task },
        201: { description: "With `only`: the new task.", schema: answers.task, headers: location },
      },
      problems: [
        "not_found",
        "illegal_transition",
        "too_many_tasks",
        "too_many_of_type",
        "too_many_open_tasks",
        "disk_full",
      ],
    },
    "GET /api/tasks/{id}/graph": {
      id: "getTaskGraph",
      tag,
      summary: "Read the tasks that a task depends on and that depend on it",
      path: idPath,
      answers: { 200: { description: "At most 200 tasks.", schema: answers.graph } },
      problems: ["not_found"],
    },
    "GET /api/tasks/{id}/events": {
      id: "getTaskEvents",
      tag,
      summary: "Read or follow what happens to a task",
      description: "With `Accept: text/event-stream` it is a stream of server-sent events until the task has ended.",
      path: idPath,
      headers: z.object({
        "Last-Event-ID": z.string().optional().meta({ description: "Resumes a stream after this event." }),
      }),
      answers: {
        200: {
          description: "The events so far, or a stream: `status`, `log`, `gap` and `task` events.",
          schema: answers.events,
          media: ["text/event-stream"],
        },
        204: { description: "The stream that is resumed had told everything." },
      },
      problems: ["not_found", "too_many_streams", "stopping"],
    },
    "GET /api/tasks/{id}/logs": {
      id: "getTaskLog",
      tag,
      summary: "Read a page of a task's log, from either end",
      path: idPath,
      query: logQuery,
      answers: { 200: { description: "Lines, oldest first.", schema: answers.logPage } },
      problems: ["not_found"],
    },
    "GET /api/tasks/{id}/logs.txt": {
      id: "downloadTaskLog",
      tag,
      summary: "Download a task's log",
      path: idPath,
      answers: { 200: { description: "The whole log.", media: ["text/plain"] } },
      problems: ["not_found"],
    },
  };
}
