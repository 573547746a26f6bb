/**
 * The operations on tokens, alerts, the audit log, the suppression list and undelivered messages.
 *
 * @module
 */

import * as z from "zod";
import { ruleSchema } from "../../queue/alerts/rule.ts";
import { tokenSchema } from "../access/tokens.ts";
import { suppressionsSchema } from "../api/suppressions.ts";
import { auditQuery, suppressionsQuery, undeliveredQuery } from "../http/query.ts";
import * as answers from "./answers.ts";
import { about, id } from "./basics.ts";
import { task } from "./task_answers.ts";
import { idPath, location, type Operations } from "./operation.ts";

const alertPath = z.object({ id: about(z.string(), "Its id.") });

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
      201: { description: "The task.", schema: task, headers: location },
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
    role: "operator",
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
        schema: z.object({ task_ids: z.array(id) }).meta({ id: "AlertTest" }),
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
    answers: { 200: { description: "All of them.", media: ["text/csv"] } },
  },
};

/** The operations. */
export const ACCESS_OPERATIONS: Operations = { ...accessOperations, ...messageOperations, ...mailOperations };
