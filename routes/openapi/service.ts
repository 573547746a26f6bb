/**
 * The operations on schedules, the suppression list, undelivered messages, and the service itself.
 *
 * @module
 */

import * as z from "zod";
import { backfillSchema, changeSchema, scheduleSchema } from "../api/schedules.ts";
import { suppressionsSchema } from "../api/suppressions.ts";
import { tokenSchema } from "../api/tokens.ts";
import { pauseSchema } from "../api/system.ts";
import { auditQuery, nextTimesQuery, seriesQuery, suppressionsQuery, undeliveredQuery } from "../http/query.ts";
import { ruleSchema } from "../../queue/alerts/rule.ts";
import * as answers from "./answers.ts";
import { about } from "./answers.ts";
import { idempotencyKey, idPath, location, type Operation, type Operations } from "./operation.ts";

const typePath = z.object({ type: about(z.string(), "The name of the type.").meta({ example: "csv_processing" }) });

const alertPath = z.object({ id: about(z.string(), "Its id.") });

const oneSchedule: Pick<Operation, "tag" | "path" | "answers"> = {
  tag: "Schedules",
  path: idPath,
  answers: { 200: { description: "The schedule.", schema: answers.schedule } },
};

const scheduleOperations: Operations = {
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
      201: { description: "Their summaries, oldest time first.", schema: answers.batch },
      200: { description: "Those that the Idempotency-Key has made before.", schema: answers.batch },
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
      201: { description: "The task.", schema: answers.task, headers: location },
      200: { description: "The one that the Idempotency-Key has made before.", schema: answers.task },
    },
    problems: ["not_found", "invalid_input", "too_many_tasks", "too_many_of_type", "too_many_open_tasks", "disk_full"],
  },
};

const mailOperations: Operations = {
  "GET /api/suppressions": {
    id: "listSuppressions",
    tag: "Mail",
    summary: "List the addresses to which no mailing sends",
    role: "operator",
    query: suppressionsQuery,
    answers: { 200: { description: "A page of them.", schema: answers.suppressions } },
  },
  "POST /api/suppressions": {
    id: "addSuppressions",
    tag: "Mail",
    summary: "Send nothing to these addresses any more",
    role: "operator",
    body: {
      schema: suppressionsSchema,
      examples: { "one that has left": { addresses: ["leaver@example.com"], reason: "asked by phone" } },
    },
    answers: {
      201: { description: "How many are new.", schema: answers.added },
      200: { description: "All were there already.", schema: answers.added },
    },
  },
  "DELETE /api/suppressions/{address}": {
    id: "removeSuppression",
    tag: "Mail",
    summary: "Send to an address again",
    role: "operator",
    path: z.object({ address: z.string().meta({ example: "leaver@example.com" }) }),
    answers: { 204: { description: "It is no longer on the list." } },
    problems: ["not_found"],
  },
};

const messageOperations: Operations = {
  "GET /api/undelivered": {
    id: "listUndelivered",
    tag: "Messages",
    summary: "List messages that did not become tasks",
    role: "operator",
    query: undeliveredQuery,
    answers: { 200: { description: "A page of them, oldest first.", schema: answers.undelivered } },
  },
  "POST /api/undelivered/{id}/retry": {
    id: "retryUndelivered",
    tag: "Messages",
    summary: "Try again to make a task of a message",
    role: "operator",
    path: idPath,
    answers: {
      201: { description: "The task.", schema: answers.task, headers: location },
      204: { description: "It had made a task, which was deleted since." },
    },
    problems: ["not_found", "invalid_input", "too_many_tasks", "too_many_of_type", "too_many_open_tasks", "disk_full"],
  },
  "DELETE /api/undelivered/{id}": {
    id: "discardUndelivered",
    tag: "Messages",
    summary: "Discard a message",
    role: "operator",
    path: idPath,
    answers: { 204: { description: "It is gone." } },
    problems: ["not_found"],
  },
};

const accessOperations: Operations = {
  "GET /api/tokens": {
    id: "listTokens",
    tag: "Access",
    summary: "List the tokens that were made at run time",
    role: "admin",
    answers: { 200: { description: "All of them, without their secrets.", schema: answers.tokens } },
  },
  "POST /api/tokens": {
    id: "createToken",
    tag: "Access",
    summary: "Make a token",
    role: "admin",
    body: {
      schema: tokenSchema,
      examples: { "for a program": { name: "importer", role: "operator", task_types: ["csv_processing"], rate: 50 } },
    },
    answers: { 201: { description: "The token, with its secret.", schema: answers.newToken } },
    problems: ["no_authentication"],
  },
  "DELETE /api/tokens/{id}": {
    id: "revokeToken",
    tag: "Access",
    summary: "Revoke a token, and end its sockets and streams",
    role: "admin",
    path: idPath,
    answers: { 204: { description: "It is not valid any more." } },
    problems: ["not_found"],
  },
  "GET /api/alerts": {
    id: "listAlerts",
    tag: "Service",
    summary: "List rules of alerts and whether they are met",
    answers: { 200: { description: "All of them.", schema: answers.alerts } },
  },
  "POST /api/alerts": {
    id: "createAlert",
    tag: "Service",
    summary: "Be told when something goes wrong",
    role: "admin",
    body: {
      schema: ruleSchema,
      examples: {
        "imports fail": {
          name: "imports fail",
          when: { kind: "failures", task_type: "csv_processing", count: 5, share: 0.2 },
          to: [{ kind: "mail", to: "ops@example.com" }, { kind: "slack", url: "https://hooks.slack.com/services/x" }],
        },
      },
    },
    answers: { 201: { description: "The rule.", schema: answers.alert } },
  },
  "DELETE /api/alerts/{id}": {
    id: "deleteAlert",
    tag: "Service",
    summary: "Delete a rule of alerts",
    role: "admin",
    path: alertPath,
    answers: { 204: { description: "It is gone." } },
    problems: ["not_found", "illegal_transition"],
  },
  "POST /api/alerts/{id}/test": {
    id: "testAlert",
    tag: "Service",
    summary: "Send a test to everyone whom a rule tells",
    role: "admin",
    path: alertPath,
    answers: {
      202: {
        description: "The tasks that deliver it.",
        schema: z.object({ task_ids: z.array(answers.id) }).meta({ id: "AlertTest" }),
      },
    },
    problems: ["not_found"],
  },
  "GET /api/audit": {
    id: "readAudit",
    tag: "Access",
    summary: "Read who has done what in the last 90 days",
    role: "admin",
    query: auditQuery,
    answers: { 200: { description: "Entries, newest first.", schema: answers.auditEntries } },
  },
  "GET /api/audit.csv": {
    id: "downloadAudit",
    tag: "Access",
    summary: "Download the audit log",
    role: "admin",
    query: auditQuery,
    answers: { 200: { description: "At most 100,000 entries.", media: ["text/csv"] } },
  },
};

/** The operations. */
export const SERVICE_OPERATIONS: Operations = {
  ...scheduleOperations,
  "GET /api/task-types": {
    id: "listTaskTypes",
    tag: "Service",
    summary: "List task types with the schemas of their parameters",
    answers: { 200: { description: "All of them.", schema: answers.typeInfos } },
  },
  "POST /api/task-types/{type}/pause": {
    id: "pauseTaskType",
    tag: "Service",
    summary: "Start no more tasks of a type",
    role: "operator",
    path: typePath,
    body: { schema: pauseSchema, optional: true, examples: { "with a reason": { reason: "the mail server moves" } } },
    answers: { 200: { description: "The type.", schema: answers.typeInfo } },
    problems: ["not_found"],
  },
  "POST /api/task-types/{type}/resume": {
    id: "resumeTaskType",
    tag: "Service",
    summary: "Start tasks of a type again",
    role: "operator",
    path: typePath,
    answers: { 200: { description: "The type.", schema: answers.typeInfo } },
    problems: ["not_found"],
  },
  "GET /api/stats": {
    id: "getStats",
    tag: "Service",
    summary: "Read how many tasks there are",
    answers: { 200: { description: "Exact counts.", schema: answers.stats } },
  },
  "GET /api/series": {
    id: "getSeries",
    tag: "Service",
    summary: "Read what happened over time",
    query: seriesQuery,
    answers: { 200: { description: "Bucket by bucket, oldest first.", schema: answers.series } },
  },
  "GET /api/me": {
    id: "getCaller",
    tag: "Service",
    summary: "Read who you are and what you may do",
    answers: { 200: { description: "The caller.", schema: answers.caller } },
  },
  "GET /api/health": {
    id: "getHealth",
    tag: "Service",
    summary: "Read whether the service works",
    description: "To anyone the status; to a caller with a token also the checks.",
    role: "anyone",
    answers: {
      200: { description: "It works.", schema: answers.health },
      503: { description: "It does not.", schema: answers.health },
    },
  },
  "GET /metrics": {
    id: "getMetrics",
    tag: "Service",
    summary: "Read the metrics of this instance",
    answers: { 200: { description: "The text format of Prometheus.", media: ["text/plain"] } },
  },
  "GET /livez": {
    id: "getLiveness",
    tag: "Service",
    summary: "Read whether the process lives",
    role: "anyone",
    answers: { 200: { description: "It answers.", schema: answers.liveness } },
  },
  "GET /readyz": {
    id: "getReadiness",
    tag: "Service",
    summary: "Read whether this instance takes requests",
    description: "Not while the store cannot be used, or once the service stops.",
    role: "anyone",
    answers: {
      200: { description: "It does.", schema: answers.readiness },
      503: { description: "It does not.", schema: answers.readiness },
    },
  },
  "GET /openapi.json": {
    id: "getDescription",
    tag: "Service",
    summary: "Read this description",
    answers: {
      200: { description: "OpenAPI 3.1.", schema: z.record(z.string(), z.unknown()) },
      304: { description: "You have it already." },
    },
  },
  "GET /ws": {
    id: "openSocket",
    tag: "Service",
    summary: "Open the WebSocket of changes",
    description: "A handshake (RFC 6455). `routes/README.md` says what the frames are.",
    answers: { 101: { description: "The socket is open." } },
    problems: ["not_a_websocket", "foreign_origin", "too_many_streams", "stopping"],
  },
  ...accessOperations,
  ...messageOperations,
  ...mailOperations,
};
